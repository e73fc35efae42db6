/* Shared by cortexm.c and mve.c: the kind of processor, and the steps from half sums of +-1 to numbers
 * and signs. */
#ifndef BEEX_CORTEXM_H
#define BEEX_CORTEXM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

/* Floats in hardware, and the DSP extension, which Armv8-M may lack beside them; later units also round to whole
 * numbers and take the larger of two. */
#if defined(__ARM_FP) && (__ARM_FP & 4) && defined(__ARM_FEATURE_DSP)
#define HAS_FLOAT 1
#if (__ARM_FP & 8) || __ARM_ARCH >= 8
#define HAS_ROUNDING 1
#endif
#endif

#define INLINE static inline __attribute__((always_inline, unused))
#define TARGET __attribute__((unused))

#define SLAB 128       /* outputs that share a table of sums */
#define WORDS_A_BYTE 3 /* words of inputs, half of whose sum fits into a byte */

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

INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* The rows and outputs of a layer that are computed next. */
typedef struct {
  size_t depth, words, outputs;
  const uint64_t *x;       /* of the tile's first row */
  const uint64_t *weights; /* of the slab's first output */
} slab;

/* === Packing === */

/* The kernel pack_signs, by a function that packs 64 floats; it is compiled into the loop. */
INLINE void pack_rows(uint64_t (*pack_64)(const float *), size_t rows, size_t depth, const float *x,
                      uint64_t *bits) {
  for (; rows; rows--) {
    for (size_t left = depth; left;) {
      const size_t n = least(left, 64);
      if (n == 64) {
        *bits++ = pack_64(x);
      } else {
        uint64_t word = 0;
        for (size_t i = 0; i < n; i++) word |= (uint64_t)(x[i] < 0) << i;
        *bits++ = word;
      }
      x += n;
      left -= n;
    }
  }
}

/* === Half sums to numbers === */

#ifndef HAS_FLOAT

/* Without a floating-point unit, a number on the grid of fully binary models, 2^-12, is a whole one. */
#define GRID_BITS 12

/* Whether x is a multiple of 2^-12 below 2^11, and not -0; then *whole is 2^12 x. */
INLINE int is_on_grid(float x, int32_t *whole) {
  const uint32_t bits = float_bits(x), mantissa = (bits & 0x7fffff) | 0x800000;
  const int places = 127 + 23 - GRID_BITS - (int)(bits >> 23 & 255); /* to the right */
  *whole = 0;
  if (bits == 0) return 1;
  if (places < 0 || places > 23 || mantissa & ((1u << places) - 1)) return 0;
  const int32_t magnitude = (int32_t)(mantissa >> places);
  *whole = bits >> 31 ? -magnitude : magnitude;
  return 1;
}

/* 2^-12 whole, for |whole| < 2^24 */
INLINE float from_grid(int32_t whole) {
  if (whole == 0) return 0.0f;
  const uint32_t sign = (uint32_t)whole & 0x80000000u;
  const uint32_t magnitude = (uint32_t)(whole < 0 ? -whole : whole);
  const unsigned places = (unsigned)__builtin_clz(magnitude) - 8;
  /* The first bit of the mantissa is not stored; here it adds one to the exponent. */
  return bits_float((sign | (126 + 23 - GRID_BITS - places) << 23) + (magnitude << places));
}

/* Whether sum * scale + bias lies on the grid and is exact, for sums up to most. */
INLINE int is_exact(float scale, float bias, int32_t most, int32_t *whole_scale,
                    int32_t *whole_bias) {
  if (!is_on_grid(scale, whole_scale) || !is_on_grid(bias, whole_bias)) return 0;
  const int64_t s = *whole_scale < 0 ? -*whole_scale : *whole_scale;
  const int32_t b = *whole_bias < 0 ? -*whole_bias : *whole_bias;
  return s * most + b < 1 << 24;
}

#endif

INLINE float linear_output(int32_t sum, float scale, float bias) { return (float)sum * scale + bias; }

/* === Half sums to signs ===
 *
 * y = sum * scale + bias grows with the sum, or falls if the scale is negative, rounded or not. So its
 * sign is a comparison of the sum with a threshold, found once for all rows:
 *
 *     y < 0  if  half < threshold,  the other way round where `falls` has a bit
 *
 * The sum is 2 half, or one less if the number of inputs is odd.
 */
typedef struct {
  int32_t threshold[SLAB];
  uint8_t falls[SLAB / 8];
} comparison;

/* The smallest half sum, within +-(most + 1), whose y has another sign than that of the smallest sum. */
static inline int32_t find_threshold(float scale, float bias, int falls, int32_t most, int32_t odd) {
  int32_t half;
#ifndef HAS_FLOAT
  int32_t s, b;
  if (is_exact(scale, bias, 2 * most, &s, &b)) {
    /* Up: the least with (2 half - odd) s >= -b; down: with (2 half - odd) |s| > b. */
    const int32_t size = falls ? -s : s, target = (falls ? b + 1 : -b) + odd * size;
    half = target / (2 * size) + (target % (2 * size) > 0);
    return half > most ? most + 1 : half < -most ? -most : half;
  }
#endif
  /* Far enough from a whole number, the root of y decides: its error is below 2^-22 of it. */
  const float root = bias / (scale * -2) + (odd ? 0.5f : 0.0f), near = 1.0f / 1024;
  if (most < 1024 && root < (float)most && root > -(float)most) {
    half = (int32_t)root;
    const float rest = root - (float)half;
    if (rest > near && rest < 1 - near) return half + 1;
    if (rest < -near && rest > near - 1) return half;
  }
  half = root > (float)most ? most + 1 : root > -(float)most ? (int32_t)root : -most;
  while (half > -most && (linear_output(2 * half - 2 - odd, scale, bias) < 0) == falls) half--;
  while (half <= most && (linear_output(2 * half - odd, scale, bias) < 0) != falls) half++;
  return half;
}

static inline void find_comparisons(size_t outputs, size_t depth, const float *scale,
                                    const float *bias, comparison *c) {
  const int32_t odd = depth % 2, most = (int32_t)(depth + 1) / 2;
  memset(c->falls, 0, sizeof c->falls);
  for (size_t output = 0; output < outputs; output++) {
    const float s = scale[output], b = bias[output];
    int32_t threshold = b < 0 ? most + 1 : -most; /* a constant */
    if (s < 0) c->falls[output / 8] |= (uint8_t)(1 << output % 8);
    if (s < 0 || s > 0) threshold = find_threshold(s, b, s < 0, most, odd);
    c->threshold[output] = threshold;
  }
}

#endif
