/* Vectors of one float, for implementations in plain C. */
#ifndef BEEX_SCALAR_H
#define BEEX_SCALAR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TARGET
#define LANES 1

typedef float vec;

static inline vec v_load(const float *p) { return *p; }
static inline void v_store(float *p, vec x) { *p = x; }
static inline float v_total(vec x) { return x; }
static inline float v_largest(vec x) { return x; }
static inline void v_to_int8(int8_t *q, size_t n, vec x) {
  if (n) *q = (int8_t)x;
}
static inline void v_to_int16(int16_t *q, size_t n, vec x) {
  if (n) *q = (int16_t)x;
}
static inline vec v_load_some(const float *p, size_t n) { return n ? *p : 0.0f; }
static inline void v_store_some(float *p, size_t n, vec x) {
  if (n) *p = x;
}
static inline vec v_only(vec x, size_t n) { return n ? x : 0.0f; }
static inline vec v_set(float x) { return x; }
static inline vec v_max(vec a, vec b) { return a > b ? a : b; }
static inline vec v_min(vec a, vec b) { return a < b ? a : b; }
static inline vec v_is_negative(vec x) { return x < 0 ? 1.0f : 0.0f; }

/* Beyond 2^23 a float is whole. Below, adding 2^23 leaves no bits for a fraction, so the sum is
 * rounded to a whole number, ties to even; taking 2^23 away again is exact. */
static inline vec v_round(vec x) {
  const float limit = 8388608.0f, magnitude = fabsf(x);
  const float rounded = (magnitude + limit) - limit;
  return magnitude < limit ? copysignf(rounded, x) : x;
}

static inline vec v_power_of_2(vec n) {
  const uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return power;
}

#endif
