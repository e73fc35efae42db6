/* Plain C99, a word at a time: for machines without a file of their own. */
#include "exact.h"
#include "kernels.h"

/* That nobody looks at floating-point exceptions changes no result, but GCC makes vectors of a choice between
 * floats only if it knows. (What avx2.c writes by hand gets slower.) */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("no-trapping-math")
#endif

#include "scalar.h"

#define NAME(f) portable_##f
#include "real.inc"

#define ROWS 8

/* Bits set in a word, by adding neighbours: pairs, nibbles, bytes, and all bytes by one product. */
static inline unsigned count_bits(uint64_t word) {
  word -= word >> 1 & UINT64_C(0x5555555555555555);
  word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
  word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
  return (unsigned)(word * UINT64_C(0x0101010101010101) >> 56);
}

static void portable_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  for (; rows; rows--) {
    for (size_t left = depth; left;) {
      const size_t n = left < 64 ? left : 64;
      uint64_t word = 0;
      for (size_t i = 0; i < n; i++) word |= (uint64_t)(*x++ < 0) << i;
      *bits++ = word;
      left -= n;
    }
  }
}

/* The eight outputs of one panel for one row: sums = depth - 2 (signs that differ). */
static inline void binary_panel(size_t depth, const uint64_t *x, const uint64_t *panel,
                                const float *scale, const float *bias, float *y) {
  uint32_t different[BEEX_BINARY_PANEL] = {0};
  for (size_t word = 0; word < BEEX_WORDS(depth); word++, panel += BEEX_BINARY_PANEL) {
    for (int o = 0; o < BEEX_BINARY_PANEL; o++) different[o] += count_bits(x[word] ^ panel[o]);
  }
  for (int o = 0; o < BEEX_BINARY_PANEL; o++) {
    const int32_t sum = (int32_t)depth - 2 * (int32_t)different[o];
    y[o] = (float)sum * scale[o] + bias[o];
  }
}

static void portable_binary_linear(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                          const uint64_t *weights, const float *scale, const float *bias,
                          float *y) {
  const size_t words = BEEX_WORDS(depth);
  for (size_t output = 0; output < outputs; output += BEEX_BINARY_PANEL) {
    const size_t n = outputs - output < BEEX_BINARY_PANEL ? outputs - output : BEEX_BINARY_PANEL;
    for (size_t row = 0; row < rows; row++) {
      float result[BEEX_BINARY_PANEL];
      binary_panel(depth, x + row * words, weights + output * words, scale + output,
                   bias + output, result);
      memcpy(y + row * outputs + output, result, n * sizeof *result);
    }
  }
}

static void portable_binary_signs(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                         const uint64_t *weights, const float *scale, const float *bias,
                         uint64_t *y) {
  const size_t words = BEEX_WORDS(depth), y_words = BEEX_WORDS(outputs);
  memset(y, 0, rows * y_words * sizeof *y);
  for (size_t output = 0; output < outputs; output += BEEX_BINARY_PANEL) {
    for (size_t row = 0; row < rows; row++) {
      float result[BEEX_BINARY_PANEL];
      binary_panel(depth, x + row * words, weights + output * words, scale + output,
                   bias + output, result);
      /* Missing outputs have scale and bias 0, so their bits are 0. */
      uint64_t byte = 0;
      for (int o = 0; o < BEEX_BINARY_PANEL; o++) byte |= (uint64_t)(result[o] < 0) << o;
      y[row * y_words + output / 64] |= byte << output % 64;
    }
  }
}

/* +-1 of the four inputs of a group, of 16 outputs each: 1.0 with the weight's bit as its sign. */
static inline void unpack_group(uint64_t group, float weight[4][BEEX_REAL_PANEL]) {
  uint32_t four[BEEX_REAL_PANEL], bits[4][BEEX_REAL_PANEL];
  for (int o = 0; o < BEEX_REAL_PANEL; o++) four[o] = (uint32_t)(group >> 4 * o);
  for (int i = 0; i < 4; i++) {
    for (int o = 0; o < BEEX_REAL_PANEL; o++) {
      bits[i][o] = (four[o] << (31 - i) & 0x80000000u) | 0x3f800000u;
    }
  }
  memcpy(weight, bits, sizeof bits);
}

/* Adds four inputs to the sums of 16 outputs. One sum a time, and its inputs in their order: a compiler turns
 * this into vectors over the outputs, of any width, and needs few registers for it. */
static inline void add_group(const float *x, float weight[4][BEEX_REAL_PANEL],
                             float sum[BEEX_REAL_PANEL]) {
  const float x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
  for (int o = 0; o < BEEX_REAL_PANEL; o++) {
    sum[o] = (((sum[o] + x0 * weight[0][o]) + x1 * weight[1][o]) + x2 * weight[2][o]) + x3 * weight[3][o];
  }
}

/* A group of weights is unpacked once for ROWS rows. */
static void portable_real_linear(size_t rows, size_t depth, size_t outputs, const float *x,
                        const uint64_t *weights, const float *scale, const float *bias,
                        float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4), whole = depth / 4;
  for (size_t output = 0; output < outputs; output += BEEX_REAL_PANEL, weights += groups) {
    const size_t n = outputs - output < BEEX_REAL_PANEL ? outputs - output : BEEX_REAL_PANEL;
    for (size_t first = 0; first < rows; first += ROWS) {
      const size_t tile = rows - first < ROWS ? rows - first : ROWS;
      const float *row_x = x + first * depth;
      float sum[ROWS][BEEX_REAL_PANEL] = {{0}}, weight[4][BEEX_REAL_PANEL];
      for (size_t group = 0; group < whole; group++) {
        unpack_group(weights[group], weight);
        for (size_t r = 0; r < tile; r++) add_group(row_x + r * depth + 4 * group, weight, sum[r]);
      }
      if (whole < groups) { /* zeros in place of missing inputs change no sum: none is -0 */
        unpack_group(weights[whole], weight);
        for (size_t r = 0; r < tile; r++) {
          float tail[4] = {0, 0, 0, 0};
          memcpy(tail, row_x + r * depth + 4 * whole, depth % 4 * sizeof *tail);
          add_group(tail, weight, sum[r]);
        }
      }
      for (size_t r = 0; r < tile; r++) {
        for (size_t o = 0; o < n; o++) {
          y[(first + r) * outputs + output + o] = sum[r][o] * scale[output + o] + bias[output + o];
        }
      }
    }
  }
}

/* === int8 x binary ===
 *
 * The sum of all inputs, less twice that of those with a negative weight. Four bits of weights choose one of
 * 16 sums of four inputs, which are tabled once for four rows, each in 16 bits of a word:
 *
 *     for each group of four inputs
 *       table[group][bits] = of each row, the sum of the inputs that have a bit
 *     for each output
 *       negative = table[0][its bits] + table[1][its bits] + ...
 *
 * So an addition stands for 16 products. A number below zero borrows from the row above, and gives back when
 * the row is taken out.
 */
#define INT8_ROWS 4
#define INT8_GROUPS 32 /* 128 inputs, whose sum fits into 16 bits */

static void fill_sums(size_t rows, size_t stride, size_t groups, const int8_t *x,
                      uint64_t table[][16]) {
  for (size_t group = 0; group < groups; group++, x += 4) {
    uint64_t *sums = table[group];
    sums[0] = 0;
    for (int i = 0; i < 4; i++) {
      uint64_t input = 0;
      for (size_t r = 0; r < rows; r++) input += (uint64_t)(int64_t)x[r * stride + (size_t)i] << 16 * r;
      for (int bits = 0; bits < 1 << i; bits++) sums[bits | 1 << i] = sums[bits] + input;
    }
  }
}

/* What a row has of y, from its part of the negative sum; until all groups were added it waits there as a
 * whole number. */
static inline void add_negative(int32_t negative, int is_first, int is_last,
                                const beex_quantized_row *row, float scale, float bias, float *y) {
  if (!is_first) {
    int32_t before;
    memcpy(&before, y, sizeof before);
    negative += before;
  }
  if (is_last) {
    *y = (float)(row->sum - 2 * negative) * row->scale * scale + bias;
  } else {
    memcpy(y, &negative, sizeof negative);
  }
}

static void portable_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                        const beex_quantized_row *row, const uint64_t *weights,
                        const float *scale, const float *bias, float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (size_t n; rows; rows -= n, row += n, x += 4 * groups * n, y += outputs * n) {
    n = rows < INT8_ROWS ? rows : INT8_ROWS;
    for (size_t start = 0, some; start < groups; start += some) {
      some = groups - start < INT8_GROUPS ? groups - start : INT8_GROUPS;
      uint64_t table[INT8_GROUPS][16];
      fill_sums(n, 4 * groups, some, x + 4 * start, table);
      for (size_t output = 0; output < outputs; output += 4) {
        const uint64_t *panel = weights + output / BEEX_REAL_PANEL * groups + start;
        uint64_t sums[4] = {0, 0, 0, 0};
        for (size_t group = 0; group < some; group++) {
          const uint64_t bits = panel[group] >> output % BEEX_REAL_PANEL * 4;
          for (int o = 0; o < 4; o++) sums[o] += table[group][bits >> 4 * o & 15];
        }
        for (size_t o = output; o < outputs && o < output + 4; o++) {
          uint64_t sum = sums[o - output];
          for (size_t r = 0; r < n; r++) {
            const int32_t negative = (int32_t)((sum & 0xffff) ^ 0x8000) - 0x8000;
            add_negative(negative, start == 0, start + some == groups, row + r, scale[o], bias[o],
                         y + r * outputs + o);
            sum = (sum - (uint64_t)(int64_t)negative) >> 16;
          }
        }
      }
    }
  }
}

static void portable_int8_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                                      const beex_quantized_row *row, const int8_t *weights,
                                      const float *scale, const float *bias, float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (; rows; rows--, row++, x += 4 * groups) {
    const int8_t *group = weights;
    for (size_t output = 0; output < outputs; output += BEEX_INT8_PANEL) {
      const size_t n = outputs - output < BEEX_INT8_PANEL ? outputs - output : BEEX_INT8_PANEL;
      int32_t sum[BEEX_INT8_PANEL] = {0};
      for (size_t i = 0; i < 4 * groups; i += 4, group += 4 * BEEX_INT8_PANEL) {
        for (int o = 0; o < BEEX_INT8_PANEL; o++) {
          const int8_t *w = group + 4 * o;
          sum[o] += x[i] * w[0] + x[i + 1] * w[1] + x[i + 2] * w[2] + x[i + 3] * w[3];
        }
      }
      for (size_t o = 0; o < n; o++) {
        *y++ = (float)sum[o] * row->scale * scale[output + o] + bias[output + o];
      }
    }
  }
}

/* 16 columns at a time, so that the inner loop runs over neighbours in memory. */
static void portable_matmul(size_t rows, size_t depth, size_t columns, const float *a, size_t a_stride,
                   const float *b, size_t b_stride, float *c, size_t c_stride) {
  for (size_t row = 0; row < rows; row++, a += a_stride, c += c_stride) {
    for (size_t column = 0; column < columns; column += 16) {
      const size_t n = columns - column < 16 ? columns - column : 16;
      float sum[16] = {0};
      for (size_t i = 0; i < depth; i++) {
        for (size_t o = 0; o < n; o++) sum[o] += a[i] * b[i * b_stride + column + o];
      }
      memcpy(c + column, sum, n * sizeof *sum);
    }
  }
}

/* The same for pairs of whole numbers. */
static void portable_int16_matmul(size_t rows, size_t depth, size_t columns, const int16_t *a,
                                  size_t a_stride, const int16_t *b, size_t b_stride, float *c,
                                  size_t c_stride) {
  for (size_t row = 0; row < rows; row++, a += a_stride, c += c_stride) {
    for (size_t column = 0; column < columns; column += 16) {
      const size_t n = columns - column < 16 ? columns - column : 16;
      uint32_t sum[16] = {0};
      for (size_t i = 0; i < depth; i += 2) {
        const int16_t *pair = b + (i / 2 * b_stride + column) * 2;
        for (size_t o = 0; o < n; o++) {
          sum[o] += (uint32_t)(a[i] * pair[2 * o]) + (uint32_t)(a[i + 1] * pair[2 * o + 1]);
        }
      }
      for (size_t o = 0; o < n; o++) c[column + o] = (float)(int32_t)sum[o];
    }
  }
}

const beex_kernels beex_kernels_portable = {
    .name = "portable",
    PRODUCT_FUNCTIONS,
    REAL_FUNCTIONS,
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
