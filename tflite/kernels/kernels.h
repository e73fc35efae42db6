/* Kernels of the BEExformer engine: one table of functions, one implementation an instruction set.
 *
 * Bits. Bit 1 means negative, bit 0 means zero or positive: sign(0) = +1. Words are 64 bits, little
 * endian in memory.
 *
 * Every implementation gives the same result to the last bit, that of reference.c:
 * - sums of +-1 are whole numbers;
 * - a sum of real numbers times +-1 runs over its inputs in their order, one accumulator an output
 *   (a product by +-1 is exact, so fused or not makes no difference);
 * - any other sum of real numbers runs in 16 lanes (element i belongs to lane i mod 16), and the
 *   lanes are added in halves: 8 and 8, 4 and 4, 2 and 2, 1 and 1;
 * - a product of two real numbers is rounded before it is added: never contracted.
 * This needs IEEE 754 float arithmetic, rounding to nearest even; exact.h sees to it.
 *
 * Pointers may be unaligned for SIMD, but not for their type. Nothing here allocates memory.
 */
#ifndef BEEX_KERNELS_H
#define BEEX_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Binary x binary weights: panels of 8 outputs. Word k of the 8 outputs stand side by side, bit i of
 * word k is input 64 k + i; missing outputs and inputs are 0.
 *     uint64_t weights[panels][words][8]
 */
#define BEEX_BINARY_PANEL 8

/* Real x binary weights: panels of 16 outputs, inputs in groups of 4. Bit 4 o + i of a group is
 * input i of output o; missing outputs and inputs are 0.
 *     uint64_t weights[panels][groups]
 */
#define BEEX_REAL_PANEL 16

/* int8 weights: panels of 16 outputs, inputs in groups of 4. The 4 inputs of an output stand side by
 * side, then those of the next, 64 bytes a group; missing outputs and inputs are 0.
 *     int8_t weights[panels][groups][16][4]
 * A group is one vector of AVX-512; a word of it is what a processor of 32 bits multiplies by twos.
 */
#define BEEX_INT8_PANEL 16

/* Vectors of an entry for each output (scale, bias) are readable, as zeros, up to a multiple of: */
#define BEEX_PADDING 16

#define BEEX_CEIL_DIV(n, d) (((n) + (d) - 1) / (d))
#define BEEX_ROUND_UP(n, d) (BEEX_CEIL_DIV(n, d) * (d))
#define BEEX_WORDS(depth) BEEX_CEIL_DIV((size_t)(depth), 64)

/* A row of int8 inputs, quantized: x is about scale * q, and sum is that of the q. */
typedef struct beex_quantized_row {
  float scale;
  int32_t sum;
} beex_quantized_row;

/* Of x within +-limit, w = x^2:  r = x ((p2 w + p1) w + p0) / ((w + q1) w + q0). The function is r + constant,
 * or, if it is a gate, x / 2 (r + 1) for every x. */
typedef struct beex_rational {
  float limit, p2, p1, p0, q1, q0, constant;
  int is_gate;
} beex_rational;

typedef struct beex_kernels {
  const char *name;

  /* === Packing === */

  /* Signs of x: float [rows][depth] -> bits [rows][words], the bits behind depth 0. */
  void (*pack_signs)(size_t rows, size_t depth, const float *x, uint64_t *bits);

  /* x = scale * q with scale = max |x| / 127 of each row: float [rows][depth] -> int8
   * [rows][depth rounded up to 4], zeros behind depth. */
  void (*quantize)(size_t rows, size_t depth, const float *x, int8_t *q,
                   beex_quantized_row *row);

  /* === Linear layers: y = (x . w) * scale + bias, float [rows][outputs] === */

  /* x: bits [rows][words]; the product is exact, and so is y where scale and bias lie on a grid. */
  void (*binary_linear)(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                        const uint64_t *weights, const float *scale, const float *bias, float *y);

  /* The signs of that y and not y itself: bits [rows][words of outputs]. */
  void (*binary_signs)(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                       const uint64_t *weights, const float *scale, const float *bias,
                       uint64_t *y);

  /* x: float [rows][depth], w +-1. */
  void (*real_linear)(size_t rows, size_t depth, size_t outputs, const float *x,
                      const uint64_t *weights, const float *scale, const float *bias, float *y);

  /* x: as `quantize` writes it, w +-1; the product is exact, and so is `sum` up to depth 2^17. */
  void (*int8_linear)(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                      const beex_quantized_row *row, const uint64_t *weights, const float *scale,
                      const float *bias, float *y);

  /* x: as `quantize` writes it, w int8; the product is exact up to depth 2^17. */
  void (*int8_int8_linear)(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                           const beex_quantized_row *row, const int8_t *weights,
                           const float *scale, const float *bias, float *y);

  /* c = a b, real: [rows][depth] x [depth][columns] -> [rows][columns], with row strides. A sum
   * runs over depth in order. */
  void (*matmul)(size_t rows, size_t depth, size_t columns, const float *a, size_t a_stride,
                 const float *b, size_t b_stride, float *c, size_t c_stride);

  /* c = a b of whole numbers: int16 [rows][depth] x [depth / 2][columns][2] -> float [rows][columns],
   * with strides, that of b in pairs. Depth is even; pairs of it stand side by side in a and in b, where they are
   * aligned to 4 bytes. Sums
   * are exact within 2^31 and wrap around beyond; as floats they are rounded beyond 2^24. */
  void (*int16_matmul)(size_t rows, size_t depth, size_t columns, const int16_t *a,
                       size_t a_stride, const int16_t *b, size_t b_stride, float *c,
                       size_t c_stride);

  /* === Real-valued functions === */

  /* y = LN(a + b), over each row of float [rows][width]; b may be null for zeros, y may be a or b. */
  void (*layer_norm)(size_t rows, size_t width, const float *a, const float *b,
                     const float *gamma, const float *beta, float *y);

  /* The same on the grid of a model that is exact or fully binary: inputs are put on 2^-input_bits (0:
   * they are on a grid), squares on 2^-square_bits, outputs on 2^-12. With square_bits 0, as in an exact
   * model, large numbers keep exact sums too: for their mean, inputs that are on a grid are put on 2^-8;
   * and a row less its mean is scaled to the largest magnitude, a whole number, with an exact sum of squares. */
  void (*layer_norm_grid)(size_t rows, size_t width, const float *a, const float *b,
                          const float *gamma, const float *beta, int input_bits, int square_bits,
                          float *y);

  /* Each row of x [rows][stride], its first count entries: softmax(scale * x) in place. Each
   * exponential has a relative error below 2^-22. */
  void (*softmax)(size_t rows, size_t count, size_t stride, float scale, float *x);

  /* 2^10 max(0, 1 + z / 64)^64 to the nearest whole number, with z = scale * x less its maximum; not
   * normalized. From the first count entries of each row of x [rows][x_stride], which is overwritten,
   * to int16 [rows][stride], zeros behind count. */
  void (*power_weights)(size_t rows, size_t count, float scale, float *x, size_t x_stride,
                        int16_t *weights, size_t stride);

  /* In place; absolute error below 2^-22. */
  void (*sigmoid)(size_t count, float *x);
  void (*tanh)(size_t count, float *x);

  /* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 in place; error below 2^-22 max(1, |x|). */
  void (*gelu)(size_t count, float *x);

  /* In place, each operation rounded. */
  void (*rational)(size_t count, const beex_rational *function, float *x);

  /* In place, to the nearest multiple of 2^-12, ties to even. */
  void (*to_grid)(size_t count, float *x);

  /* 2^bits x to the nearest whole number, ties to even, within +-32767. */
  void (*to_int16)(size_t count, int bits, const float *x, int16_t *q);

  /* y = gate * content, with sigmoid(gate) if so asked; y may be gate or content. */
  void (*gate)(size_t count, int sigmoid, const float *gate, const float *content, float *y);

  /* The same on the grid: the sigmoid is min(max(z / 4 + 1/2, 0), 1), y lies on 2^-12. */
  void (*gate_grid)(size_t count, int sigmoid, const float *gate, const float *content, float *y);
} beex_kernels;

extern const beex_kernels beex_kernels_reference;
extern const beex_kernels beex_kernels_portable;
#if defined(__x86_64__) && defined(__GNUC__)
#define BEEX_HAS_AVX 1
extern const beex_kernels beex_kernels_avx2;
extern const beex_kernels beex_kernels_avx512;
extern const beex_kernels beex_kernels_avx512vbmi; /* in avx512.c */
#endif
#if defined(__aarch64__) && defined(__GNUC__)
#define BEEX_HAS_NEON 1
extern const beex_kernels beex_kernels_neon;
extern const beex_kernels beex_kernels_neondot; /* in neon.c */
#endif
#if defined(__wasm_simd128__)
#define BEEX_HAS_WASM 1
extern const beex_kernels beex_kernels_wasm;
#endif

/* Their assembly takes most registers, which only an optimizing compiler has free. */
#if defined(__GNUC__) && defined(__OPTIMIZE__) && __ARM_ARCH_PROFILE == 'M' && defined(__thumb2__)
#define BEEX_HAS_CORTEXM 1
extern const beex_kernels beex_kernels_cortexm;
#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2)
#define BEEX_HAS_MVE 1
extern const beex_kernels beex_kernels_mve;
#endif
#endif

#ifdef __cplusplus
}
#endif

#endif
