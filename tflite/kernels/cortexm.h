/* Vectors of one float for Cortex-M, with the instructions that its floating-point unit may have. */
#ifndef BEEX_CORTEXM_H
#define BEEX_CORTEXM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Floats in hardware; later units also round to whole numbers and take the larger of two. */
#if defined(__ARM_FP) && (__ARM_FP & 4)
#define HAS_FLOAT 1
#if (__ARM_FP & 8) || __ARM_ARCH >= 8
#define HAS_ROUNDING 1
#endif
#endif

#define INLINE static inline __attribute__((always_inline, unused))
#define TARGET inline __attribute__((unused))
#define LANES 1

typedef float vec;

INLINE uint32_t float_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

INLINE float bits_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

INLINE vec v_load(const float *p) { return *p; }
INLINE void v_store(float *p, vec x) { *p = x; }
INLINE float v_total(vec x) { return x; }
INLINE float v_largest(vec x) { return x; }
INLINE vec v_load_some(const float *p, size_t n) { return n ? *p : 0.0f; }
INLINE void v_store_some(float *p, size_t n, vec x) {
  if (n) *p = x;
}
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  if (n) *q = (int8_t)x;
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  if (n) *q = (int16_t)x;
}
INLINE vec v_set(float x) { return x; }
INLINE vec v_is_negative(vec x) { return x < 0 ? 1.0f : 0.0f; }
INLINE vec v_power_of_2(vec n) { return bits_float((uint32_t)((int32_t)n + 127) << 23); }

#ifdef HAS_ROUNDING

/* Of a NaN and a number these give the number, as the other implementations do. */
INLINE vec v_max(vec a, vec b) {
  vec y;
  __asm__("vmaxnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
  return y;
}
INLINE vec v_min(vec a, vec b) {
  vec y;
  __asm__("vminnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
  return y;
}
INLINE vec v_round(vec x) {
  vec y;
  __asm__("vrintn.f32 %0, %1" : "=t"(y) : "t"(x));
  return y;
}

#else

INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
INLINE vec v_min(vec a, vec b) { return a < b ? a : b; }

#ifdef HAS_FLOAT

/* A float of at least 2^23 is whole. Below, 1.5 x 2^23 + x leaves no bits for a fraction, so the sum is
 * rounded, ties to even. A zero has the sign of x. */
INLINE vec v_round(vec x) {
  const float limit = 12582912.0f;
  const uint32_t bits = float_bits(x), magnitude = bits << 1;
  if (magnitude >= 0x4a800000u << 1) return x; /* 2^22 */
  return bits_float(float_bits((x + limit) - limit) | (bits & 0x80000000u));
}

#else

/* By the bits: those behind the point are cut off, after half of the last place before it was added;
 * at a tie only if that place holds a one. */
INLINE vec v_round(vec x) {
  const uint32_t bits = float_bits(x), sign = bits & 0x80000000u;
  const int exponent = (int)(bits >> 23 & 255) - 127;
  if (exponent >= 23) return x;
  if (exponent < -1) return bits_float(sign);
  /* 0.5 is a tie with 0, whose place holds none. */
  if (exponent == -1) return bits_float(sign | ((bits << 9) ? 0x3f800000u : 0));
  const uint32_t last = 1u << (23 - exponent);
  const uint32_t half = (last >> 1) - !(bits & last ? 1u : exponent == 0);
  return bits_float((bits + half) & ~(last - 1));
}

#endif
#endif

#endif
