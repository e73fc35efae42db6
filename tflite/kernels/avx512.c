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
INLINE float v_total(vec x) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
INLINE float v_largest(vec x) { return _mm512_reduce_max_ps(x); }
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  _mm512_mask_cvtsepi32_storeu_epi8(q, first_lanes(n), _mm512_cvtps_epi32(x));
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  _mm512_mask_cvtsepi32_storeu_epi16(q, first_lanes(n), _mm512_cvtps_epi32(x));
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

const beex_kernels beex_kernels_avx512 = {
    .name = "avx512",
    PRODUCT_FUNCTIONS,
    REAL_FUNCTIONS,
};

#endif
