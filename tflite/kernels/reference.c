/* The truth: each function as its definition reads, one weight at a time. */
#include "exact.h"
#include "kernels.h"
#include "scalar.h"

#define NAME(f) reference_##f
#include "real.inc"

static int is_negative(const uint64_t *bits, size_t i) { return bits[i / 64] >> i % 64 & 1; }

static int binary_weight(const uint64_t *weights, size_t depth, size_t output, size_t input) {
  const uint64_t *panel =
      weights + output / BEEX_BINARY_PANEL * BEEX_WORDS(depth) * BEEX_BINARY_PANEL;
  const uint64_t word = panel[input / 64 * BEEX_BINARY_PANEL + output % BEEX_BINARY_PANEL];
  return word >> input % 64 & 1 ? -1 : 1;
}

static int real_weight(const uint64_t *weights, size_t depth, size_t output, size_t input) {
  const uint64_t *panel = weights + output / BEEX_REAL_PANEL * BEEX_CEIL_DIV(depth, 4);
  return panel[input / 4] >> (output % BEEX_REAL_PANEL * 4 + input % 4) & 1 ? -1 : 1;
}

static void reference_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  for (size_t row = 0; row < rows; row++, x += depth, bits += BEEX_WORDS(depth)) {
    for (size_t word = 0; word < BEEX_WORDS(depth); word++) bits[word] = 0;
    for (size_t i = 0; i < depth; i++) bits[i / 64] |= (uint64_t)(x[i] < 0) << i % 64;
  }
}

static float binary_output(size_t depth, size_t output, const uint64_t *x,
                           const uint64_t *weights, const float *scale, const float *bias) {
  int32_t sum = 0;
  for (size_t i = 0; i < depth; i++) {
    sum += (is_negative(x, i) ? -1 : 1) * binary_weight(weights, depth, output, i);
  }
  return (float)sum * scale[output] + bias[output];
}

static void reference_binary_linear(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                          const uint64_t *weights, const float *scale, const float *bias,
                          float *y) {
  for (size_t row = 0; row < rows; row++, x += BEEX_WORDS(depth)) {
    for (size_t output = 0; output < outputs; output++) {
      *y++ = binary_output(depth, output, x, weights, scale, bias);
    }
  }
}

static void reference_binary_signs(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                         const uint64_t *weights, const float *scale, const float *bias,
                         uint64_t *y) {
  for (size_t row = 0; row < rows; row++, x += BEEX_WORDS(depth), y += BEEX_WORDS(outputs)) {
    for (size_t word = 0; word < BEEX_WORDS(outputs); word++) y[word] = 0;
    for (size_t output = 0; output < outputs; output++) {
      const int negative = binary_output(depth, output, x, weights, scale, bias) < 0;
      y[output / 64] |= (uint64_t)negative << output % 64;
    }
  }
}

static void reference_real_linear(size_t rows, size_t depth, size_t outputs, const float *x,
                        const uint64_t *weights, const float *scale, const float *bias,
                        float *y) {
  for (size_t row = 0; row < rows; row++, x += depth) {
    for (size_t output = 0; output < outputs; output++) {
      float sum = 0;
      for (size_t i = 0; i < depth; i++) {
        sum += x[i] * (float)real_weight(weights, depth, output, i);
      }
      *y++ = sum * scale[output] + bias[output];
    }
  }
}

static void reference_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                        const beex_quantized_row *row, const uint64_t *weights,
                        const float *scale, const float *bias, float *y) {
  for (; rows; rows--, x += BEEX_ROUND_UP(depth, 4), row++) {
    for (size_t output = 0; output < outputs; output++) {
      int32_t sum = 0;
      for (size_t i = 0; i < depth; i++) sum += x[i] * real_weight(weights, depth, output, i);
      *y++ = (float)sum * row->scale * scale[output] + bias[output];
    }
  }
}

static void reference_int8_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                             const beex_quantized_row *row, const int8_t *weights,
                             const float *scale, const float *bias, float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (; rows; rows--, x += 4 * groups, row++) {
    for (size_t output = 0; output < outputs; output++) {
      const int8_t *panel = weights + output / BEEX_INT8_PANEL * groups * 64;
      int32_t sum = 0;
      for (size_t i = 0; i < depth; i++) {
        sum += x[i] * panel[i / 4 * 64 + output % BEEX_INT8_PANEL * 4 + i % 4];
      }
      *y++ = (float)sum * row->scale * scale[output] + bias[output];
    }
  }
}

static void reference_matmul(size_t rows, size_t depth, size_t columns, const float *a, size_t a_stride,
                   const float *b, size_t b_stride, float *c, size_t c_stride) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      float sum = 0;
      for (size_t i = 0; i < depth; i++) sum += a[row * a_stride + i] * b[i * b_stride + column];
      c[row * c_stride + column] = sum;
    }
  }
}

static void reference_int16_matmul(size_t rows, size_t depth, size_t columns, const int16_t *a,
                         size_t a_stride, const int16_t *b, size_t b_stride, float *c,
                         size_t c_stride) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      uint32_t sum = 0;
      for (size_t i = 0; i < depth; i++) {
        const int32_t left = a[row * a_stride + i];
        sum += (uint32_t)(left * b[(i / 2 * b_stride + column) * 2 + i % 2]);
      }
      c[row * c_stride + column] = (float)(int32_t)sum;
    }
  }
}

const beex_kernels beex_kernels_reference = {
    .name = "reference",
    PRODUCT_FUNCTIONS,
    REAL_FUNCTIONS,
};
