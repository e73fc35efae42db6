/* What the SIMD implementations share: tiles of outputs that stay in registers. */
#ifndef BEEX_SIMD_H
#define BEEX_SIMD_H

#include "kernels.h"

#include <string.h>

/* Before a loop with a constant number of passes, whose arrays are meant to be registers. Not with
 * sanitizers, whose checks in unrolled loops take minutes to compile. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define BEEX_SANITIZED 1
#endif
#endif
#if defined(BEEX_SANITIZED) || defined(__SANITIZE_ADDRESS__)
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* A binary linear layer; y is bits (signs) or floats (y), the other is null. */
typedef struct {
  size_t rows, depth, outputs;
  const uint64_t *x, *weights;
  const float *scale, *bias;
  float *y;
  uint64_t *signs;
} binary_layer;

/* A layer of real or int8 inputs; q comes with its rows' scales, or x is given. Weights are bits, or
 * int8 (bytes). */
typedef struct {
  size_t rows, depth, outputs;
  const float *x;
  const int8_t *q;
  const beex_quantized_row *row;
  const uint64_t *weights;
  const float *scale, *bias;
  float *y;
  const int8_t *bytes;
} real_layer;

typedef struct {
  size_t rows, depth, columns;
  const float *a;
  size_t a_stride;
  const float *b;
  size_t b_stride;
  float *c;
  size_t c_stride;
} product;

/* As `product`, of whole numbers in pairs. */
typedef struct {
  size_t rows, depth, columns;
  const int16_t *a;
  size_t a_stride;
  const int16_t *b;
  size_t b_stride;
  float *c;
  size_t c_stride;
} pair_product;

/* Rows of the next tile, of the `left` ones: tiles are as equal as can be. */
static inline size_t beex_next_tile(size_t left, size_t most) {
  return BEEX_CEIL_DIV(left, BEEX_CEIL_DIV(left, most));
}

/* The last depth mod 4 inputs of each row, into zeros. */
static inline void beex_copy_tail(size_t rows, size_t depth, const float *x, float tail[8][4]) {
  for (size_t r = 0; r < rows; r++) {
    memcpy(tail[r], x + r * depth + depth / 4 * 4, depth % 4 * sizeof(float));
  }
}

/* Calls a tile function, which has to see the number of rows as a constant. */
#define TILE_CASE(n, tile, ...) \
  case n: tile(n, __VA_ARGS__); break;
#define TILE_OF_2(rows, tile, ...)                                                  \
  switch (rows) {                                                                   \
    TILE_CASE(2, tile, __VA_ARGS__) TILE_CASE(1, tile, __VA_ARGS__)                 \
    default: break;                                                                 \
  }
#define TILE_OF_4(rows, tile, ...)                                                  \
  switch (rows) {                                                                   \
    TILE_CASE(4, tile, __VA_ARGS__) TILE_CASE(3, tile, __VA_ARGS__)                 \
    TILE_CASE(2, tile, __VA_ARGS__) TILE_CASE(1, tile, __VA_ARGS__)                 \
    default: break;                                                                 \
  }
#define TILE_OF_8(rows, tile, ...)                                                  \
  switch (rows) {                                                                   \
    TILE_CASE(8, tile, __VA_ARGS__) TILE_CASE(7, tile, __VA_ARGS__)                 \
    TILE_CASE(6, tile, __VA_ARGS__) TILE_CASE(5, tile, __VA_ARGS__)                 \
    TILE_CASE(4, tile, __VA_ARGS__) TILE_CASE(3, tile, __VA_ARGS__)                 \
    TILE_CASE(2, tile, __VA_ARGS__) TILE_CASE(1, tile, __VA_ARGS__)                 \
    default: break;                                                                 \
  }

/* All rows of a layer or product in tiles of at most `most` rows, each by a call of the tile function. */
#define EACH_TILE(row, rows, most, tile, ...)               \
  for (size_t row = 0, n; row < (rows); row += n) {         \
    n = beex_next_tile((rows) - row, most);                 \
    TILE_OF(most)(n, tile, __VA_ARGS__)                     \
  }
#define TILE_OF(most) TILE_OF_NUMBER(most)
#define TILE_OF_NUMBER(most) TILE_OF_##most

#endif
