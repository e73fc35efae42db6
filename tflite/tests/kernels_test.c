/* Every implementation of the kernels that this machine can run, against reference.c, bit for bit, on
 * random shapes; and the real-valued functions against the C library in double.
 *
 *     kernels_test [rounds]
 *
 * On a board there are no arguments; -DROUNDS and -DSTEPS say how much is tested.
 */
#include "../engine/beex.h"
#include "../kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ROUNDS
#define ROUNDS 100
#endif
#ifndef STEPS
#define STEPS 65536 /* of a sweep, to each side */
#endif

static uint64_t state = 88172645463325252u;
static int failures;

/* xorshift64 */
static uint64_t random_word(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static size_t random_below(size_t limit) { return (size_t)(random_word() >> 16) % limit; }

static float random_float(void) { return (float)((double)(random_word() >> 11) * 0x1p-52 - 1.0); }

/* Memory of exactly the size asked for, so that the sanitizers see any access beyond it. */
static void *block(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) exit(2);
  return memory;
}

static float *random_floats(size_t count, float scale) {
  float *x = block(count, sizeof *x);
  for (size_t i = 0; i < count; i++) x[i] = scale * random_float();
  if (count) x[random_below(count)] = 0.0f;
  if (count) x[random_below(count)] = -0.0f;
  return x;
}

/* A value an output, and zeros up to the padding; half of the time on the grid of fully binary models,
 * where sums may be exactly zero. */
static float *random_channels(size_t count, float scale) {
  float *x = block(BEEX_ROUND_UP(count, BEEX_PADDING), sizeof *x);
  const int is_coarse = random_word() >> 40 & 1;
  const float steps = random_word() >> 40 & 1 ? 4096.0f : 4.0f;
  for (size_t i = 0; i < count; i++) {
    x[i] = scale * random_float();
    if (is_coarse) x[i] = rintf(x[i] * steps) / steps;
  }
  x[random_below(count)] = 0.0f;
  if (random_below(4) == 0) x[random_below(count)] = -0.0f;
  return x;
}

/* The first output is positive everywhere. */
static uint64_t *binary_weights(size_t depth, size_t outputs) {
  const size_t words = BEEX_WORDS(depth);
  const size_t panels = BEEX_CEIL_DIV(outputs, BEEX_BINARY_PANEL);
  uint64_t *weights = block(panels * words * BEEX_BINARY_PANEL, sizeof *weights);
  for (size_t output = 1; output < outputs; output++) {
    for (size_t i = 0; i < depth; i++) {
      const size_t word = (output / BEEX_BINARY_PANEL * words + i / 64) * BEEX_BINARY_PANEL;
      weights[word + output % BEEX_BINARY_PANEL] |= (random_word() >> 40 & 1) << i % 64;
    }
  }
  return weights;
}

static uint64_t *real_weights(size_t depth, size_t outputs) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  uint64_t *weights = block(BEEX_CEIL_DIV(outputs, BEEX_REAL_PANEL) * groups, sizeof *weights);
  for (size_t output = 0; output < outputs; output++) {
    for (size_t i = 0; i < depth; i++) {
      const size_t bit = output % BEEX_REAL_PANEL * 4 + i % 4;
      weights[output / BEEX_REAL_PANEL * groups + i / 4] |= (random_word() >> 40 & 1) << bit;
    }
  }
  return weights;
}

static int8_t *int8_weights(size_t depth, size_t outputs) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  int8_t *weights = block(BEEX_CEIL_DIV(outputs, BEEX_INT8_PANEL) * groups * 64, 1);
  for (size_t output = 0; output < outputs; output++) {
    for (size_t i = 0; i < depth; i++) {
      const size_t place = output / BEEX_INT8_PANEL * groups + i / 4;
      weights[64 * place + output % BEEX_INT8_PANEL * 4 + i % 4] = (int8_t)(random_word() >> 56);
    }
  }
  return weights;
}

static void check(const beex_kernels *k, const char *what, size_t rows, size_t depth,
                  size_t outputs, const void *expected, const void *found, size_t bytes) {
  if (memcmp(expected, found, bytes) == 0) return;
  printf("FAIL %s %s: rows %u, depth %u, outputs %u\n", k->name, what, (unsigned)rows,
         (unsigned)depth, (unsigned)outputs);
  failures++;
}

static void test_linear(const beex_kernels *k, size_t rows, size_t depth, size_t outputs) {
  const beex_kernels *truth = &beex_kernels_reference;
  const size_t words = BEEX_WORDS(depth), out_words = BEEX_WORDS(outputs);
  float *x = random_floats(rows * depth, 3.0f);
  /* Two rows that differ from the first output in every sign, the most that can be counted. */
  for (size_t i = 0; i < (rows < 2 ? rows : 2) * depth; i++) x[i] = -1.0f - x[i] * x[i];
  float *scale = random_channels(outputs, 1.0f), *bias = random_channels(outputs, 1.0f);
  uint64_t *weights = binary_weights(depth, outputs), *real = real_weights(depth, outputs);
  int8_t *bytes = int8_weights(depth, outputs);
  uint64_t *bits[2], *signs[2];
  float *y[2];
  int8_t *q[2];
  beex_quantized_row *row[2];
  const size_t q_size = rows * BEEX_ROUND_UP(depth, 4);
  const beex_kernels *both[2] = {truth, k};
  for (int i = 0; i < 2; i++) {
    bits[i] = block(rows * words, sizeof(uint64_t));
    signs[i] = block(rows * out_words, sizeof(uint64_t));
    y[i] = block(rows * outputs, sizeof(float));
    q[i] = block(q_size, 1);
    row[i] = block(rows, sizeof(beex_quantized_row));
    memset(bits[i], 0xa5, rows * words * sizeof(uint64_t));
    memset(signs[i], 0xa5, rows * out_words * sizeof(uint64_t));
    memset(q[i], 0xa5, q_size);
  }
#define BOTH(what, call, result, size)                                      \
  do {                                                                      \
    for (int i = 0; i < 2; i++) both[i]->call;                              \
    check(k, what, rows, depth, outputs, result[0], result[1], size);       \
  } while (0)
  const size_t y_size = rows * outputs * sizeof(float);
  BOTH("pack_signs", pack_signs(rows, depth, x, bits[i]), bits, rows * words * sizeof(uint64_t));
  BOTH("quantize", quantize(rows, depth, x, q[i], row[i]), q, q_size);
  check(k, "quantize", rows, depth, outputs, row[0], row[1], rows * sizeof **row);
  BOTH("binary_linear", binary_linear(rows, depth, outputs, bits[0], weights, scale, bias, y[i]),
       y, y_size);
  BOTH("binary_signs",
       binary_signs(rows, depth, outputs, bits[0], weights, scale, bias, signs[i]), signs,
       rows * out_words * sizeof(uint64_t));
  BOTH("real_linear", real_linear(rows, depth, outputs, x, real, scale, bias, y[i]), y, y_size);
  BOTH("int8_linear",
       int8_linear(rows, depth, outputs, q[0], row[0], real, scale, bias, y[i]), y, y_size);
  BOTH("int8_int8_linear",
       int8_int8_linear(rows, depth, outputs, q[0], row[0], bytes, scale, bias, y[i]), y, y_size);
  for (int i = 0; i < 2; i++) {
    free(bits[i]), free(signs[i]), free(y[i]), free(q[i]), free(row[i]);
  }
  free(x), free(scale), free(bias), free(weights), free(real), free(bytes);
}

static void test_matmul(const beex_kernels *k, size_t rows, size_t depth, size_t columns) {
  const size_t a_stride = depth + random_below(3), b_stride = columns + random_below(20);
  const size_t c_stride = columns + random_below(3), outputs = columns;
  const size_t c_size = (rows - 1) * c_stride + columns;
  float *a = random_floats((rows - 1) * a_stride + depth, 2.0f);
  float *b = random_floats((depth - 1) * b_stride + columns, 2.0f);
  float *c[2] = {block(c_size, sizeof(float)), block(c_size, sizeof(float))};
  const beex_kernels *both[2] = {&beex_kernels_reference, k};
  BOTH("matmul", matmul(rows, depth, columns, a, a_stride, b, b_stride, c[i], c_stride), c,
       c_size * sizeof(float));
  free(a), free(b), free(c[0]), free(c[1]);
}

static int16_t *random_int16s(size_t count) {
  int16_t *x = block(count, sizeof *x);
  for (size_t i = 0; i < count; i++) x[i] = (int16_t)(random_word() >> 48);
  return x;
}

/* Numbers of all sizes, so that some sums wrap around. */
static void test_int16_matmul(const beex_kernels *k, size_t rows, size_t depth, size_t columns) {
  const size_t a_stride = depth + random_below(3), b_stride = columns + random_below(20);
  const size_t c_stride = columns + random_below(3), outputs = columns;
  const size_t c_size = (rows - 1) * c_stride + columns;
  int16_t *a = random_int16s((rows - 1) * a_stride + depth);
  int16_t *b = random_int16s(2 * ((depth / 2 - 1) * b_stride + columns));
  a[0] = a[1] = b[0] = b[1] = INT16_MIN;
  float *c[2] = {block(c_size, sizeof(float)), block(c_size, sizeof(float))};
  const beex_kernels *both[2] = {&beex_kernels_reference, k};
  BOTH("int16_matmul",
       int16_matmul(rows, depth, columns, a, a_stride, b, b_stride, c[i], c_stride), c,
       c_size * sizeof(float));
  free(a), free(b), free(c[0]), free(c[1]);
}

static void test_rows(const beex_kernels *k, size_t rows, size_t depth) {
  const beex_kernels *both[2] = {&beex_kernels_reference, k};
  const size_t stride = depth + random_below(5), outputs = 0;
  const size_t size = (rows - 1) * stride + depth, bytes = size * sizeof(float);
  float *a = random_floats(size, 9.0f), *b = random_floats(size, 9.0f);
  float *gamma = random_floats(depth, 1.0f), *beta = random_floats(depth, 1.0f);
  float *y[2] = {block(size, sizeof(float)), block(size, sizeof(float))};
  const size_t plain = rows * depth * sizeof(float) <= bytes ? rows * depth : size;
#define IN_PLACE(what, call)                                      \
  do {                                                            \
    for (int i = 0; i < 2; i++) memcpy(y[i], a, bytes);           \
    BOTH(what, call, y, bytes);                                   \
  } while (0)
  IN_PLACE("layer_norm", layer_norm(rows, depth, a, b, gamma, beta, y[i]));
  IN_PLACE("layer_norm in place", layer_norm(rows, depth, y[i], b, gamma, beta, y[i]));
  IN_PLACE("layer_norm_grid", layer_norm_grid(rows, depth, a, b, gamma, beta, 0, 8, y[i]));
  IN_PLACE("layer_norm_grid", layer_norm_grid(rows, depth, a, b, gamma, beta, 16, 18, y[i]));
  IN_PLACE("layer_norm_grid, scaled", layer_norm_grid(rows, depth, a, b, gamma, beta, 0, 0, y[i]));
  IN_PLACE("layer_norm_grid, scaled", layer_norm_grid(rows, depth, a, b, gamma, beta, 16, 0, y[i]));
  IN_PLACE("softmax", softmax(rows, depth, stride, 0.3f, y[i]));
  IN_PLACE("sigmoid", sigmoid(plain, y[i]));
  IN_PLACE("tanh", tanh(plain, y[i]));
  IN_PLACE("gelu", gelu(plain, y[i]));
  for (int gate = 0; gate < 2; gate++) {
    const beex_rational ratio = {3.6f, 0.1f, 3.6f, 16.6f, 8.0f, 20.9f, 0.5f, gate};
    IN_PLACE("rational", rational(plain, &ratio, y[i]));
  }
  IN_PLACE("to_grid", to_grid(plain, y[i]));
  int16_t *q[2] = {block(rows * (depth + 1), 2), block(rows * (depth + 1), 2)};
  const int bits = (int)random_below(16);
  BOTH("to_int16", to_int16(plain, bits, a, q[i]), q, plain * sizeof **q);
  for (int i = 0; i < 2; i++) {
    memcpy(y[i], a, bytes);
    memset(q[i], 0xa5, rows * (depth + 1) * sizeof **q);
  }
  BOTH("power_weights", power_weights(rows, depth, 0.3f, y[i], stride, q[i], depth + 1), q,
       rows * (depth + 1) * sizeof **q);
  free(q[0]), free(q[1]);
  for (int sigmoid = 0; sigmoid < 2; sigmoid++) {
    IN_PLACE("gate", gate(plain, sigmoid, a, b, y[i]));
    IN_PLACE("gate_grid", gate_grid(plain, sigmoid, a, b, y[i]));
  }
  free(a), free(b), free(gamma), free(beta), free(y[0]), free(y[1]);
}

static void bound(const beex_kernels *k, const char *what, double error, double limit) {
  if (error < limit) return;
  printf("FAIL %s %s: error %g, limit %g\n", k->name, what, error, limit);
  failures++;
}

/* The stated error bounds, on a fine sweep. */
static void test_accuracy(const beex_kernels *k) {
  double logistic = 0, hyperbolic = 0, exponential = 0, gelu = 0;
  for (int i = -STEPS; i <= STEPS; i++) {
    const float x = 40.0f * (float)i / STEPS;
    float y = x, z = x, g = x, pair[2] = {0.0f, -fabsf(x)};
    k->sigmoid(1, &y);
    k->tanh(1, &z);
    k->gelu(1, &g);
    /* The ratio of the two weights is the exponential, but for two more roundings. */
    k->softmax(1, 2, 2, 1.0f, pair);
    logistic = fmax(logistic, fabs(y - 1 / (1 + exp(-(double)x))));
    hyperbolic = fmax(hyperbolic, fabs(z - tanh((double)x)));
    const double wide = x, inner = sqrt(2 / acos(-1)) * (wide + 0.044715 * wide * wide * wide);
    gelu = fmax(gelu, fabs(g - wide * (1 + tanh(inner)) / 2) / fmax(1, fabs(wide)));
    exponential = fmax(exponential, fabs(pair[1] / pair[0] / exp(-fabs((double)x)) - 1));
  }
  bound(k, "sigmoid", logistic, 0x1p-22);
  bound(k, "tanh", hyperbolic, 0x1p-22);
  bound(k, "gelu", gelu, 0x1p-22);
  bound(k, "softmax", exponential, 0x1p-22 + 0x1p-23);
  const float half[6] = {0.25f, 0.75f, -1.25f, 16383.4f, 8388609.0f, -3e9f};
  const int16_t even[6] = {0, 2, -2, 32767, 32767, -32767};
  int16_t found[6];
  k->to_int16(6, 1, half, found);
  check(k, "to_int16: ties and limits", 1, 6, 0, even, found, sizeof even);
  const float multiples[3] = {0.0f, 2.0f / 4096, 8388609.0f};
  float values[3] = {0.5f / 4096, 1.5f / 4096, 8388609.0f};
  k->to_grid(3, values);
  check(k, "to_grid: ties and large numbers", 1, 3, 0, multiples, values, sizeof values);
}

int main(int count, char **arguments) {
  const int rounds = count > 1 ? atoi(arguments[1]) : ROUNDS;
  test_accuracy(&beex_kernels_reference);
  for (const beex_kernels *const *k = beex_available_kernels(); *k; k++) {
    test_accuracy(*k);
    for (int round = 0; round < rounds; round++) {
      const size_t rows = 1 + random_below(20), outputs = 1 + random_below(90);
      test_linear(*k, rows, 1 + random_below(700), outputs);
      test_linear(*k, rows, 1 + random_below(200), outputs);
      test_matmul(*k, rows, 1 + random_below(70), outputs);
      test_int16_matmul(*k, rows, 2 * (1 + random_below(40)), outputs);
      test_rows(*k, rows, 1 + random_below(90));
    }
    /* So deep that counts in bytes, 16-bit and packed accumulators would overflow. */
    test_linear(*k, 2, 20000, 17);
    test_linear(*k, 3, 64 * 31, 16);
    test_linear(*k, 3, 64 * 32, 16);
    test_linear(*k, 1, 33000, 9);
    /* More rows, words and outputs than a tile has. */
    test_linear(*k, 67, 64 * 13, 140);
    for (int round = 0; round < (rounds + 9) / 10; round++) {
      test_linear(*k, 1 + random_below(20), 1 + random_below(1000), 90 + random_below(400));
    }
    printf("%s: %s\n", (*k)->name, failures ? "FAILED" : "equal to the reference");
  }
  return failures != 0;
}
