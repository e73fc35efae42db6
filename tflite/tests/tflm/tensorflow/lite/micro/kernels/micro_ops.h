#include "../../../../tflm.h"
