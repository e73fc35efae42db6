/* The engine: the one file of a program that asks the header for its code. */
#define BEEX_IMPLEMENTATION
#include "beex.h"
