/* Known answers: what kernels and exit rule make of generated numbers, as a checksum of all its bits.
 *
 * The shapes leave a rest in every tile: of rows, of 64 and of 4 inputs, of 8, 16 and 128 outputs.
 */
#include "../kernels/exact.h"
#include "internal.h"

#include <string.h>

/* Of the reference kernels, tflite/tests/selftest_main.c prints them: for numbers around 1, and for
 * some so small that they have no full precision. */
#define ORDINARY 0
#define TINY (-136)
#define ORDINARY_CHECKSUM 0xee44283du
#define TINY_CHECKSUM 0xca80a19bu

typedef struct {
  const beex_kernels *kernels;
  unsigned char *memory;
  int exponent;
  uint64_t random;
  uint32_t checksum;
} self_test;

/* xorshift64 */
static uint64_t next_word(self_test *t) {
  t->random ^= t->random << 13;
  t->random ^= t->random >> 7;
  t->random ^= t->random << 17;
  return t->random;
}

static void note(self_test *t, const void *result, size_t size) {
  t->checksum = 31 * t->checksum + beex_crc32(result, size);
}

/* 2^n of a normal float. */
static float scale_of(int n) {
  const uint32_t bits = (uint32_t)(n + 127) << 23;
  float scale;
  memcpy(&scale, &bits, sizeof scale);
  return scale;
}

/* Within 4 times 2^exponent, of 24 bits, which are fewer where that is below 2^-126. */
static void fill_floats(self_test *t, size_t count, int exponent, float *x) {
  for (size_t i = 0; i < count; i++) {
    const int32_t whole = (int32_t)(next_word(t) >> 39) - (1 << 24);
    x[i] = (float)whole * scale_of(-22) * scale_of(exponent / 2) * scale_of(exponent - exponent / 2);
  }
}

/* A value an output, and zeros up to the padding. */
static float *take_channels(self_test *t, beex_cursor *cursor, size_t count, int exponent) {
  const size_t padded = BEEX_ROUND_UP(count, BEEX_PADDING);
  float *x = BEEX_TAKE(cursor, float, padded);
  memset(x, 0, padded * sizeof *x);
  fill_floats(t, count, exponent, x);
  return x;
}

/* Bits of a matrix whose panels have `lanes` outputs and groups of `inputs` inputs, `bits` each: none that
 * stand for missing outputs or inputs. */
static void fill_panels(self_test *t, size_t depth, size_t outputs, size_t lanes, size_t inputs,
                        size_t bits, uint8_t *weights) {
  const size_t groups = BEEX_CEIL_DIV(depth, inputs), panels = BEEX_CEIL_DIV(outputs, lanes);
  memset(weights, 0, panels * groups * lanes * inputs * bits / 8);
  for (size_t output = 0; output < outputs; output++) {
    for (size_t i = 0; i < depth * bits; i++) {
      const size_t group = output / lanes * groups + i / (inputs * bits);
      const size_t bit = (group * lanes + output % lanes) * inputs * bits + i % (inputs * bits);
      weights[bit / 8] |= (uint8_t)((next_word(t) >> 40 & 1) << bit % 8);
    }
  }
}

static void test_binary(self_test *t, size_t rows, size_t depth, size_t outputs) {
  const beex_kernels *k = t->kernels;
  const size_t words = BEEX_WORDS(depth);
  beex_cursor cursor = {t->memory, 0};
  float *scale = take_channels(t, &cursor, outputs, ORDINARY);
  float *bias = take_channels(t, &cursor, outputs, t->exponent);
  uint64_t *bits = BEEX_TAKE(&cursor, uint64_t, rows * words);
  uint64_t *weights =
      BEEX_TAKE(&cursor, uint64_t, BEEX_ROUND_UP(outputs, BEEX_BINARY_PANEL) * words);
  float *y = BEEX_TAKE(&cursor, float, rows * outputs);
  fill_panels(t, depth, rows, 1, 64, 1, (uint8_t *)bits);
  fill_panels(t, depth, outputs, BEEX_BINARY_PANEL, 64, 1, (uint8_t *)weights);
  k->binary_linear(rows, depth, outputs, bits, weights, scale, bias, y);
  note(t, y, rows * outputs * sizeof *y);
  uint64_t *signs = (uint64_t *)(void *)y;
  k->binary_signs(rows, depth, outputs, bits, weights, scale, bias, signs);
  note(t, signs, rows * BEEX_WORDS(outputs) * sizeof *signs);
}

/* All that multiplies numbers. */
static void test_products(self_test *t, size_t rows, size_t depth, size_t outputs) {
  const beex_kernels *k = t->kernels;
  const size_t padded = BEEX_ROUND_UP(depth, 4), y_size = rows * outputs * sizeof(float);
  const size_t even = BEEX_ROUND_UP(depth / 4, 2); /* the depth of matrix products */
  beex_cursor cursor = {t->memory, 0};
  float *scale = take_channels(t, &cursor, outputs, ORDINARY);
  float *bias = take_channels(t, &cursor, outputs, t->exponent);
  float *x = BEEX_TAKE(&cursor, float, rows * depth);
  int8_t *q = BEEX_TAKE(&cursor, int8_t, rows * padded);
  beex_quantized_row *row = BEEX_TAKE(&cursor, beex_quantized_row, rows);
  int16_t *whole = BEEX_TAKE(&cursor, int16_t, rows * even);
  float *y = BEEX_TAKE(&cursor, float, rows * outputs);
  /* Weights of every kind, and what a product of two real matrices has on its right. */
  uint8_t *weights = BEEX_TAKE(&cursor, uint8_t, BEEX_ROUND_UP(outputs, BEEX_INT8_PANEL) * padded);
  const uint64_t *signs = (const uint64_t *)(const void *)weights;
  int16_t *pairs = (int16_t *)(void *)weights;
  float *reals = (float *)(void *)weights;
  fill_floats(t, rows * depth, t->exponent, x);
  k->quantize(rows, depth, x, q, row);
  note(t, q, rows * padded);
  note(t, row, rows * sizeof *row);
  fill_panels(t, depth, outputs, BEEX_REAL_PANEL, 4, 1, weights);
  k->real_linear(rows, depth, outputs, x, signs, scale, bias, y);
  note(t, y, y_size);
  k->int8_linear(rows, depth, outputs, q, row, signs, scale, bias, y);
  note(t, y, y_size);
  fill_panels(t, depth, outputs, BEEX_INT8_PANEL, 4, 8, weights);
  k->int8_int8_linear(rows, depth, outputs, q, row, (const int8_t *)weights, scale, bias, y);
  note(t, y, y_size);
  /* Numbers of 16 bits, some of whose sums wrap around. */
  fill_panels(t, even, rows, 1, even, 16, (uint8_t *)whole);
  fill_panels(t, even, outputs, outputs, 2, 16, weights);
  k->int16_matmul(rows, even, outputs, whole, even, pairs, outputs, y, outputs);
  note(t, y, y_size);
  fill_floats(t, even * outputs, ORDINARY, reals);
  k->matmul(rows, even, outputs, x, depth, reals, outputs, y, outputs);
  note(t, y, y_size);
}

/* All other functions. */
static void test_functions(self_test *t, size_t rows, size_t width) {
  const beex_kernels *k = t->kernels;
  const size_t count = rows * width, size = count * sizeof(float);
  beex_cursor cursor = {t->memory, 0};
  float *gamma = take_channels(t, &cursor, width, ORDINARY);
  float *beta = take_channels(t, &cursor, width, t->exponent);
  float *x = BEEX_TAKE(&cursor, float, count), *gate = BEEX_TAKE(&cursor, float, count);
  float *y = BEEX_TAKE(&cursor, float, count);
  int16_t *whole = BEEX_TAKE(&cursor, int16_t, rows * (width + 1));
  uint64_t *signs = (uint64_t *)(void *)whole;
  fill_floats(t, count, t->exponent, x);
  fill_floats(t, count, ORDINARY, gate);
#define NOTE_IN_PLACE(call) memcpy(y, x, size), call, note(t, y, size)
  k->pack_signs(rows, width, x, signs);
  note(t, signs, rows * BEEX_WORDS(width) * sizeof *signs);
  k->to_int16(count, 12, x, whole);
  note(t, whole, count * sizeof(int16_t));
  NOTE_IN_PLACE(k->layer_norm(rows, width, x, NULL, gamma, beta, y));
  NOTE_IN_PLACE(k->layer_norm(rows, width, y, x, gamma, beta, y));
  NOTE_IN_PLACE(k->layer_norm_grid(rows, width, x, y, gamma, beta, 0, 8, y));
  NOTE_IN_PLACE(k->layer_norm_grid(rows, width, x, NULL, gamma, beta, 16, 18, y));
  NOTE_IN_PLACE(k->layer_norm_grid(rows, width, x, y, gamma, beta, 0, 0, y));
  NOTE_IN_PLACE(k->softmax(rows, width, width, 2.5f, y));
  NOTE_IN_PLACE(k->sigmoid(count, y));
  NOTE_IN_PLACE(k->tanh(count, y));
  NOTE_IN_PLACE(k->gelu(count, y));
  for (int is_gate = 0; is_gate < 2; is_gate++) {
    const beex_rational ratio = {3.6f, 0.1f, 3.6f, 16.6f, 8.0f, 20.9f, 0.5f, is_gate};
    NOTE_IN_PLACE(k->rational(count, &ratio, y));
  }
  NOTE_IN_PLACE(k->to_grid(count, y));
  for (int sigmoid = 0; sigmoid < 2; sigmoid++) {
    NOTE_IN_PLACE(k->gate(count, sigmoid, gate, y, y));
    NOTE_IN_PLACE(k->gate_grid(count, sigmoid, gate, y, y));
  }
  memcpy(y, x, size);
  k->power_weights(rows, width, 2.5f, y, width, whole, width + 1);
  note(t, whole, rows * (width + 1) * sizeof(int16_t));
}

/* A number of 52 bits in [0, 1) times the limit. */
static double next_double(self_test *t, double limit) {
  return (double)(next_word(t) >> 12) / 4503599627370496.0 * limit;
}

static void test_exit_rule(self_test *t) {
  for (int i = 0; i < 32; i++) {
    const double limit = i % 2 ? 2.0 : 700.0;
    const double results[2] = {beex_exp(-next_double(t, limit)), beex_log(1 + next_double(t, limit))};
    note(t, results, sizeof results);
  }
}

uint32_t beex_self_test_checksum(const beex_kernels *kernels, void *memory, int exponent) {
  self_test t = {kernels, (unsigned char *)memory, exponent, 88172645463325252u, 0};
  test_binary(&t, 1, 5, 3);
  test_binary(&t, 17, 197, 21);
  test_binary(&t, 9, 70, 139);
  test_products(&t, 1, 5, 3);
  test_products(&t, 17, 37, 43);
  test_products(&t, 9, 6, 139);
  test_functions(&t, 1, 5);
  test_functions(&t, 17, 37);
  test_exit_rule(&t);
  return t.checksum;
}

beex_status beex_self_test(const beex_kernels *kernels, void *memory, size_t size) {
  if (!memory) return BEEX_ERROR_ARGUMENT;
  if ((uintptr_t)memory % 8) return BEEX_ERROR_ALIGNMENT;
  if (size < BEEX_SELF_TEST_SIZE) return BEEX_ERROR_MEMORY;
  if (!kernels) kernels = beex_best_kernels();
  if (beex_self_test_checksum(kernels, memory, ORDINARY) != ORDINARY_CHECKSUM) {
    return BEEX_ERROR_INEXACT;
  }
#ifdef BEEX_HAS_MVE
  /* By Arm's architecture these vectors take numbers below 2^-126 for zero, and compilers make them of
   * plain C as well. */
  return BEEX_OK;
#else
  return beex_self_test_checksum(kernels, memory, TINY) == TINY_CHECKSUM ? BEEX_OK
                                                                         : BEEX_ERROR_INEXACT;
#endif
}
