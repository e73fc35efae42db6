/* AVX2 and FMA (Intel Haswell, AMD Zen and later). */
#include "exact.h"
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
INLINE vec v_only(vec x, size_t n) { return _mm256_and_ps(x, _mm256_castsi256_ps(first_lanes(n))); }
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
 * Differing bits are looked up, not counted, and for two rows at once. A vector holds a nibble, four
 * inputs, of each of 32 outputs. The same nibble of the two rows chooses a table of 16 bytes:
 *
 *     table[first, second][weight] = bits of (first ^ weight) + 16 * bits of (second ^ weight)
 *
 * in which a shuffle finds the entries of 32 outputs. Half a byte has room for three such counts, a whole
 * byte for 63:
 *
 *     for each group of three nibbles n
 *       s = sum of table[first[n], second[n]][weights[n]]
 *       all   += s         as bytes
 *       upper += s >> 4    shifted in lanes of 16 bits, so that an odd byte's first row comes down too
 *
 * With the even and the odd byte of such a lane, this leaves, modulo 256,
 *
 *     all   = even first + 16 even second,    odd first + 16 odd second
 *     upper = even second + 16 odd first,     odd second
 *
 * from which the four follow, the last one first. So a shuffle and 5/3 other instructions do 256
 * products, and nothing is added across lanes. Finding the nibbles of the weights costs as much as four
 * rows; it is done once for all rows, or, of long rows, once for 64 and a part that stays in the cache.
 */
#define MOST_VECTORS 4
#define BLOCK_WORDS 12
#define TILE_ROWS 64
#define NIBBLES_A_WORD 16
#define GROUPS_A_BYTE 21

#define BITS(n) (((n) & 1) + ((n) >> 1 & 1) + ((n) >> 2 & 1) + ((n) >> 3 & 1))
#define ENTRY(f, s, weight) (BITS((f) ^ (weight)) + 16 * BITS((s) ^ (weight)))
#define TABLE(f, s)                                                            \
  {                                                                            \
    ENTRY(f, s, 0), ENTRY(f, s, 1), ENTRY(f, s, 2), ENTRY(f, s, 3),            \
    ENTRY(f, s, 4), ENTRY(f, s, 5), ENTRY(f, s, 6), ENTRY(f, s, 7),            \
    ENTRY(f, s, 8), ENTRY(f, s, 9), ENTRY(f, s, 10), ENTRY(f, s, 11),          \
    ENTRY(f, s, 12), ENTRY(f, s, 13), ENTRY(f, s, 14), ENTRY(f, s, 15),        \
  }
#define TABLES(s)                                                              \
  TABLE(0, s), TABLE(1, s), TABLE(2, s), TABLE(3, s), TABLE(4, s),             \
  TABLE(5, s), TABLE(6, s), TABLE(7, s), TABLE(8, s), TABLE(9, s),             \
  TABLE(10, s), TABLE(11, s), TABLE(12, s), TABLE(13, s), TABLE(14, s), TABLE(15, s)

static const uint8_t tables[256][16] = {
    TABLES(0), TABLES(1), TABLES(2),  TABLES(3),  TABLES(4),  TABLES(5),  TABLES(6),  TABLES(7),
    TABLES(8), TABLES(9), TABLES(10), TABLES(11), TABLES(12), TABLES(13), TABLES(14), TABLES(15),
};

/* Differing bits of a row: 16 bits each, of the even and of the odd ones of 32 outputs. */
typedef __m256i binary_counts[MOST_VECTORS][2];

/* What a tile works with. Two nibbles more, zeros, fill the last group of three. */
typedef struct {
  uint8_t weights[(NIBBLES_A_WORD * BLOCK_WORDS + 2) * 32 * MOST_VECTORS]; /* [nibbles][outputs] */
  uint16_t pair[NIBBLES_A_WORD * BLOCK_WORDS + 2]; /* where a table begins, in bytes */
  binary_counts counts[TILE_ROWS];
} binary_work;

/* A word of 32 outputs, four panels, to 16 vectors of nibbles, `stride` bytes apart: transposes
 * [outputs][bytes] in four steps, each of which interleaves units twice as large. Lower halves of
 * vectors have the first two panels, upper halves the others. */
INLINE void split_word(const uint64_t *const panel[4], uint8_t *nibbles, size_t stride) {
  const __m256i by_byte = _mm256_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15, 0,
                                           8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  const __m256i nibble = _mm256_set1_epi8(15);
  __m256i four[2][4]; /* of two panels: in each half two bytes of eight outputs */
  UNROLL for (size_t h = 0; h < 2; h++) {
    __m256i one[4], two[4];
    UNROLL for (size_t i = 0; i < 4; i++) {
      const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(panel[h] + 2 * i));
      const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(panel[2 + h] + 2 * i));
      const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
      one[i] = _mm256_shuffle_epi8(both, by_byte);
    }
    UNROLL for (size_t i = 0; i < 2; i++) {
      two[i] = _mm256_unpacklo_epi16(one[2 * i], one[2 * i + 1]);
      two[2 + i] = _mm256_unpackhi_epi16(one[2 * i], one[2 * i + 1]);
    }
    UNROLL for (size_t i = 0; i < 2; i++) {
      four[h][2 * i] = _mm256_unpacklo_epi32(two[2 * i], two[2 * i + 1]);
      four[h][2 * i + 1] = _mm256_unpackhi_epi32(two[2 * i], two[2 * i + 1]);
    }
  }
  UNROLL for (size_t i = 0; i < 4; i++) {
    const __m256i bytes[2] = {_mm256_unpacklo_epi64(four[0][i], four[1][i]),
                              _mm256_unpackhi_epi64(four[0][i], four[1][i])};
    UNROLL for (size_t b = 0; b < 2; b++, nibbles += 2 * stride) {
      const __m256i high = _mm256_srli_epi16(bytes[b], 4);
      _mm256_storeu_si256((__m256i *)(void *)nibbles, _mm256_and_si256(bytes[b], nibble));
      _mm256_storeu_si256((__m256i *)(void *)(nibbles + stride), _mm256_and_si256(high, nibble));
    }
  }
}

/* The nibbles of both rows, interleaved and times the 16 bytes of a table. */
INLINE void pair_rows(const uint64_t *first, const uint64_t *second, size_t words, uint16_t *pair) {
  const __m128i nibble = _mm_set1_epi8(15);
  for (size_t word = 0; word < words; word++, pair += NIBBLES_A_WORD) {
    const __m128i a = _mm_cvtsi64_si128((long long)first[word]);
    const __m128i b = _mm_cvtsi64_si128((long long)second[word]);
    const __m128i low =
        _mm_or_si128(_mm_and_si128(a, nibble), _mm_slli_epi16(_mm_and_si128(b, nibble), 4));
    const __m128i high =
        _mm_or_si128(_mm_and_si128(_mm_srli_epi16(a, 4), nibble), _mm_andnot_si128(nibble, b));
    const __m256i both = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(low, high));
    _mm256_storeu_si256((__m256i *)(void *)pair, _mm256_slli_epi16(both, 4));
  }
  pair[0] = pair[1] = 0;
}

/* Of 32 outputs: what the table of a pair of rows has for their nibbles. */
INLINE __m256i look_up(__m256i table, const uint8_t *nibbles) {
  return _mm256_shuffle_epi8(table, _mm256_loadu_si256((const __m256i *)(const void *)nibbles));
}

/* Adds the differing bits of a block to the counts of two rows; fresh ones are not read. */
INLINE void count_pair(const size_t vectors, size_t words, const binary_work *work,
                       binary_counts counts[2], int fresh) {
  const size_t stride = 32 * vectors;
  const uint8_t *weights = work->weights;
  const uint16_t *pair = work->pair;
  for (size_t left = BEEX_CEIL_DIV(NIBBLES_A_WORD * words, 3), n; left; left -= n) {
    n = left < GROUPS_A_BYTE ? left : GROUPS_A_BYTE;
    __m256i all[MOST_VECTORS], upper[MOST_VECTORS];
    UNROLL for (size_t v = 0; v < vectors; v++) all[v] = upper[v] = _mm256_setzero_si256();
    for (size_t group = 0; group < n; group++, pair += 3, weights += 3 * stride) {
      __m256i table[3];
      UNROLL for (size_t i = 0; i < 3; i++) {
        const void *place = (const uint8_t *)tables + pair[i];
        table[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)place));
      }
      UNROLL for (size_t v = 0; v < vectors; v++) {
        const uint8_t *nibbles = weights + 32 * v;
        const __m256i two = _mm256_add_epi8(look_up(table[0], nibbles),
                                            look_up(table[1], nibbles + stride));
        const __m256i sum = _mm256_add_epi8(two, look_up(table[2], nibbles + 2 * stride));
        all[v] = _mm256_add_epi8(all[v], sum);
        upper[v] = _mm256_add_epi8(upper[v], _mm256_srli_epi16(sum, 4));
      }
    }
    const __m256i byte = _mm256_set1_epi16(255);
    UNROLL for (size_t v = 0; v < vectors; v++) {
      const __m256i odd_second = _mm256_srli_epi16(upper[v], 8);
      const __m256i odd_first = _mm256_and_si256(
          _mm256_sub_epi16(_mm256_srli_epi16(all[v], 8), _mm256_slli_epi16(odd_second, 4)), byte);
      const __m256i even_second =
          _mm256_and_si256(_mm256_sub_epi16(upper[v], _mm256_slli_epi16(odd_first, 4)), byte);
      const __m256i even_first =
          _mm256_and_si256(_mm256_sub_epi16(all[v], _mm256_slli_epi16(even_second, 4)), byte);
      const __m256i counted[2][2] = {{even_first, odd_first}, {even_second, odd_second}};
      UNROLL for (size_t r = 0; r < 2; r++) {
        UNROLL for (size_t odd = 0; odd < 2; odd++) {
          __m256i *count = &counts[r][v][odd];
          *count = fresh ? counted[r][odd] : _mm256_add_epi16(*count, counted[r][odd]);
        }
      }
    }
    fresh = 0;
  }
}

/* 32 outputs of a row, from their counts; fewer may be left. */
INLINE void finish_outputs(const binary_layer *layer, const __m256i counts[2], size_t row,
                           size_t output) {
  const __m256i depth = _mm256_set1_epi16((short)layer->depth);
  const size_t left = layer->outputs - output;
  __m256i sum[2];
  UNROLL for (size_t odd = 0; odd < 2; odd++) {
    sum[odd] = _mm256_sub_epi16(depth, _mm256_add_epi16(counts[odd], counts[odd]));
  }
  const __m256i low = _mm256_unpacklo_epi16(sum[0], sum[1]);
  const __m256i high = _mm256_unpackhi_epi16(sum[0], sum[1]);
  const __m128i eight[4] = {_mm256_castsi256_si128(low), _mm256_castsi256_si128(high),
                            _mm256_extracti128_si256(low, 1), _mm256_extracti128_si256(high, 1)};
  const float *scale = layer->scale + output, *bias = layer->bias + output;
  float *y = layer->signs ? NULL : layer->y + row * layer->outputs + output;
  uint32_t negative = 0;
  UNROLL for (size_t i = 0; i < 4; i++) {
    if (left <= 8 * i) break; /* scale and bias end here */
    const __m256 whole = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(eight[i]));
    const __m256 scaled = _mm256_mul_ps(whole, _mm256_loadu_ps(scale + 8 * i));
    const __m256 value = _mm256_add_ps(scaled, _mm256_loadu_ps(bias + 8 * i));
    if (y) {
      store_outputs(y + 8 * i, left - 8 * i, value);
    } else {
      const __m256 is_negative = _mm256_cmp_ps(value, _mm256_setzero_ps(), _CMP_LT_OQ);
      negative |= (uint32_t)_mm256_movemask_ps(is_negative) << 8 * i;
    }
  }
  if (!y) {
    uint8_t *signs = (uint8_t *)(layer->signs + row * BEEX_WORDS(layer->outputs));
    memcpy(signs + output / 8, &negative, sizeof negative);
  }
}

INLINE void binary_tile(const size_t vectors, const binary_layer *layer, binary_work *work,
                        size_t row, size_t rows, size_t output) {
  const size_t words = BEEX_WORDS(layer->depth), stride = 32 * vectors;
  const size_t last = (layer->outputs - 1) / BEEX_BINARY_PANEL;
  for (size_t start = 0, n; start < words; start += n) {
    n = words - start < BLOCK_WORDS ? words - start : BLOCK_WORDS;
    for (size_t v = 0; v < vectors; v++) {
      const uint64_t *panel[4];
      for (size_t p = 0; p < 4; p++) {
        /* Beyond the last panel it stands in: what comes of it goes nowhere. */
        const size_t index = output / BEEX_BINARY_PANEL + 4 * v + p;
        panel[p] =
            layer->weights + ((index < last ? index : last) * words + start) * BEEX_BINARY_PANEL;
      }
      for (size_t word = 0; word < n; word++) {
        split_word(panel, work->weights + word * NIBBLES_A_WORD * stride + 32 * v, stride);
        for (size_t p = 0; p < 4; p++) panel[p] += BEEX_BINARY_PANEL;
      }
    }
    memset(work->weights + n * NIBBLES_A_WORD * stride, 0, 2 * stride);
    for (size_t r = 0; r < rows; r += 2) {
      const size_t pair_size = rows - r < 2 ? 1 : 2;
      const uint64_t *first = layer->x + (row + r) * words + start;
      /* Where one block is all, counts need not be kept. */
      binary_counts *counts = work->counts + (words > BLOCK_WORDS ? r : 0);
      pair_rows(first, pair_size == 2 ? first + words : first, n, work->pair);
      count_pair(vectors, n, work, counts, !start);
      if (start + n < words) continue;
      for (size_t i = 0; i < pair_size; i++) {
        UNROLL for (size_t v = 0; v < vectors; v++) {
          if (layer->outputs <= output + 32 * v) break;
          finish_outputs(layer, counts[i][v], row + r + i, output + 32 * v);
        }
      }
    }
  }
}

/* Sums are counted in 16 bits. */
#define MOST_DEPTH 32767

/* Any number of inputs. */
static void deep_layer(const binary_layer *l) {
  const beex_kernels *k = &beex_kernels_portable;
  if (l->signs) {
    k->binary_signs(l->rows, l->depth, l->outputs, l->x, l->weights, l->scale, l->bias, l->signs);
  } else {
    k->binary_linear(l->rows, l->depth, l->outputs, l->x, l->weights, l->scale, l->bias, l->y);
  }
}

static TARGET void binary_layer_by_tiles(const binary_layer *layer) {
  if (layer->depth > MOST_DEPTH) {
    deep_layer(layer);
    return;
  }
  const size_t most_rows = BEEX_WORDS(layer->depth) > BLOCK_WORDS ? TILE_ROWS : layer->rows;
  binary_work work;
  for (size_t output = 0; output < layer->outputs; output += 32 * MOST_VECTORS) {
    for (size_t row = 0, n; row < layer->rows; row += n) {
      n = beex_next_tile(layer->rows - row, most_rows);
      if (layer->outputs - output > 64) {
        binary_tile(4, layer, &work, row, n, output);
      } else {
        binary_tile(2, layer, &work, row, n, output);
      }
    }
  }
}

#include "binary.inc"

#define ROWS 4
#define INT8_ROWS ROWS
#define MATMUL_COLUMNS 16
#define INT16_COLUMNS 16

/* === Real x binary ===
 *
 * As in avx512.c, with two vectors for the 16 outputs of a panel: one for each half of a group.
 *
 *     for each group of inputs, each input i of it
 *       w[h] = (bits[h] << (3 - i)) & sign | 1.0
 *       for each row r, half h
 *         sum[r][h] += broadcast(x[r][4 group + i]) * w[h]
 */

/* Four bytes in every lane; by way of a float, which compilers load and broadcast in one. */
INLINE __m256i broadcast_four(const void *x) {
  float four;
  memcpy(&four, x, sizeof four);
  return _mm256_castps_si256(_mm256_set1_ps(four));
}

/* The 32 bits of half a group in every lane. */
INLINE __m256i broadcast_half(const uint64_t *group, size_t h) {
  return broadcast_four((const uint8_t *)group + 4 * h);
}

/* sum += x * weight. Around _mm256_fmadd_ps GCC 12 puts copies that cost a third of the speed. */
INLINE void add_product(__m256 *sum, __m256 x, __m256 weight) {
  __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(x), "x"(weight));
}

/* Adds four inputs of each row, which are `stride` floats apart. */
INLINE void add_group(const size_t rows, const float *x, size_t stride, const uint64_t *group,
                      __m256 sum[ROWS][2]) {
  const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
  const __m256i to_top = _mm256_setr_epi32(28, 24, 20, 16, 12, 8, 4, 0);
  __m256i bits[2];
  UNROLL for (size_t h = 0; h < 2; h++) {
    bits[h] = _mm256_sllv_epi32(broadcast_half(group, h), to_top);
  }
  UNROLL for (size_t i = 0; i < 4; i++) {
    __m256 weight[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      const __m256 top = _mm256_castsi256_ps(_mm256_slli_epi32(bits[h], (int)(3 - i)));
      weight[h] = _mm256_or_ps(_mm256_and_ps(top, sign), one);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const __m256 input = _mm256_set1_ps(x[r * stride + i]);
      UNROLL for (size_t h = 0; h < 2; h++) add_product(&sum[r][h], input, weight[h]);
    }
  }
}

/* The 16 outputs of a panel for each row, of which fewer may be left. */
INLINE void store_panel(const size_t rows, const real_layer *layer, size_t row, size_t output,
                        __m256 sum[ROWS][2]) {
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

INLINE void real_tile(const size_t rows, const real_layer *layer, size_t row, size_t output) {
  const size_t depth = layer->depth, groups = BEEX_CEIL_DIV(depth, 4);
  const float *x = layer->x + row * depth;
  const uint64_t *weights = layer->weights + output / BEEX_REAL_PANEL * groups;
  __m256 sum[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = _mm256_setzero_ps();
  }
  for (size_t group = 0; group < depth / 4; group++) {
    add_group(rows, x + 4 * group, depth, weights + group, sum);
  }
  if (depth % 4) {
    float tail[8][4] = {{0}};
    beex_copy_tail(rows, depth, x, tail);
    add_group(rows, tail[0], 4, weights + depth / 4, sum);
  }
  store_panel(rows, layer, row, output, sum);
}

/* === int8 x binary ===
 *
 * The 32 bits of half a group become 32 bytes, 1 where a weight is negative, once for all rows. The products
 * with the inputs are added by twos to 16 bits, which hold 128 of them, and by fours to 32.
 *
 *     for each group of four inputs, each half h
 *       chosen[h] = bytes of (bits[h]): each byte takes the byte of the word that has its bit,
 *                   leaves that bit alone, and is cut to 1
 *     for each group, row r, half h
 *       pairs[r][h] += chosen[h] * broadcast(four bytes of x[r]), added by twos
 *     negative = pairs, added by twos;  sum = (sum of x[r]) - 2 negative
 */
#define GROUPS_A_PAIR 128
#define MOST_GROUPS 384 /* whose bytes stay in the first cache; those of more are made again for each tile */

/* sum += bytes * x, added by twos. See add_product. */
INLINE void add_pairs(__m256i *sum, __m256i bytes, __m256i x) {
  __m256i products;
  __asm__("vpmaddubsw %2, %3, %1\n\tvpaddw %1, %0, %0"
          : "+x"(*sum), "=&x"(products)
          : "x"(x), "x"(bytes));
}

INLINE void choose_bytes(const uint64_t *weights, size_t groups, __m256i chosen[][2]) {
  const __m256i source = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                          2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x((long long)UINT64_C(0x8040201008040201));
  for (size_t group = 0; group < groups; group++) {
    UNROLL for (size_t h = 0; h < 2; h++) {
      const __m256i half = broadcast_half(weights + group, h);
      const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(half, source), bit);
      chosen[group][h] = _mm256_min_epu8(bits, _mm256_set1_epi8(1));
    }
  }
}

INLINE void int8_tile(const size_t rows, const real_layer *layer, __m256i all[][2], size_t row,
                      size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  __m256i negative[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) negative[r][h] = _mm256_setzero_si256();
  }
  for (size_t start = 0, n; start < groups; start += n) {
    n = groups - start < GROUPS_A_PAIR ? groups - start : GROUPS_A_PAIR;
    const int8_t *x = layer->q + 4 * (row * groups + start);
    __m256i(*chosen)[2] = all, pairs[ROWS][2];
    if (groups > MOST_GROUPS) {
      choose_bytes(layer->weights + output / BEEX_REAL_PANEL * groups + start, n, chosen);
    } else {
      chosen += start;
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 2; h++) pairs[r][h] = _mm256_setzero_si256();
    }
    for (size_t group = 0; group < n; group++) {
      UNROLL for (size_t r = 0; r < rows; r++) {
        const __m256i input = broadcast_four(x + 4 * (r * groups + group));
        UNROLL for (size_t h = 0; h < 2; h++) add_pairs(&pairs[r][h], chosen[group][h], input);
      }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 2; h++) {
        const __m256i fours = _mm256_madd_epi16(pairs[r][h], _mm256_set1_epi16(1));
        negative[r][h] = _mm256_add_epi32(negative[r][h], fours);
      }
    }
  }
  __m256 real[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    const __m256 scale = _mm256_set1_ps(layer->row[row + r].scale);
    UNROLL for (size_t h = 0; h < 2; h++) {
      const __m256i sum = _mm256_sub_epi32(_mm256_set1_epi32(layer->row[row + r].sum),
                                           _mm256_add_epi32(negative[r][h], negative[r][h]));
      real[r][h] = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale);
    }
  }
  store_panel(rows, layer, row, output, real);
}

static TARGET void int8_layer_by_tiles(const real_layer *layer) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const uint64_t *weights = layer->weights;
  __m256i chosen[MOST_GROUPS][2];
  for (size_t output = 0; output < layer->outputs; output += BEEX_REAL_PANEL, weights += groups) {
    if (groups <= MOST_GROUPS) choose_bytes(weights, groups, chosen);
    EACH_TILE(row, layer->rows, ROWS, int8_tile, layer, chosen, row, output)
  }
}

#define INT8_LAYER int8_layer_by_tiles

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
  __m256 real[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    const __m256 scale = _mm256_set1_ps(layer->row[row + r].scale);
    UNROLL for (size_t h = 0; h < 2; h++) {
      real[r][h] = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[r][h]), scale);
    }
  }
  store_panel(rows, layer, row, output, real);
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

#include "tiles.inc"

const beex_kernels beex_kernels_avx2 = {
    .name = "avx2",
    PRODUCT_FUNCTIONS,
    REAL_FUNCTIONS,
};

#endif
