#include "../../../tflm.h"
