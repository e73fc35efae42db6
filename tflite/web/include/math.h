/* What the engine needs of <math.h>: each is an instruction. */
#ifndef BEEX_WEB_MATH_H
#define BEEX_WEB_MATH_H

#define fabsf __builtin_fabsf
#define sqrtf __builtin_sqrtf
#define copysignf __builtin_copysignf

#endif
