/* AVX2 and FMA (Intel Haswell, AMD Zen and later). */
#include "simd.h"

#ifdef BEEX_HAS_AVX

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define NAME(f) avx2_##f
#define LANES 8

typedef __m256 vec;

INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
INLINE vec v_set(float x) { return _mm256_set1_ps(x); }
INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec v_round(vec x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vec v_is_negative(vec x) {
  return _mm256_and_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ), _mm256_set1_ps(1.0f));
}
INLINE vec v_power_of_2(vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}

INLINE float v_total(vec x) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
INLINE __m256i first_lanes(size_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}
INLINE vec v_load_some(const float *p, size_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
INLINE void v_store_some(float *p, size_t n, vec x) { _mm256_maskstore_ps(p, first_lanes(n), x); }
INLINE float v_largest(vec x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  const __m256i whole = _mm256_cvtps_epi32(x);
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  const int64_t bytes = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
  memcpy(q, &bytes, n);
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  const __m256i whole = _mm256_cvtps_epi32(x);
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  if (n == 8) {
    _mm_storeu_si128((__m128i *)(void *)q, words);
  } else {
    memcpy(q, &words, n * sizeof *q);
  }
}

#include "real.inc"

/* Eight floats of y, of which outputs - output may be fewer. */
INLINE void store_outputs(float *y, size_t left, vec value) {
  avx2_store(y, avx2_at_most(left), value);
}

static TARGET void avx2_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  const __m256 zero = _mm256_setzero_ps();
  for (; rows; rows--, x += depth) {
    for (size_t i = 0; i < depth; i += 64, bits++) {
      uint64_t word = 0;
      for (size_t part = 0; part < 64 && i + part < depth; part += 8) {
        const __m256 value = avx2_load(x + i + part, avx2_at_most(depth - i - part));
        const unsigned signs =
            (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(value, zero, _CMP_LT_OQ));
        word |= (uint64_t)signs << part;
      }
      *bits = word;
    }
  }
}

/* === Binary x binary ===
 *
 * A vector holds one word of 4 outputs. Bits are counted by looking up nibbles; as the exclusive or
 * of nibbles is the nibble of the exclusive or, inputs and weights are split before, once for all
 * outputs and once for all rows of a tile.
 *
 *     for each word k
 *       w_low, w_high = nibbles of weights[k]
 *       for each row r
 *         bytes[r] += count[x_low[r][k] ^ w_low] + count[x_high[r][k] ^ w_high]
 *     different[r] = sums of the eight bytes of each word
 *
 * A byte grows by 8 at most each time, so after 31 words the bytes are added up.
 */
#define ROWS 4
#define MOST_WORDS 64
#define WORDS_A_BYTE 31

typedef struct {
  uint64_t low[ROWS][MOST_WORDS], high[ROWS][MOST_WORDS];
} nibbles;

INLINE void binary_tile(const size_t rows, const binary_layer *layer, const nibbles *x, size_t row,
                        size_t output) {
  const size_t words = BEEX_WORDS(layer->depth);
  const uint64_t *weights = layer->weights + output * words;
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i count = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                         2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  __m256i different[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) different[r][h] = _mm256_setzero_si256();
  }
  for (size_t start = 0; start < words; start += WORDS_A_BYTE) {
    const size_t end = words - start < WORDS_A_BYTE ? words : start + WORDS_A_BYTE;
    __m256i bytes[ROWS][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 2; h++) bytes[r][h] = _mm256_setzero_si256();
    }
    for (size_t word = start; word < end; word++) {
      __m256i low[2], high[2];
      UNROLL for (size_t h = 0; h < 2; h++) {
        const uint64_t *four = weights + word * BEEX_BINARY_PANEL + 4 * h;
        const __m256i weight = _mm256_loadu_si256((const __m256i *)(const void *)four);
        low[h] = _mm256_and_si256(weight, nibble);
        high[h] = _mm256_and_si256(_mm256_srli_epi16(weight, 4), nibble);
      }
      UNROLL for (size_t r = 0; r < rows; r++) {
        const __m256i x_low = _mm256_set1_epi64x((long long)x->low[r][word]);
        const __m256i x_high = _mm256_set1_epi64x((long long)x->high[r][word]);
        UNROLL for (size_t h = 0; h < 2; h++) {
          const __m256i a = _mm256_shuffle_epi8(count, _mm256_xor_si256(x_low, low[h]));
          const __m256i b = _mm256_shuffle_epi8(count, _mm256_xor_si256(x_high, high[h]));
          bytes[r][h] = _mm256_add_epi8(bytes[r][h], _mm256_add_epi8(a, b));
        }
      }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 2; h++) {
        const __m256i sums = _mm256_sad_epu8(bytes[r][h], _mm256_setzero_si256());
        different[r][h] = _mm256_add_epi64(different[r][h], sums);
      }
    }
  }
  const __m256 scale = _mm256_loadu_ps(layer->scale + output);
  const __m256 bias = _mm256_loadu_ps(layer->bias + output);
  const __m256i depth = _mm256_set1_epi32((int)layer->depth);
  UNROLL for (size_t r = 0; r < rows; r++) {
    /* The lower halves of eight 64-bit counts; the shuffle works in each half of a vector. */
    const __m256 pairs =
        _mm256_shuffle_ps(_mm256_castsi256_ps(different[r][0]),
                          _mm256_castsi256_ps(different[r][1]), _MM_SHUFFLE(2, 0, 2, 0));
    const __m256i all = _mm256_permute4x64_epi64(_mm256_castps_si256(pairs), _MM_SHUFFLE(3, 1, 2, 0));
    const __m256i sum = _mm256_sub_epi32(depth, _mm256_add_epi32(all, all));
    const __m256 y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), bias);
    if (layer->signs) {
      uint8_t *signs = (uint8_t *)(layer->signs + (row + r) * BEEX_WORDS(layer->outputs));
      signs[output / 8] =
          (uint8_t)_mm256_movemask_ps(_mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_LT_OQ));
    } else {
      float *place = layer->y + (row + r) * layer->outputs + output;
      store_outputs(place, layer->outputs - output, y);
    }
  }
}

static TARGET void binary_layer_by_tiles(const binary_layer *layer) {
  const size_t words = BEEX_WORDS(layer->depth);
  for (size_t row = 0, n; row < layer->rows; row += n) {
    n = beex_next_tile(layer->rows - row, ROWS);
    nibbles x;
    for (size_t r = 0; r < n; r++) {
      for (size_t word = 0; word < words; word++) {
        const uint64_t bits = layer->x[(row + r) * words + word];
        x.low[r][word] = bits & UINT64_C(0x0f0f0f0f0f0f0f0f);
        x.high[r][word] = bits >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f);
      }
    }
    for (size_t output = 0; output < layer->outputs; output += BEEX_BINARY_PANEL) {
      TILE_OF_4(n, binary_tile, layer, &x, row, output)
    }
  }
}

static TARGET void avx2_binary_linear(size_t rows, size_t depth, size_t outputs,
                                      const uint64_t *x, const uint64_t *weights,
                                      const float *scale, const float *bias, float *y) {
  const binary_layer layer = {rows, depth, outputs, x, weights, scale, bias, y, NULL};
  if (depth > 64 * MOST_WORDS) {
    beex_kernels_portable.binary_linear(rows, depth, outputs, x, weights, scale, bias, y);
    return;
  }
  binary_layer_by_tiles(&layer);
}

static TARGET void avx2_binary_signs(size_t rows, size_t depth, size_t outputs, const uint64_t *x,
                                     const uint64_t *weights, const float *scale,
                                     const float *bias, uint64_t *y) {
  const binary_layer layer = {rows, depth, outputs, x, weights, scale, bias, NULL, y};
  if (depth > 64 * MOST_WORDS) {
    beex_kernels_portable.binary_signs(rows, depth, outputs, x, weights, scale, bias, y);
    return;
  }
  memset(y, 0, rows * BEEX_WORDS(outputs) * sizeof *y);
  binary_layer_by_tiles(&layer);
}

/* === Real x binary ===
 *
 * As in avx512.c, with two vectors for the 16 outputs of a panel: one for each half of a group.
 *
 *     for each group of inputs, each input i of it
 *       w[h] = (bits[h] << (3 - i)) & sign | 1.0
 *       for each row r, half h
 *         sum[r][h] += broadcast(x[r][4 group + i]) * w[h]
 */

/* Adds four inputs of each row, which are `stride` floats apart. */
INLINE void add_group(const size_t rows, const float *x, size_t stride, uint64_t group,
                      __m256 sum[ROWS][2]) {
  const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
  const __m256i to_top = _mm256_setr_epi32(28, 24, 20, 16, 12, 8, 4, 0);
  __m256i bits[2];
  UNROLL for (size_t h = 0; h < 2; h++) {
    bits[h] = _mm256_sllv_epi32(_mm256_set1_epi32((int)(uint32_t)(group >> 32 * h)), to_top);
  }
  UNROLL for (size_t i = 0; i < 4; i++) {
    __m256 weight[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      const __m256 top = _mm256_castsi256_ps(_mm256_slli_epi32(bits[h], (int)(3 - i)));
      weight[h] = _mm256_or_ps(_mm256_and_ps(top, sign), one);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256 input = _mm256_set1_ps(x[r * stride + i]);
      UNROLL for (size_t h = 0; h < 2; h++) {
        sum[r][h] = _mm256_fmadd_ps(input, weight[h], sum[r][h]);
      }
    }
  }
}

INLINE void real_tile(const size_t rows, const real_layer *layer, size_t row, size_t output) {
  const size_t depth = layer->depth, groups = BEEX_CEIL_DIV(depth, 4);
  const float *x = layer->x + row * depth;
  const uint64_t *weights = layer->weights + output / BEEX_REAL_PANEL * groups;
  __m256 sum[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = _mm256_setzero_ps();
  }
  for (size_t group = 0; group < depth / 4; group++) {
    add_group(rows, x + 4 * group, depth, weights[group], sum);
  }
  if (depth % 4) {
    float tail[8][4] = {{0}};
    beex_copy_tail(rows, depth, x, tail);
    add_group(rows, tail[0], 4, weights[depth / 4], sum);
  }
  for (size_t h = 0; h < 2 && output < layer->outputs; h++, output += 8) {
    const __m256 scale = _mm256_loadu_ps(layer->scale + output);
    const __m256 bias = _mm256_loadu_ps(layer->bias + output);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256 y = _mm256_add_ps(_mm256_mul_ps(h ? sum[r][1] : sum[r][0], scale), bias);
      float *place = layer->y + (row + r) * layer->outputs + output;
      store_outputs(place, layer->outputs - output, y);
    }
  }
}

/* int8 x binary. The 32 bits of half a group become 32 bytes, 1 where a weight is negative; the
 * products with the inputs are added by twos to 16 bits, which hold 128 of them, and by fours to 32.
 *
 *     for each group of four inputs
 *       chosen[h] = bytes of (bits[h]): each byte takes the byte of the word that has its bit,
 *                   leaves that bit alone, and is cut to 1
 *       for each row r, half h
 *         pairs[r][h] += chosen[h] * broadcast(four bytes of x[r]), added by twos
 *     negative = pairs, added by twos;  sum = (sum of x[r]) - 2 negative
 */
#define GROUPS_A_PAIR 128

/* Four bytes in every lane; by way of a float, which compilers load and broadcast in one. */
INLINE __m256i broadcast_four(const int8_t *x) {
  float four;
  memcpy(&four, x, sizeof four);
  return _mm256_castps_si256(_mm256_set1_ps(four));
}

INLINE void int8_tile(const size_t rows, const real_layer *layer, size_t row, size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const int8_t *x = layer->q + row * 4 * groups;
  const uint64_t *weights = layer->weights + output / BEEX_REAL_PANEL * groups;
  const __m256i source = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                          2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
  const __m256i one = _mm256_set1_epi8(1), one_16 = _mm256_set1_epi16(1);
  __m256i negative[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) negative[r][h] = _mm256_setzero_si256();
  }
  for (size_t start = 0; start < groups; start += GROUPS_A_PAIR) {
    const size_t end = groups - start < GROUPS_A_PAIR ? groups : start + GROUPS_A_PAIR;
    __m256i pairs[ROWS][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 2; h++) pairs[r][h] = _mm256_setzero_si256();
    }
    for (size_t group = start; group < end; group++) {
      __m256i chosen[2];
      UNROLL for (size_t h = 0; h < 2; h++) {
        const __m256i half = _mm256_set1_epi32((int)(uint32_t)(weights[group] >> 32 * h));
        const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(half, source), bit);
        chosen[h] = _mm256_min_epu8(bits, one);
      }
      UNROLL for (size_t r = 0; r < rows; r++) {
        const __m256i input = broadcast_four(x + 4 * (r * groups + group));
        UNROLL for (size_t h = 0; h < 2; h++) {
          const __m256i products = _mm256_maddubs_epi16(chosen[h], input);
          pairs[r][h] = _mm256_add_epi16(pairs[r][h], products);
        }
      }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 2; h++) {
        const __m256i fours = _mm256_madd_epi16(pairs[r][h], one_16);
        negative[r][h] = _mm256_add_epi32(negative[r][h], fours);
      }
    }
  }
  for (size_t h = 0; h < 2 && output < layer->outputs; h++, output += 8) {
    const __m256 scale = _mm256_loadu_ps(layer->scale + output);
    const __m256 bias = _mm256_loadu_ps(layer->bias + output);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256i half = h ? negative[r][1] : negative[r][0];
      const __m256i sum = _mm256_sub_epi32(_mm256_set1_epi32(layer->row[row + r].sum),
                                           _mm256_add_epi32(half, half));
      const __m256 real =
          _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(layer->row[row + r].scale));
      const __m256 y = _mm256_add_ps(_mm256_mul_ps(real, scale), bias);
      float *place = layer->y + (row + r) * layer->outputs + output;
      store_outputs(place, layer->outputs - output, y);
    }
  }
}

static TARGET void avx2_real_linear(size_t rows, size_t depth, size_t outputs, const float *x,
                                    const uint64_t *weights, const float *scale,
                                    const float *bias, float *y) {
  const real_layer layer = {rows, depth, outputs, x, NULL, NULL, weights, scale, bias, y, NULL};
  for (size_t output = 0; output < outputs; output += BEEX_REAL_PANEL) {
    for (size_t row = 0, n; row < rows; row += n) {
      n = beex_next_tile(rows - row, ROWS);
      TILE_OF_4(n, real_tile, &layer, row, output)
    }
  }
}

static TARGET void avx2_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                                    const beex_quantized_row *scales, const uint64_t *weights,
                                    const float *scale, const float *bias, float *y) {
  const real_layer layer = {rows, depth, outputs, NULL, x, scales, weights, scale, bias, y, NULL};
  for (size_t output = 0; output < outputs; output += BEEX_REAL_PANEL) {
    for (size_t row = 0, n; row < rows; row += n) {
      n = beex_next_tile(rows - row, ROWS);
      TILE_OF_4(n, int8_tile, &layer, row, output)
    }
  }
}

/* === int8 x int8 ===
 *
 * The instruction multiplies bytes without a sign by bytes with one, so the sign of a weight goes to the
 * input: |w| sign(w) x. Sums of two products fit into 16 bits, as inputs lie within +-127.
 *
 *     for each group of four inputs
 *       size[h] = |w[h]|
 *       for each row r, half h of the panel
 *         products = size[h] * (broadcast(four bytes of x[r]), negated where w[h] < 0), added by twos
 *         sum[r][h] += products, added by twos
 */
INLINE void int8_int8_tile(const size_t rows, const real_layer *layer, size_t row, size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const int8_t *x = layer->q + row * 4 * groups, *weights = layer->bytes + output * 4 * groups;
  const __m256i one = _mm256_set1_epi16(1);
  __m256i sum[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = _mm256_setzero_si256();
  }
  for (size_t group = 0; group < groups; group++, weights += 4 * BEEX_INT8_PANEL) {
    __m256i weight[2], size[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      weight[h] = _mm256_loadu_si256((const __m256i *)(const void *)(weights + 32 * h));
      size[h] = _mm256_abs_epi8(weight[h]);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256i input = broadcast_four(x + 4 * (r * groups + group));
      UNROLL for (size_t h = 0; h < 2; h++) {
        const __m256i signed_input = _mm256_sign_epi8(input, weight[h]);
        const __m256i pairs = _mm256_maddubs_epi16(size[h], signed_input);
        sum[r][h] = _mm256_add_epi32(sum[r][h], _mm256_madd_epi16(pairs, one));
      }
    }
  }
  for (size_t h = 0; h < 2 && output < layer->outputs; h++, output += 8) {
    const __m256 scale = _mm256_loadu_ps(layer->scale + output);
    const __m256 bias = _mm256_loadu_ps(layer->bias + output);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256 whole = _mm256_cvtepi32_ps(h ? sum[r][1] : sum[r][0]);
      const __m256 real = _mm256_mul_ps(whole, _mm256_set1_ps(layer->row[row + r].scale));
      const __m256 y = _mm256_add_ps(_mm256_mul_ps(real, scale), bias);
      float *place = layer->y + (row + r) * layer->outputs + output;
      store_outputs(place, layer->outputs - output, y);
    }
  }
}

static TARGET void avx2_int8_int8_linear(size_t rows, size_t depth, size_t outputs,
                                         const int8_t *x, const beex_quantized_row *scales,
                                         const int8_t *weights, const float *scale,
                                         const float *bias, float *y) {
  const real_layer layer = {rows, depth, outputs, NULL, x, scales, NULL, scale, bias, y, weights};
  for (size_t output = 0; output < outputs; output += BEEX_INT8_PANEL) {
    for (size_t row = 0, n; row < rows; row += n) {
      n = beex_next_tile(rows - row, ROWS);
      TILE_OF_4(n, int8_int8_tile, &layer, row, output)
    }
  }
}

/* === Real x real: 16 columns and up to 4 rows stay in registers === */

INLINE void matmul_tile(const size_t rows, const product *m, size_t row, size_t column) {
  const float *a = m->a + row * m->a_stride, *b = m->b + column;
  const size_t left = m->columns - column;
  const size_t width[2] = {avx2_at_most(left), left > 8 ? avx2_at_most(left - 8) : 0};
  __m256 sum[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = _mm256_setzero_ps();
  }
  for (size_t i = 0; i < m->depth; i++, b += m->b_stride) {
    const __m256 right[2] = {avx2_load(b, width[0]), avx2_load(b + 8, width[1])};
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256 value = _mm256_set1_ps(a[r * m->a_stride + i]);
      UNROLL for (size_t h = 0; h < 2; h++) {
        sum[r][h] = _mm256_add_ps(sum[r][h], _mm256_mul_ps(value, right[h]));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    float *c = m->c + (row + r) * m->c_stride + column;
    avx2_store(c, width[0], sum[r][0]);
    if (width[1]) avx2_store(c + 8, width[1], sum[r][1]);
  }
}

static TARGET void avx2_matmul(size_t rows, size_t depth, size_t columns, const float *a,
                               size_t a_stride, const float *b, size_t b_stride, float *c,
                               size_t c_stride) {
  const product m = {rows, depth, columns, a, a_stride, b, b_stride, c, c_stride};
  for (size_t column = 0; column < columns; column += 16) {
    for (size_t row = 0, n; row < rows; row += n) {
      n = beex_next_tile(rows - row, ROWS);
      TILE_OF_4(n, matmul_tile, &m, row, column)
    }
  }
}

/* === Whole x whole: a vector holds a pair of inputs of 8 columns ===
 *
 *     for each pair of inputs
 *       for each row r, half h
 *         sum[r][h] += b[pair][h] * broadcast(two of a[r]), added by twos
 */
INLINE void int16_tile(const size_t rows, const pair_product *m, size_t row, size_t column) {
  const int16_t *a = m->a + row * m->a_stride, *b = m->b + 2 * column;
  const size_t left = m->columns - column;
  const size_t width[2] = {avx2_at_most(left), left > 8 ? avx2_at_most(left - 8) : 0};
  __m256i sum[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = _mm256_setzero_si256();
  }
  for (size_t i = 0; i < m->depth; i += 2, b += 2 * m->b_stride) {
    __m256i right[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      const float *pairs = (const float *)(const void *)(b + 16 * h);
      right[h] = _mm256_castps_si256(avx2_load(pairs, width[h]));
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      int32_t pair;
      memcpy(&pair, a + r * m->a_stride + i, sizeof pair);
      const __m256i value = _mm256_set1_epi32(pair);
      UNROLL for (size_t h = 0; h < 2; h++) {
        sum[r][h] = _mm256_add_epi32(sum[r][h], _mm256_madd_epi16(value, right[h]));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    float *c = m->c + (row + r) * m->c_stride + column;
    avx2_store(c, width[0], _mm256_cvtepi32_ps(sum[r][0]));
    if (width[1]) avx2_store(c + 8, width[1], _mm256_cvtepi32_ps(sum[r][1]));
  }
}

static TARGET void avx2_int16_matmul(size_t rows, size_t depth, size_t columns, const int16_t *a,
                                     size_t a_stride, const int16_t *b, size_t b_stride, float *c,
                                     size_t c_stride) {
  const pair_product m = {rows, depth, columns, a, a_stride, b, b_stride, c, c_stride};
  for (size_t column = 0; column < columns; column += 16) {
    for (size_t row = 0, n; row < rows; row += n) {
      n = beex_next_tile(rows - row, ROWS);
      TILE_OF_4(n, int16_tile, &m, row, column)
    }
  }
}

const beex_kernels beex_kernels_avx2 = {
    .name = "avx2",
    .pack_signs = avx2_pack_signs,
    .binary_linear = avx2_binary_linear,
    .binary_signs = avx2_binary_signs,
    .real_linear = avx2_real_linear,
    .int8_linear = avx2_int8_linear,
    .int8_int8_linear = avx2_int8_int8_linear,
    .matmul = avx2_matmul,
    .int16_matmul = avx2_int16_matmul,
    REAL_FUNCTIONS,
};

#endif
