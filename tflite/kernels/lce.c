#include "exact.h"

#include "lce.h"

#include <string.h>

/* Counts stand side by side in a word: pairs of bits hold up to 2, nibbles up to 12, bytes up to 255.
 *
 * Three words at a time go through a full adder, bit by bit: `ones` is their sum's lower bit, `twos` the
 * upper one. Both are counted in nibbles of up to 4, so ones + 2 twos is at most 12 and fits; so
 * two words are counted where there were three:
 *
 *     bits set in a, b, c  =  bits set in ones  +  2 (bits set in twos)
 */
#define THREES 10 /* of at most 24 a byte: they stay below 256 */

static inline uint32_t count_nibbles(uint32_t word) {
  word -= word >> 1 & 0x55555555u;
  return (word & 0x33333333u) + (word >> 2 & 0x33333333u);
}

static inline uint32_t count_bytes(uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t either = a ^ b, ones = either ^ c, twos = (a & b) | (either & c);
  const uint32_t nibbles = count_nibbles(ones) + 2 * count_nibbles(twos);
  return (nibbles & 0x0f0f0f0fu) + (nibbles >> 4 & 0x0f0f0f0fu);
}

/* The four bytes added: in pairs, since together they may exceed a byte. */
static inline uint32_t add_bytes(uint32_t bytes) {
  const uint32_t pairs = (bytes & 0x00ff00ffu) + (bytes >> 8 & 0x00ff00ffu);
  return (pairs + (pairs >> 16)) & 0xffffu;
}

void beex_count_differences(size_t rows, size_t words, const uint32_t *x, const uint32_t *weights,
                            size_t stride, uint32_t *different) {
  static const uint32_t zeros[3 * THREES];
  for (; rows; rows--, weights += stride, different++) {
    for (size_t word = 0; word < words;) {
      const size_t n = words - word < 3 * THREES ? words - word : 3 * THREES;
      const uint32_t *a = x ? x + word : zeros, *b = weights + word;
      uint32_t bytes = 0;
      size_t i = 0;
      for (; i + 3 <= n; i += 3) {
        bytes += count_bytes(a[i] ^ b[i], a[i + 1] ^ b[i + 1], a[i + 2] ^ b[i + 2]);
      }
      if (i < n) bytes += count_bytes(a[i] ^ b[i], i + 1 < n ? a[i + 1] ^ b[i + 1] : 0, 0);
      *different += add_bytes(bytes);
      word += n;
    }
  }
}

#define ROWS 4

/* +-1 of a sign: 1.0 with the bit as its own. */
static inline float sign_value(uint32_t word, size_t i) {
  const uint32_t bits = 0x3f800000u | (word >> i & 1) << 31;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* A weight is made from its bit once for ROWS rows. */
void beex_multiply_signs(size_t rows, size_t inputs, size_t outputs, const float *x,
                         const uint32_t *weights, const float *bias, float *y) {
  const size_t words = (inputs + 31) / 32;
  for (size_t first = 0; first < rows; first += ROWS) {
    const size_t tile = rows - first < ROWS ? rows - first : ROWS;
    /* Rows that the last tile lacks repeat its first, and are not written. */
    const float *row[ROWS];
    for (size_t r = 0; r < ROWS; r++) row[r] = x + (first + (r < tile ? r : 0)) * inputs;
    for (size_t output = 0; output < outputs; output++) {
      const uint32_t *word = weights + output * words;
      float sum[ROWS] = {0};
      for (size_t start = 0; start < inputs; start += 32, word++) {
        const size_t n = inputs - start < 32 ? inputs - start : 32;
        for (size_t i = 0; i < n; i++) {
          const float weight = sign_value(*word, i);
          for (size_t r = 0; r < ROWS; r++) sum[r] += row[r][start + i] * weight;
        }
      }
      for (size_t r = 0; r < tile; r++) {
        y[(first + r) * outputs + output] = bias ? sum[r] + bias[output] : sum[r];
      }
    }
  }
}
