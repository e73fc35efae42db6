/* The functions of lce.h against loops that read one sign at a time, on random shapes. */
#include "../kernels/lce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252u;

/* xorshift64 */
static uint32_t random_word(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16);
}

static size_t random_size(size_t most) { return 1 + random_word() % most; }

static float random_float(void) { return (float)((double)random_word() * 0x1p-31 - 1.0); }

/* Memory of exactly the size asked for, so that the sanitizers see any access beyond it. */
static void *block(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (!memory) exit(2);
  return memory;
}

/* Rows of words, some of ones alone, whose counts are the largest. */
static uint32_t *random_words(size_t count) {
  uint32_t *words = block(count, sizeof *words);
  const int full = random_word() % 4 == 0;
  for (size_t i = 0; i < count; i++) words[i] = full ? 0xffffffffu : random_word();
  return words;
}

static int sign_at(const uint32_t *words, size_t i) { return words[i / 32] >> i % 32 & 1; }

static int test_count(void) {
  const size_t rows = random_size(9), words = random_size(100), stride = words + random_word() % 3;
  uint32_t *x = random_words(words), *weights = random_words((rows - 1) * stride + words);
  uint32_t *found = block(rows, sizeof *found), *expected = block(rows, sizeof *expected);
  int failures = 0;
  for (int is_null = 0; is_null < 2; is_null++) {
    for (size_t row = 0; row < rows; row++) {
      found[row] = expected[row] = random_word() % 1000;
      for (size_t i = 0; i < 32 * words; i++) {
        expected[row] += (is_null ? 0 : sign_at(x, i)) != sign_at(weights + row * stride, i);
      }
    }
    beex_count_differences(rows, words, is_null ? NULL : x, weights, stride, found);
    failures += memcmp(found, expected, rows * sizeof *found) != 0;
  }
  free(x), free(weights), free(found), free(expected);
  return failures;
}

static int test_multiply(void) {
  const size_t rows = random_size(9), inputs = random_size(200), outputs = random_size(20);
  const size_t words = (inputs + 31) / 32;
  float *x = block(rows * inputs, sizeof *x), *bias = block(outputs, sizeof *bias);
  uint32_t *weights = random_words(outputs * words);
  float *found = block(rows * outputs, sizeof *found), *expected = block(rows * outputs, sizeof *expected);
  int failures = 0;
  for (size_t i = 0; i < rows * inputs; i++) x[i] = random_float();
  for (size_t i = 0; i < outputs; i++) bias[i] = random_float();
  for (int biased = 0; biased < 2; biased++) {
    for (size_t row = 0; row < rows; row++) {
      for (size_t output = 0; output < outputs; output++) {
        float sum = 0;
        for (size_t i = 0; i < inputs; i++) {
          const float value = x[row * inputs + i];
          sum += sign_at(weights + output * words, i) ? -value : value;
        }
        expected[row * outputs + output] = biased ? sum + bias[output] : sum;
      }
    }
    beex_multiply_signs(rows, inputs, outputs, x, weights, biased ? bias : NULL, found);
    failures += memcmp(found, expected, rows * outputs * sizeof *found) != 0;
  }
  free(x), free(bias), free(weights), free(found), free(expected);
  return failures;
}

int main(void) {
  int failures = 0;
  for (int round = 0; round < 300; round++) failures += test_count() + test_multiply();
  printf("%d failures\n", failures);
  return failures != 0;
}
