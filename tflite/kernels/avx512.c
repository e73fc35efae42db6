/* AVX-512 with VPOPCNTDQ and VNNI (Intel Ice Lake, AMD Zen 4 and later). */
#include "exact.h"
#include "simd.h"

#ifdef BEEX_HAS_AVX

#include <immintrin.h>

#define TARGET                                                                              \
  __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,"           \
                        "avx512vpopcntdq")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define NAME(f) avx512_##f
#define LANES 16

typedef __m512 vec;

INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
INLINE vec v_set(float x) { return _mm512_set1_ps(x); }
INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec v_round(vec x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INLINE vec v_is_negative(vec x) {
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_maskz_mov_ps(negative, _mm512_set1_ps(1.0f));
}
INLINE vec v_power_of_2(vec n) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}

/* The first n of 16 lanes. */
INLINE __mmask16 first_lanes(size_t n) {
  return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffffu);
}

INLINE vec v_load_some(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
INLINE void v_store_some(float *p, size_t n, vec x) {
  _mm512_mask_storeu_ps(p, first_lanes(n), x);
}
INLINE vec v_only(vec x, size_t n) { return _mm512_maskz_mov_ps(first_lanes(n), x); }
INLINE float v_total(vec x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
INLINE float v_largest(vec x) { return _mm512_reduce_max_ps(x); }
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  /* A store of whole vectors is quicker by way of a register. */
  if (n == LANES) {
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
  } else {
    _mm512_mask_cvtsepi32_storeu_epi8(q, first_lanes(n), _mm512_cvtps_epi32(x));
  }
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  if (n == LANES) {
    _mm256_storeu_si256((__m256i *)(void *)q, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x)));
  } else {
    _mm512_mask_cvtsepi32_storeu_epi16(q, first_lanes(n), _mm512_cvtps_epi32(x));
  }
}

#include "real.inc"

/* 64 signs a word: the comparison of 16 floats is 16 bits. */
static TARGET void avx512_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  const __m512 zero = _mm512_setzero_ps();
  for (; rows; rows--, x += depth) {
    for (size_t i = 0; i < depth; i += 64, bits++) {
      uint64_t word = 0;
      for (size_t part = 0; part < 64 && i + part < depth; part += 16) {
        const __mmask16 present = first_lanes(depth - i - part);
        const __m512 value = _mm512_maskz_loadu_ps(present, x + i + part);
        word |= (uint64_t)_mm512_cmp_ps_mask(value, zero, _CMP_LT_OQ) << part;
      }
      *bits = word;
    }
  }
}

/* === Binary x binary ===
 *
 * A vector holds one word of each of the 8 outputs of a panel.
 *
 *     for each word k
 *       for each row r, panel p of the tile
 *         different[r][p] += popcount(broadcast(x[r][k]) ^ weights[p][k])
 *     sum = depth - 2 different
 *
 * A word of x and a vector of weights are loaded once a tile, and nothing is added across lanes.
 */
#define BINARY_PANELS 4

INLINE void binary_tile(const size_t rows, const size_t panels, const binary_layer *layer,
                        size_t row, size_t output) {
  const size_t words = BEEX_WORDS(layer->depth);
  const uint64_t *x = layer->x + row * words, *weights = layer->weights + output * words;
  __m512i different[4][BINARY_PANELS];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t p = 0; p < panels; p++) different[r][p] = _mm512_setzero_si512();
  }
  for (size_t word = 0; word < words; word++) {
    __m512i weight[BINARY_PANELS];
    UNROLL for (size_t p = 0; p < panels; p++) {
      weight[p] = _mm512_loadu_si512(weights + (p * words + word) * BEEX_BINARY_PANEL);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512i input = _mm512_set1_epi64((long long)x[r * words + word]);
      UNROLL for (size_t p = 0; p < panels; p++) {
        const __m512i count = _mm512_popcnt_epi64(_mm512_xor_si512(input, weight[p]));
        different[r][p] = _mm512_add_epi64(different[r][p], count);
      }
    }
  }
  const __m256i depth = _mm256_set1_epi32((int)layer->depth);
  UNROLL for (size_t p = 0; p < panels; p++, output += BEEX_BINARY_PANEL) {
    const __m256 scale = _mm256_loadu_ps(layer->scale + output);
    const __m256 bias = _mm256_loadu_ps(layer->bias + output);
    const __mmask8 present = (__mmask8)first_lanes(layer->outputs - output);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256i count = _mm512_cvtepi64_epi32(different[r][p]);
      const __m256i sum = _mm256_sub_epi32(depth, _mm256_add_epi32(count, count));
      const __m256 y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale), bias);
      if (layer->signs) {
        uint8_t *signs = (uint8_t *)(layer->signs + (row + r) * BEEX_WORDS(layer->outputs));
        signs[output / 8] = _mm256_cmp_ps_mask(y, _mm256_setzero_ps(), _CMP_LT_OQ);
      } else {
        _mm256_mask_storeu_ps(layer->y + (row + r) * layer->outputs + output, present, y);
      }
    }
  }
}

static TARGET void binary_layer_by_tiles(const binary_layer *layer) {
  const size_t step = BINARY_PANELS * BEEX_BINARY_PANEL;
  size_t output = 0;
  for (; output + step <= BEEX_ROUND_UP(layer->outputs, BEEX_BINARY_PANEL); output += step) {
    EACH_TILE(row, layer->rows, 4, binary_tile, BINARY_PANELS, layer, row, output)
  }
  for (; output < layer->outputs; output += BEEX_BINARY_PANEL) {
    EACH_TILE(row, layer->rows, 4, binary_tile, 1, layer, row, output)
  }
}

#include "binary.inc"

/* === Real x binary ===
 *
 * A vector holds 16 outputs. Output o has its four bits at the place 4 (o mod 8) of the lower or upper
 * half of a group; they are moved to the lane's top, where the bit of input i becomes a sign.
 *
 *     for each group of inputs, each input i of it
 *       w[p] = (bits[p] << (3 - i)) & sign | 1.0
 *       for each row r, panel p of the tile
 *         sum[r][p] += broadcast(x[r][4 group + i]) * w[p]
 *
 * Making a vector of weights takes two instructions, one multiplication and addition each row.
 */
#define REAL_PANELS 2

/* The lower half of a word in lanes 0 to 7, the upper half in lanes 8 to 15. */
INLINE __m512i spread(uint64_t group) {
  const __m512i low = _mm512_set1_epi32((int)(uint32_t)group);
  return _mm512_mask_set1_epi32(low, 0xff00, (int)(uint32_t)(group >> 32));
}

/* Adds four inputs of each row, which are `stride` floats apart; weights[p * groups] is the group of
 * panel p. */
INLINE void add_group(const size_t rows, const size_t panels, const float *x, size_t stride,
                      const uint64_t *weights, size_t groups, __m512 sum[8][REAL_PANELS]) {
  const __m512i sign = _mm512_set1_epi32(INT32_MIN);
  const __m512i one = _mm512_castps_si512(_mm512_set1_ps(1.0f));
  const __m512i to_top = _mm512_setr_epi32(28, 24, 20, 16, 12, 8, 4, 0, 28, 24, 20, 16, 12, 8, 4, 0);
  __m512i bits[REAL_PANELS];
  UNROLL for (size_t p = 0; p < panels; p++) {
    bits[p] = _mm512_sllv_epi32(spread(weights[p * groups]), to_top);
  }
  UNROLL for (size_t i = 0; i < 4; i++) {
    __m512 weight[REAL_PANELS];
    UNROLL for (size_t p = 0; p < panels; p++) {
      const __m512i top = _mm512_slli_epi32(bits[p], (unsigned)(3 - i));
      /* Truth table 0xf8: one | (top & sign). */
      weight[p] = _mm512_castsi512_ps(_mm512_ternarylogic_epi32(one, top, sign, 0xf8));
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512 input = _mm512_set1_ps(x[r * stride + i]);
      UNROLL for (size_t p = 0; p < panels; p++) {
        sum[r][p] = _mm512_fmadd_ps(input, weight[p], sum[r][p]);
      }
    }
  }
}

INLINE void real_tile(const size_t rows, const size_t panels, const real_layer *layer, size_t row,
                      size_t output) {
  const size_t depth = layer->depth, groups = BEEX_CEIL_DIV(depth, 4);
  const float *x = layer->x + row * depth;
  const uint64_t *weights = layer->weights + output / BEEX_REAL_PANEL * groups;
  __m512 sum[8][REAL_PANELS];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t p = 0; p < panels; p++) sum[r][p] = _mm512_setzero_ps();
  }
  for (size_t group = 0; group < depth / 4; group++) {
    add_group(rows, panels, x + 4 * group, depth, weights + group, groups, sum);
  }
  if (depth % 4) {
    float tail[8][4] = {{0}};
    beex_copy_tail(rows, depth, x, tail);
    add_group(rows, panels, tail[0], 4, weights + depth / 4, groups, sum);
  }
  UNROLL for (size_t p = 0; p < panels; p++, output += BEEX_REAL_PANEL) {
    const __m512 scale = _mm512_loadu_ps(layer->scale + output);
    const __m512 bias = _mm512_loadu_ps(layer->bias + output);
    const __mmask16 present = first_lanes(layer->outputs - output);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512 y = _mm512_add_ps(_mm512_mul_ps(sum[r][p], scale), bias);
      _mm512_mask_storeu_ps(layer->y + (row + r) * layer->outputs + output, present, y);
    }
  }
}

/* int8 x binary. The 64 bits of a group choose among 64 bytes, four inputs of each of the 16 outputs, and
 * VNNI adds the four inputs of an output that are chosen, those with a negative weight.
 *
 *     for each group of four inputs
 *       chosen[p] = group[p] ? 1 : 0
 *       for each row r, panel p of the tile
 *         negative[r][p] += chosen[p] . broadcast(four bytes of x[r])
 *     sum = (sum of x[r]) - 2 negative
 */
/* Four bytes in every lane; by way of a float, which compilers load and broadcast in one. */
INLINE __m512i broadcast_four(const int8_t *x) {
  float four;
  memcpy(&four, x, sizeof four);
  return _mm512_castps_si512(_mm512_set1_ps(four));
}

INLINE void int8_tile(const size_t rows, const size_t panels, const real_layer *layer, size_t row,
                      size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const int8_t *x = layer->q + row * 4 * groups;
  const uint64_t *weights = layer->weights + output / BEEX_REAL_PANEL * groups;
  const __m512i one = _mm512_set1_epi8(1);
  __m512i negative[8][REAL_PANELS];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t p = 0; p < panels; p++) negative[r][p] = _mm512_setzero_si512();
  }
  for (size_t group = 0; group < groups; group++) {
    __m512i chosen[REAL_PANELS];
    UNROLL for (size_t p = 0; p < panels; p++) {
      chosen[p] = _mm512_maskz_mov_epi8((__mmask64)weights[p * groups + group], one);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512i input = broadcast_four(x + 4 * (r * groups + group));
      UNROLL for (size_t p = 0; p < panels; p++) {
        /* _mm512_dpbusd_epi32, which GCC 12 surrounds with copies that halve its speed. */
        __asm__("vpdpbusd %2, %1, %0" : "+v"(negative[r][p]) : "v"(chosen[p]), "v"(input));
      }
    }
  }
  UNROLL for (size_t p = 0; p < panels; p++, output += BEEX_REAL_PANEL) {
    const __m512 scale = _mm512_loadu_ps(layer->scale + output);
    const __m512 bias = _mm512_loadu_ps(layer->bias + output);
    const __mmask16 present = first_lanes(layer->outputs - output);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512i twice = _mm512_add_epi32(negative[r][p], negative[r][p]);
      const __m512i sum = _mm512_sub_epi32(_mm512_set1_epi32(layer->row[row + r].sum), twice);
      const __m512 real =
          _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(layer->row[row + r].scale));
      const __m512 y = _mm512_add_ps(_mm512_mul_ps(real, scale), bias);
      _mm512_mask_storeu_ps(layer->y + (row + r) * layer->outputs + output, present, y);
    }
  }
}

/* int8 x int8. VNNI multiplies bytes without a sign by bytes with one, so inputs are moved up by 128, and
 * 128 times the weights, which it adds up for all rows alike, is taken away at the end.
 *
 *     for each group of four inputs
 *       moved[p] += w[p] . (128, 128, 128, 128)
 *       for each row r, panel p of the tile
 *         sum[r][p] += w[p] . (broadcast(four bytes of x[r]) + 128)
 *     sum = sum - moved
 */
INLINE void int8_int8_tile(const size_t rows, const size_t panels, const real_layer *layer,
                           size_t row, size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const int8_t *x = layer->q + row * 4 * groups, *weights = layer->bytes + output * 4 * groups;
  const __m512i up = _mm512_set1_epi8(INT8_MIN);
  __m512i sum[8][REAL_PANELS], moved[REAL_PANELS];
  UNROLL for (size_t p = 0; p < panels; p++) {
    moved[p] = _mm512_setzero_si512();
    UNROLL for (size_t r = 0; r < rows; r++) sum[r][p] = _mm512_setzero_si512();
  }
  for (size_t group = 0; group < groups; group++, weights += 4 * BEEX_INT8_PANEL) {
    __m512i weight[REAL_PANELS];
    UNROLL for (size_t p = 0; p < panels; p++) {
      weight[p] = _mm512_loadu_si512(weights + p * groups * 4 * BEEX_INT8_PANEL);
      __asm__("vpdpbusd %2, %1, %0" : "+v"(moved[p]) : "v"(up), "v"(weight[p]));
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512i input =
          _mm512_xor_si512(broadcast_four(x + 4 * (r * groups + group)), up);
      UNROLL for (size_t p = 0; p < panels; p++) {
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[r][p]) : "v"(input), "v"(weight[p]));
      }
    }
  }
  UNROLL for (size_t p = 0; p < panels; p++, output += BEEX_INT8_PANEL) {
    const __m512 scale = _mm512_loadu_ps(layer->scale + output);
    const __m512 bias = _mm512_loadu_ps(layer->bias + output);
    const __mmask16 present = first_lanes(layer->outputs - output);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512 whole = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[r][p], moved[p]));
      const __m512 real = _mm512_mul_ps(whole, _mm512_set1_ps(layer->row[row + r].scale));
      const __m512 y = _mm512_add_ps(_mm512_mul_ps(real, scale), bias);
      _mm512_mask_storeu_ps(layer->y + (row + r) * layer->outputs + output, present, y);
    }
  }
}

/* === Real x real: 2 vectors of columns and up to 8 rows stay in registers === */

INLINE void matmul_tile(const size_t rows, const size_t vectors, const product *m, size_t row,
                        size_t column) {
  const float *a = m->a + row * m->a_stride, *b = m->b + column;
  const __mmask16 present = first_lanes(m->columns - column - 16 * (vectors - 1));
  __m512 sum[8][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] = _mm512_setzero_ps();
  }
  for (size_t i = 0; i < m->depth; i++, b += m->b_stride) {
    __m512 right[2];
    UNROLL for (size_t v = 0; v < vectors; v++) {
      right[v] = v + 1 < vectors ? _mm512_loadu_ps(b + 16 * v)
                                 : _mm512_maskz_loadu_ps(present, b + 16 * v);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m512 left = _mm512_set1_ps(a[r * m->a_stride + i]);
      UNROLL for (size_t v = 0; v < vectors; v++) {
        sum[r][v] = _mm512_add_ps(sum[r][v], _mm512_mul_ps(left, right[v]));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t v = 0; v < vectors; v++) {
      float *c = m->c + (row + r) * m->c_stride + column + 16 * v;
      _mm512_mask_storeu_ps(c, v + 1 < vectors ? (__mmask16)0xffff : present, sum[r][v]);
    }
  }
}

/* === Whole x whole: a vector holds a pair of inputs of 16 columns ===
 *
 *     for each pair of inputs
 *       for each row r, vector v of columns
 *         sum[r][v] += b[pair][v] . broadcast(two of a[r])
 */
INLINE void int16_tile(const size_t rows, const size_t vectors, const pair_product *m, size_t row,
                       size_t column) {
  const int16_t *a = m->a + row * m->a_stride, *b = m->b + 2 * column;
  const __mmask16 present = first_lanes(m->columns - column - 16 * (vectors - 1));
  __m512i sum[8][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t v = 0; v < vectors; v++) sum[r][v] = _mm512_setzero_si512();
  }
  for (size_t i = 0; i < m->depth; i += 2, b += 2 * m->b_stride) {
    __m512i right[2];
    UNROLL for (size_t v = 0; v < vectors; v++) {
      right[v] = v + 1 < vectors ? _mm512_loadu_si512(b + 32 * v)
                                 : _mm512_maskz_loadu_epi32(present, b + 32 * v);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      /* Two numbers in every lane; by way of a float, which compilers load and broadcast in one. */
      float pair;
      memcpy(&pair, a + r * m->a_stride + i, sizeof pair);
      const __m512i left = _mm512_castps_si512(_mm512_set1_ps(pair));
      UNROLL for (size_t v = 0; v < vectors; v++) {
        /* _mm512_dpwssd_epi32; see int8_tile. */
        __asm__("vpdpwssd %2, %1, %0" : "+v"(sum[r][v]) : "v"(left), "v"(right[v]));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t v = 0; v < vectors; v++) {
      float *c = m->c + (row + r) * m->c_stride + column + 16 * v;
      const __mmask16 lanes = v + 1 < vectors ? (__mmask16)0xffff : present;
      _mm512_mask_storeu_ps(c, lanes, _mm512_cvtepi32_ps(sum[r][v]));
    }
  }
}

#define ROWS 8
#define INT8_ROWS ROWS
#define MATMUL_COLUMNS 32
#define INT16_COLUMNS 32

/* Panels outside, so that their weights stay in the cache for all rows. */
#define LAYER_BY_TILES(layer, most, tile)                                                        \
  const size_t step = REAL_PANELS * BEEX_REAL_PANEL;                                             \
  size_t output = 0;                                                                             \
  for (; output + step <= BEEX_ROUND_UP((layer)->outputs, BEEX_REAL_PANEL); output += step) {    \
    EACH_TILE(row, (layer)->rows, most, tile, REAL_PANELS, layer, row, output)                   \
  }                                                                                              \
  for (; output < (layer)->outputs; output += BEEX_REAL_PANEL) {                                 \
    EACH_TILE(row, (layer)->rows, most, tile, 1, layer, row, output)                             \
  }
#define PRODUCT_BY_TILES(product, step, tile)                                                    \
  for (size_t column = 0; column < (product)->columns; column += (step)) {                       \
    if ((product)->columns - column > (step) / 2) {                                              \
      EACH_TILE(row, (product)->rows, ROWS, tile, 2, product, row, column)                       \
    } else {                                                                                     \
      EACH_TILE(row, (product)->rows, ROWS, tile, 1, product, row, column)                       \
    }                                                                                            \
  }

#include "tiles.inc"

/* === int8 x binary, looked up ===
 *
 * For processors that permute words as fast as they multiply. Six inputs of a row have 64 sums, one for each
 * choice of negative weights; two vectors hold them, and a permutation finds those of 32 outputs:
 *
 *     for each 12 inputs, each half of them
 *       for each row r
 *         table[r] = sums of the six inputs that a number of six bits chooses
 *       for each vector v of 32 outputs, row r
 *         half[r][v] += table[r][chosen[v]]
 *     sum = (total of x[r]) - 2 negative = (1 if that total is odd) - 2 half
 *
 * with half = negative - total / 2, rounded down, which fits into 16 bits for 504 inputs. So two instructions
 * do 192 products. What is chosen is laid out once for all rows, which costs as much as three of them.
 */
#define LOOK_UP_TARGET                                                                      \
  __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,"           \
                        "avx512vpopcntdq,avx512vbmi")))
#define LOOK_UP static inline __attribute__((always_inline)) LOOK_UP_TARGET
#define LOOK_UP_ROWS 2
#define LOOK_UP_VECTORS 12
#define LOOK_UP_STEPS 32 /* of 12 inputs: what they choose fits into the first cache */

typedef struct {
  uint16_t chosen[LOOK_UP_STEPS][LOOK_UP_VECTORS][32]; /* six bits in each byte */
  int8_t x[LOOK_UP_ROWS][LOOK_UP_STEPS][16];           /* see arrange_inputs */
  int16_t half[LOOK_UP_ROWS][2 * LOOK_UP_VECTORS][16];
  int32_t total[LOOK_UP_ROWS];
} __attribute__((aligned(64))) look_up_work;

/* Where the bits of an output begin, for each of its two bytes, in three groups; which bits those of the first
 * and of the first two groups are; the upper half of a vector. */
typedef struct {
  __m512i places[3], first, two;
  __mmask8 upper;
} choice;

LOOK_UP choice make_choice(void) {
  const __m512i places = _mm512_setr_epi64(
      0x0c0c080804040000, 0x1c1c181814141010, 0x2c2c282824242020, 0x3c3c383834343030,
      0x0c0c080804040000, 0x1c1c181814141010, 0x2c2c282824242020, 0x3c3c383834343030);
  choice c = {{places, _mm512_add_epi8(places, _mm512_set1_epi16(0x02fc)),
               _mm512_sub_epi8(places, _mm512_set1_epi8(2))},
              _mm512_set1_epi16(0x000f), _mm512_set1_epi16(0x03ff), 0xf0};
  /* Compilers that know these make them again and again. */
  UNROLL for (size_t i = 0; i < 3; i++) __asm__("" : "+v"(c.places[i]));
  __asm__("" : "+v"(c.first), "+v"(c.two), "+Yk"(c.upper));
  return c;
}

/* From three groups of a panel and of the next: of 32 outputs the bits of six inputs in one byte, and those
 * of the other six in the byte above. */
LOOK_UP __m512i choose(const choice *c, const uint64_t *panel, const uint64_t *next) {
  __m512i bits[3];
  UNROLL for (size_t i = 0; i < 3; i++) {
    const __m512i both = _mm512_set1_epi64((long long)panel[i]);
    const __m512i group = _mm512_mask_set1_epi64(both, c->upper, (long long)next[i]);
    bits[i] = _mm512_multishift_epi64_epi8(c->places[i], group);
  }
  /* Truth table 0xca: the first operand chooses between the others. */
  const __m512i two = _mm512_ternarylogic_epi64(c->first, bits[0], bits[1], 0xca);
  return _mm512_ternarylogic_epi64(c->two, two, bits[2], 0xca);
}

/* Lays out what weights choose, from a step on. */
LOOK_UP void choose_steps(const size_t vectors, const real_layer *layer, size_t output, size_t step,
                          size_t steps, look_up_work *work) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4), first = 3 * step;
  const size_t last = (layer->outputs - 1) / BEEX_REAL_PANEL;
  const size_t whole = first + 3 * steps > groups ? steps - 1 : steps;
  const choice c = make_choice();
  for (size_t v = 0; v < vectors; v++) {
    /* Beyond the last panel it stands in: what comes of it goes nowhere. */
    const size_t index = output / BEEX_REAL_PANEL + 2 * v;
    const uint64_t *panel = layer->weights + (index < last ? index : last) * groups + first;
    const uint64_t *next = index < last ? panel + groups : panel;
    for (size_t s = 0; s < whole; s++, panel += 3, next += 3) {
      /* The next vector's, which are often no longer in a near cache; as numbers, since they may lie behind the file. */
      const uintptr_t ahead = 2 * groups * sizeof *panel;
      _mm_prefetch((const char *)((uintptr_t)panel + ahead), _MM_HINT_T0);
      _mm_prefetch((const char *)((uintptr_t)next + ahead), _MM_HINT_T0);
      _mm512_store_si512(work->chosen[s][v], choose(&c, panel, next));
    }
    if (whole < steps) {
      uint64_t rest[2][3] = {{0}};
      memcpy(rest[0], panel, (groups - first - 3 * whole) * sizeof *panel);
      memcpy(rest[1], next, (groups - first - 3 * whole) * sizeof *next);
      _mm512_store_si512(work->chosen[whole][v], choose(&c, rest[0], rest[1]));
    }
  }
}

/* Inputs of a row from a step on: of six the numbers 0 1 3 4 in the first four bytes, 2 in the next, and 5 in
 * the last two. Returns their sum. */
LOOK_UP int32_t arrange_inputs(const real_layer *layer, size_t row, size_t step, size_t steps,
                               int8_t x[][16]) {
  const size_t stride = BEEX_ROUND_UP(layer->depth, 4), left_in_row = stride - 12 * step;
  const size_t end = 12 * steps < left_in_row ? 12 * steps : left_in_row;
  const int8_t *q = layer->q + row * stride + 12 * step;
  const __m512i order = _mm512_setr_epi64(
      0x0505050204030100, 0x0b0b0b080a090706, 0x11110f0e100f0d0c, 0x1717171416151312,
      0x1d1d1d1a1c1b1918, 0x2323232022211f1e, 0x2929292628272524, 0x2f2f2f2c2e2d2b2a);
  __m512i total = _mm512_setzero_si512();
  for (size_t place = 0; place < end; place += 48, x += 4) {
    const size_t left = end - place < 48 ? end - place : 48;
    const __m512i sixes = _mm512_maskz_loadu_epi8(((__mmask64)1 << left) - 1, q + place);
    total = _mm512_dpbusd_epi32(total, _mm512_set1_epi8(1), sixes);
    const __m512i ordered = _mm512_permutexvar_epi8(order, sixes);
    _mm512_store_si512(x[0], _mm512_mask_srai_epi16(ordered, 0x88888888, ordered, 8));
  }
  return _mm512_reduce_add_epi32(total);
}

/* The 64 sums of six inputs x: in the number of a sum bit i is set if it has input i. zmm30 has the bits of
 * inputs 0 1 3 4, zmm31 takes input 2 once. */
#define SUM_SIXES(x, low, high)                                                             \
  "vpxord %%" low ", %%" low ", %%" low "\n"                                                \
  "vpdpbusd " x "%{1to16%}, %%zmm30, %%" low "\n"                                           \
  "vmovdqa64 %%" low ", %%" high "\n"                                                       \
  "vpdpbusd 4+" x "%{1to16%}, %%zmm31, %%" high "\n"                                        \
  "vpackssdw %%" high ", %%" low ", %%" low "\n"                                            \
  "vpbroadcastw 6+" x ", %%" high "\n"                                                      \
  "vpaddw %%" low ", %%" high ", %%" high "\n"

/* Adds what two rows' tables have for a vector, to their registers a and b. */
#define LOOK_UP_BOTH(vector, a, b)                                                          \
  "vmovdqu64 \\six+64*" vector "(%[chosen]), %%zmm28\n"                                     \
  "vmovdqa64 %%zmm28, %%zmm29\n"                                                            \
  "vpermi2w %%zmm25, %%zmm24, %%zmm28\n"                                                    \
  "vpermi2w %%zmm27, %%zmm26, %%zmm29\n"                                                    \
  "vpaddw %%zmm28, %%zmm" a ", %%zmm" a "\n"                                                \
  "vpaddw %%zmm29, %%zmm" b ", %%zmm" b "\n"
#define START(vector, a, b)                                                                 \
  "vmovdqa64 %%zmm28, %%zmm" a "\n vmovdqa64 %%zmm29, %%zmm" b "\n"
#define FINISH(vector, a, b)                                                                \
  "vmovdqa64 %%zmm" a ", 64*" vector "(%[half])\n"                                          \
  "vmovdqa64 %%zmm" b ", 64*" vector "+%c[row](%[half])\n"

/* Registers of the first ten vectors and of the last two. */
#define EACH_4(f) ".irp v, 0, 1, 2, 3\n" f("\\v", "\\v", "1\\v") ".endr\n"
#define EACH_12(f)                                                                          \
  ".irp v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n" f("\\v", "\\v", "1\\v") ".endr\n"                \
  f("10", "20", "22") f("11", "21", "23")

/* half of two rows. Compilers find no place for all of it in registers. */
#define LOOK_UP_LOOP(each)                                                                  \
  __asm__ volatile(                                                                         \
      "vmovdqa64 (%[four]), %%zmm30\n"                                                      \
      "vpbroadcastd 4(%[four]), %%zmm31\n"                                                  \
      "vpbroadcastw %[start0], %%zmm28\n"                                                   \
      "vpbroadcastw %[start1], %%zmm29\n" each(START)                                       \
      "1:\n"                                                                                \
      ".irp six, 0, 1\n"                                                                    \
      SUM_SIXES("8*\\six(%[x])", "zmm24", "zmm25")                                          \
      SUM_SIXES("8*\\six+%c[x_row](%[x])", "zmm26", "zmm27") each(LOOK_UP_BOTH)             \
      ".endr\n"                                                                             \
      "add $16, %[x]\n"                                                                     \
      "add %[step], %[chosen]\n"                                                            \
      "dec %[steps]\n"                                                                      \
      "jnz 1b\n" each(FINISH)                                                               \
      : [x] "+r"(x), [chosen] "+r"(chosen), [steps] "+r"(steps)                             \
      : [four] "r"(four), [start0] "r"(start[0]), [start1] "r"(start[1]),                   \
        [half] "r"(work->half), [row] "i"(sizeof *work->half),                              \
        [x_row] "i"(sizeof *work->x), [step] "i"(sizeof *work->chosen)                      \
      : "zmm0", "zmm1", "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9",     \
        "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", "zmm16", "zmm17", "zmm18",    \
        "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27",    \
        "zmm28", "zmm29", "zmm30", "zmm31", "cc", "memory")

LOOK_UP void look_up(const size_t vectors, size_t steps, look_up_work *work) {
  static const uint32_t four[16] __attribute__((aligned(64))) = {
      0,         0x1,       0x100,     0x101,     0x10000,   0x10001,   0x10100,   0x10101,
      0x1000000, 0x1000001, 0x1000100, 0x1000101, 0x1010000, 0x1010001, 0x1010100, 0x1010101};
  const int start[2] = {-(work->total[0] >> 1), -(work->total[1] >> 1)};
  const void *x = work->x, *chosen = work->chosen;
  if (vectors == 4) {
    LOOK_UP_LOOP(EACH_4);
  } else {
    LOOK_UP_LOOP(EACH_12);
  }
}

/* Sums of 16 outputs of a row from their halves; until they are complete they wait in place of results. */
LOOK_UP void add_halves(const real_layer *layer, size_t row, size_t output, int is_first,
                        int is_last, const int16_t *halves, int odd) {
  if (output >= layer->outputs) return;
  const __mmask16 present = first_lanes(layer->outputs - output);
  const __m512i half = _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)halves));
  float *y = layer->y + row * layer->outputs + output;
  __m512i sum = _mm512_sub_epi32(_mm512_set1_epi32(odd), _mm512_add_epi32(half, half));
  if (!is_first) sum = _mm512_add_epi32(sum, _mm512_maskz_loadu_epi32(present, y));
  if (!is_last) {
    _mm512_mask_storeu_epi32(y, present, sum);
    return;
  }
  const __m512 scale = _mm512_set1_ps(layer->row[row].scale);
  const __m512 real = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
  const __m512 scaled = _mm512_mul_ps(real, _mm512_loadu_ps(layer->scale + output));
  _mm512_mask_storeu_ps(y, present, _mm512_add_ps(scaled, _mm512_loadu_ps(layer->bias + output)));
}

LOOK_UP void look_up_block(const size_t vectors, const real_layer *layer, look_up_work *work,
                           size_t output) {
  const size_t all = BEEX_CEIL_DIV(layer->depth, 12);
  for (size_t step = 0, steps; step < all; step += steps) {
    steps = beex_next_tile(all - step, LOOK_UP_STEPS);
    choose_steps(vectors, layer, output, step, steps, work);
    for (size_t row = 0; row < layer->rows; row += LOOK_UP_ROWS) {
      const size_t rows = layer->rows - row < LOOK_UP_ROWS ? 1 : LOOK_UP_ROWS;
      for (size_t r = 0; r < rows; r++) {
        work->total[r] = arrange_inputs(layer, row + r, step, steps, work->x[r]);
      }
      look_up(vectors, steps, work);
      for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < 2 * vectors; i++) {
          add_halves(layer, row + r, output + 16 * i, step == 0, step + steps == all,
                     work->half[r][i], work->total[r] & 1);
        }
      }
    }
  }
}

static LOOK_UP_TARGET void avx512_look_up_linear(size_t rows, size_t depth, size_t outputs,
                                                 const int8_t *x, const beex_quantized_row *scales,
                                                 const uint64_t *weights, const float *scale,
                                                 const float *bias, float *y) {
  if (rows < 4 || outputs < 96) {
    avx512_int8_linear(rows, depth, outputs, x, scales, weights, scale, bias, y);
    return;
  }
  const real_layer layer = {rows, depth, outputs, NULL, x, scales, weights, scale, bias, y, NULL};
  look_up_work work;
  memset(work.x, 0, sizeof work.x);
  memset(work.total, 0, sizeof work.total);
  for (size_t output = 0; output < outputs;) {
    if (outputs - output > 32 * (LOOK_UP_VECTORS - 4)) {
      look_up_block(LOOK_UP_VECTORS, &layer, &work, output);
      output += 32 * LOOK_UP_VECTORS;
    } else {
      look_up_block(4, &layer, &work, output);
      output += 32 * 4;
    }
  }
}

const beex_kernels beex_kernels_avx512vbmi = {
    .name = "avx512vbmi",
    .pack_signs = NAME(pack_signs), .quantize = NAME(quantize),
    .binary_linear = NAME(binary_linear), .binary_signs = NAME(binary_signs),
    .real_linear = NAME(real_linear), .int8_linear = NAME(look_up_linear),
    .int8_int8_linear = NAME(int8_int8_linear), .matmul = NAME(matmul),
    .int16_matmul = NAME(int16_matmul),
    REAL_FUNCTIONS,
};

const beex_kernels beex_kernels_avx512 = {
    .name = "avx512",
    PRODUCT_FUNCTIONS,
    REAL_FUNCTIONS,
};

#endif
