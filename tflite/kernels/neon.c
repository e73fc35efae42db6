/* NEON of 64-bit ARM. */
#include "exact.h"
#include "simd.h"

#ifdef BEEX_HAS_NEON

#include <arm_neon.h>

#define TARGET
#define INLINE static inline __attribute__((always_inline))
#define NAME(f) neon_##f
#define LANES 4

typedef float32x4_t vec;

INLINE vec v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vec x) { vst1q_f32(p, x); }
INLINE vec v_set(float x) { return vdupq_n_f32(x); }
/* Of a NaN and a number these give the number, as the other implementations do. */
INLINE vec v_max(vec a, vec b) { return vmaxnmq_f32(a, b); }
INLINE vec v_min(vec a, vec b) { return vminnmq_f32(a, b); }
INLINE vec v_round(vec x) { return vrndnq_f32(x); }
INLINE vec v_is_negative(vec x) {
  const uint32x4_t one = vreinterpretq_u32_f32(vdupq_n_f32(1.0f));
  return vreinterpretq_f32_u32(vandq_u32(vcltzq_f32(x), one));
}
INLINE vec v_power_of_2(vec n) {
  const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}

INLINE float v_total(vec x) {
  const float32x2_t two = vadd_f32(vget_low_f32(x), vget_high_f32(x));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
INLINE vec v_load_some(const float *p, size_t n) {
  float buffer[LANES] = {0};
  for (size_t i = 0; i < n; i++) buffer[i] = p[i];
  return v_load(buffer);
}
INLINE void v_store_some(float *p, size_t n, vec x) {
  float buffer[LANES];
  v_store(buffer, x);
  for (size_t i = 0; i < n; i++) p[i] = buffer[i];
}
INLINE vec v_only(vec x, size_t n) {
  static const uint32_t lanes[LANES] = {0, 1, 2, 3};
  const uint32x4_t first = vcltq_u32(vld1q_u32(lanes), vdupq_n_u32((uint32_t)n));
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), first));
}
INLINE float v_largest(vec x) { return vmaxvq_f32(x); }
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  const int16x4_t words = vqmovn_s32(vcvtq_s32_f32(x));
  const int8x8_t bytes = vqmovn_s16(vcombine_s16(words, words));
  const int32_t four = vget_lane_s32(vreinterpret_s32_s8(bytes), 0);
  memcpy(q, &four, n);
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  const int16x4_t words = vqmovn_s32(vcvtq_s32_f32(x));
  memcpy(q, &words, n * sizeof *q);
}

#include "real.inc"

#define ROWS 4
#define MATMUL_COLUMNS 16
#define INT16_COLUMNS 8

/* 32 signs at a time would be more than they are worth: packing is a small part of a layer. */
static void neon_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  static const uint32_t place[4] = {1, 2, 4, 8};
  const uint32x4_t places = vld1q_u32(place);
  for (; rows; rows--, x += depth) {
    for (size_t i = 0; i < depth; i += 64, bits++) {
      uint64_t word = 0;
      for (size_t part = 0; part < 64 && i + part < depth; part += 4) {
        const vec value = neon_load(x + i + part, neon_at_most(depth - i - part));
        const uint32x4_t negative = vandq_u32(vcltzq_f32(value), places);
        word |= (uint64_t)vaddvq_u32(negative) << part;
      }
      *bits = word;
    }
  }
}

/* === Binary x binary ===
 *
 * A vector holds one word of 2 outputs, four vectors a panel. CNT counts the bits of each byte.
 *
 *     for each word k
 *       for each row r, quarter h of the panel
 *         bytes[r][h] += count(broadcast(x[r][k]) ^ weights[k][h])
 *     different[r][h] = sums of the eight bytes of each word
 *
 * A byte grows by 8 at most each time, so after 31 words the bytes are added up.
 */
#define WORDS_A_BYTE 31

INLINE void binary_tile(const size_t rows, const binary_layer *layer, size_t row, size_t output) {
  const size_t words = BEEX_WORDS(layer->depth);
  const uint64_t *x = layer->x + row * words, *weights = layer->weights + output * words;
  uint64x2_t different[ROWS][4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 4; h++) different[r][h] = vdupq_n_u64(0);
  }
  for (size_t start = 0; start < words; start += WORDS_A_BYTE) {
    const size_t end = words - start < WORDS_A_BYTE ? words : start + WORDS_A_BYTE;
    uint8x16_t bytes[ROWS][4];
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 4; h++) bytes[r][h] = vdupq_n_u8(0);
    }
    for (size_t word = start; word < end; word++) {
      uint64x2_t weight[4];
      UNROLL for (size_t h = 0; h < 4; h++) {
        weight[h] = vld1q_u64(weights + word * BEEX_BINARY_PANEL + 2 * h);
      }
      UNROLL for (size_t r = 0; r < rows; r++) {
        const uint64x2_t input = vdupq_n_u64(x[r * words + word]);
        UNROLL for (size_t h = 0; h < 4; h++) {
          const uint8x16_t differing = vreinterpretq_u8_u64(veorq_u64(input, weight[h]));
          bytes[r][h] = vaddq_u8(bytes[r][h], vcntq_u8(differing));
        }
      }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 4; h++) {
        const uint32x4_t fours = vpaddlq_u16(vpaddlq_u8(bytes[r][h]));
        different[r][h] = vaddq_u64(different[r][h], vpaddlq_u32(fours));
      }
    }
  }
  const int32x4_t depth = vdupq_n_s32((int32_t)layer->depth);
  UNROLL for (size_t r = 0; r < rows; r++) {
    float y[BEEX_BINARY_PANEL];
    UNROLL for (size_t h = 0; h < 2; h++) {
      const uint32x4_t counts = vcombine_u32(vmovn_u64(different[r][2 * h]),
                                             vmovn_u64(different[r][2 * h + 1]));
      const int32x4_t sum = vsubq_s32(depth, vreinterpretq_s32_u32(vaddq_u32(counts, counts)));
      const float32x4_t scaled =
          vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(layer->scale + output + 4 * h));
      vst1q_f32(y + 4 * h, vaddq_f32(scaled, vld1q_f32(layer->bias + output + 4 * h)));
    }
    if (layer->signs) {
      unsigned byte = 0;
      UNROLL for (size_t o = 0; o < BEEX_BINARY_PANEL; o++) byte |= (unsigned)(y[o] < 0) << o;
      uint8_t *signs = (uint8_t *)(layer->signs + (row + r) * BEEX_WORDS(layer->outputs));
      signs[output / 8] = (uint8_t)byte;
    } else {
      const size_t left = layer->outputs - output;
      memcpy(layer->y + (row + r) * layer->outputs + output, y,
             (left < BEEX_BINARY_PANEL ? left : BEEX_BINARY_PANEL) * sizeof *y);
    }
  }
}

static void binary_layer_by_tiles(const binary_layer *layer) {
  for (size_t output = 0; output < layer->outputs; output += BEEX_BINARY_PANEL) {
    EACH_TILE(row, layer->rows, ROWS, binary_tile, layer, row, output)
  }
}

#include "binary.inc"

/* === Real x binary ===
 *
 * As in avx512.c, with four vectors for the 16 outputs of a panel: one for each quarter of a group.
 *
 *     for each group of inputs, each input i of it
 *       w[h] = (bits[h] << (3 - i)) & sign | 1.0
 *       for each row r, quarter h
 *         sum[r][h] += x[r][4 group + i] * w[h]
 */
INLINE void add_group(const size_t rows, const float *x, size_t stride, uint64_t group,
                      float32x4_t sum[ROWS][4]) {
  static const int32_t shifts[4] = {28, 24, 20, 16};
  const uint32x4_t sign = vdupq_n_u32(0x80000000u);
  const uint32x4_t one = vreinterpretq_u32_f32(vdupq_n_f32(1.0f));
  const int32x4_t to_top = vld1q_s32(shifts);
  uint32x4_t bits[4];
  UNROLL for (size_t h = 0; h < 4; h++) {
    bits[h] = vshlq_u32(vdupq_n_u32((uint32_t)(group >> 16 * h)), to_top);
  }
  UNROLL for (size_t i = 0; i < 4; i++) {
    float32x4_t weight[4];
    UNROLL for (size_t h = 0; h < 4; h++) {
      const uint32x4_t top = vshlq_u32(bits[h], vdupq_n_s32((int32_t)(3 - i)));
      weight[h] = vreinterpretq_f32_u32(vorrq_u32(vandq_u32(top, sign), one));
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const float32x4_t input = vdupq_n_f32(x[r * stride + i]);
      UNROLL for (size_t h = 0; h < 4; h++) sum[r][h] = vfmaq_f32(sum[r][h], input, weight[h]);
    }
  }
}

/* The 16 outputs of a panel, of which fewer may be left. */
INLINE void store_panel(const real_layer *layer, size_t row, size_t output,
                        const float32x4_t sum[4]) {
  float y[BEEX_REAL_PANEL];
  UNROLL for (size_t h = 0; h < 4; h++) {
    const float32x4_t scaled = vmulq_f32(sum[h], vld1q_f32(layer->scale + output + 4 * h));
    vst1q_f32(y + 4 * h, vaddq_f32(scaled, vld1q_f32(layer->bias + output + 4 * h)));
  }
  const size_t left = layer->outputs - output;
  memcpy(layer->y + row * layer->outputs + output, y,
         (left < BEEX_REAL_PANEL ? left : BEEX_REAL_PANEL) * sizeof *y);
}

/* The same of a row's whole numbers. */
INLINE void store_sums(const real_layer *layer, size_t row, size_t output, const int32x4_t sum[4]) {
  float32x4_t real[4];
  UNROLL for (size_t h = 0; h < 4; h++) {
    real[h] = vmulq_f32(vcvtq_f32_s32(sum[h]), vdupq_n_f32(layer->row[row].scale));
  }
  store_panel(layer, row, output, real);
}

INLINE void real_tile(const size_t rows, const real_layer *layer, size_t row, size_t output) {
  const size_t depth = layer->depth, groups = BEEX_CEIL_DIV(depth, 4);
  const float *x = layer->x + row * depth;
  const uint64_t *weights = layer->weights + output / BEEX_REAL_PANEL * groups;
  float32x4_t sum[ROWS][4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 4; h++) sum[r][h] = vdupq_n_f32(0.0f);
  }
  for (size_t group = 0; group < depth / 4; group++) {
    add_group(rows, x + 4 * group, depth, weights[group], sum);
  }
  if (depth % 4) {
    float tail[8][4] = {{0}};
    beex_copy_tail(rows, depth, x, tail);
    add_group(rows, tail[0], 4, weights[depth / 4], sum);
  }
  UNROLL for (size_t r = 0; r < rows; r++) store_panel(layer, row + r, output, sum[r]);
}

/* === int8 x binary ===
 *
 * 16 bits of a group become 16 bytes of +-1, four inputs of four outputs, once for all rows. Products with
 * the inputs fit into bytes; they are added by twos to 16 bits, which hold 128 of them, and by fours to 32.
 *
 *     for each group of four inputs, quarter h
 *       w[h] = bytes of (bits[h]): -1 where the bit is set, else 1
 *     for each group, row r, quarter h
 *       pairs[r][h] += w[h] * broadcast(four bytes of x[r]), added by twos
 *     sum = pairs, added by twos
 */
#define GROUPS_A_PAIR 128
#define MOST_GROUPS 384 /* whose bytes stay in a cache; those of more are made again for each tile */
#define GROUP_BYTES (4 * BEEX_REAL_PANEL)

/* As weights of 8 bits. */
static void expand_groups(const uint64_t *weights, size_t groups, int8_t *bytes) {
  static const uint8_t sources[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t source = vld1q_u8(sources), bit = vld1q_u8(places);
  for (size_t group = 0; group < groups; group++) {
    UNROLL for (size_t h = 0; h < 4; h++, bytes += 16) {
      const uint16_t part = (uint16_t)(weights[group] >> 16 * h);
      const uint8x16_t word = vreinterpretq_u8_u16(vdupq_n_u16(part));
      /* All bits of a byte where the bit is set: -1. Or with 1: -1 stays, 0 becomes 1. */
      const uint8x16_t set = vtstq_u8(vqtbl1q_u8(word, source), bit);
      vst1q_s8(bytes, vreinterpretq_s8_u8(vorrq_u8(set, vdupq_n_u8(1))));
    }
  }
}

INLINE void int8_tile(const size_t rows, const real_layer *layer, int8_t *all, size_t row,
                      size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  int32x4_t sum[ROWS][4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 4; h++) sum[r][h] = vdupq_n_s32(0);
  }
  for (size_t start = 0, n; start < groups; start += n) {
    n = groups - start < GROUPS_A_PAIR ? groups - start : GROUPS_A_PAIR;
    const int8_t *x = layer->q + 4 * (row * groups + start), *bytes = all;
    if (groups > MOST_GROUPS) {
      expand_groups(layer->weights + output / BEEX_REAL_PANEL * groups + start, n, all);
    } else {
      bytes += GROUP_BYTES * start;
    }
    int16x8_t pairs[ROWS][4];
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 4; h++) pairs[r][h] = vdupq_n_s16(0);
    }
    for (size_t group = 0; group < n; group++, bytes += GROUP_BYTES) {
      int8x16_t weight[4];
      UNROLL for (size_t h = 0; h < 4; h++) weight[h] = vld1q_s8(bytes + 16 * h);
      UNROLL for (size_t r = 0; r < rows; r++) {
        int32_t four;
        memcpy(&four, x + 4 * (r * groups + group), sizeof four);
        const int8x16_t input = vreinterpretq_s8_s32(vdupq_n_s32(four));
        UNROLL for (size_t h = 0; h < 4; h++) {
          pairs[r][h] = vpadalq_s8(pairs[r][h], vmulq_s8(input, weight[h]));
        }
      }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 4; h++) sum[r][h] = vpadalq_s16(sum[r][h], pairs[r][h]);
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) store_sums(layer, row + r, output, sum[r]);
}

static void int8_layer_by_tiles(const real_layer *layer) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const uint64_t *weights = layer->weights;
  int8_t bytes[GROUP_BYTES * MOST_GROUPS];
  for (size_t output = 0; output < layer->outputs; output += BEEX_REAL_PANEL, weights += groups) {
    if (groups <= MOST_GROUPS) expand_groups(weights, groups, bytes);
    EACH_TILE(row, layer->rows, ROWS, int8_tile, layer, bytes, row, output)
  }
}

#define INT8_LAYER int8_layer_by_tiles

/* int8 x int8. A vector has four inputs of four outputs; products are added by twos to 32 bits.
 *
 *     for each group of four inputs
 *       for each row r, quarter h of the panel, half of its outputs
 *         sum[r][2 h + half] += w[h][half] * broadcast(four bytes of x[r]), added by twos
 *     sum = sums, added by twos
 */
#define INT8_ROWS 2

INLINE void int8_int8_tile(const size_t rows, const real_layer *layer, size_t row, size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const int8_t *x = layer->q + row * 4 * groups, *weights = layer->bytes + output * 4 * groups;
  int32x4_t sum[INT8_ROWS][8];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 8; h++) sum[r][h] = vdupq_n_s32(0);
  }
  for (size_t group = 0; group < groups; group++, weights += 4 * BEEX_INT8_PANEL) {
    int8x8_t weight[8];
    UNROLL for (size_t h = 0; h < 8; h++) weight[h] = vld1_s8(weights + 8 * h);
    UNROLL for (size_t r = 0; r < rows; r++) {
      int32_t four;
      memcpy(&four, x + 4 * (r * groups + group), sizeof four);
      const int8x8_t input = vreinterpret_s8_s32(vdup_n_s32(four));
      UNROLL for (size_t h = 0; h < 8; h++) {
        sum[r][h] = vpadalq_s16(sum[r][h], vmull_s8(input, weight[h]));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    int32x4_t whole[4];
    UNROLL for (size_t h = 0; h < 4; h++) whole[h] = vpaddq_s32(sum[r][2 * h], sum[r][2 * h + 1]);
    store_sums(layer, row + r, output, whole);
  }
}

/* === Real x real: 16 columns and up to 4 rows stay in registers === */

INLINE void matmul_tile(const size_t rows, const product *m, size_t row, size_t column) {
  const float *a = m->a + row * m->a_stride, *b = m->b + column;
  const size_t left = m->columns - column;
  size_t width[4];
  UNROLL for (size_t h = 0; h < 4; h++) width[h] = left > 4 * h ? neon_at_most(left - 4 * h) : 0;
  float32x4_t sum[ROWS][4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 4; h++) sum[r][h] = vdupq_n_f32(0.0f);
  }
  for (size_t i = 0; i < m->depth; i++, b += m->b_stride) {
    float32x4_t right[4];
    UNROLL for (size_t h = 0; h < 4; h++) right[h] = neon_load(b + 4 * h, width[h]);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const float32x4_t value = vdupq_n_f32(a[r * m->a_stride + i]);
      UNROLL for (size_t h = 0; h < 4; h++) {
        sum[r][h] = vaddq_f32(sum[r][h], vmulq_f32(value, right[h]));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    float *c = m->c + (row + r) * m->c_stride + column;
    UNROLL for (size_t h = 0; h < 4; h++) {
      if (width[h]) neon_store(c + 4 * h, width[h], sum[r][h]);
    }
  }
}

/* === Whole x whole: a vector holds a pair of inputs of 4 columns ===
 *
 *     for each pair of inputs
 *       for each row r, quarter q of 8 columns, which is two columns
 *         sum[r][q] += b[pair][q] * broadcast(two of a[r])
 *     c = sums, added by twos
 */
INLINE void int16_tile(const size_t rows, const pair_product *m, size_t row, size_t column) {
  const int16_t *a = m->a + row * m->a_stride, *b = m->b + 2 * column;
  const size_t left = m->columns - column;
  const size_t width[2] = {neon_at_most(left), left > 4 ? neon_at_most(left - 4) : 0};
  int32x4_t sum[ROWS][4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t q = 0; q < 4; q++) sum[r][q] = vdupq_n_s32(0);
  }
  for (size_t i = 0; i < m->depth; i += 2, b += 2 * m->b_stride) {
    int16x8_t right[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      const float *pairs = (const float *)(const void *)(b + 8 * h);
      right[h] = vreinterpretq_s16_f32(neon_load(pairs, width[h]));
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      int32_t pair;
      memcpy(&pair, a + r * m->a_stride + i, sizeof pair);
      const int16x4_t value = vreinterpret_s16_s32(vdup_n_s32(pair));
      UNROLL for (size_t h = 0; h < 2; h++) {
        sum[r][2 * h] = vmlal_s16(sum[r][2 * h], vget_low_s16(right[h]), value);
        sum[r][2 * h + 1] = vmlal_s16(sum[r][2 * h + 1], vget_high_s16(right[h]), value);
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    float *c = m->c + (row + r) * m->c_stride + column;
    UNROLL for (size_t h = 0; h < 2; h++) {
      const float32x4_t four = vcvtq_f32_s32(vpaddq_s32(sum[r][2 * h], sum[r][2 * h + 1]));
      if (width[h]) neon_store(c + 4 * h, width[h], four);
    }
  }
}

#include "tiles.inc"

const beex_kernels beex_kernels_neon = {
    .name = "neon",
    PRODUCT_FUNCTIONS,
    REAL_FUNCTIONS,
};

/* === int8 by dot products, of processors that have them (Armv8.2 and later) ===
 *
 *     for each group of four inputs
 *       for each row r, quarter h of the panel
 *         sum[r][h] += w[h] . (four bytes of x[r]), for each of four outputs
 */

/* vdotq_laneq_s32, which compilers have only for processors that all have the instruction. */
#define DOT(sum, weight, x, lane)                                                         \
  __asm__(".arch_extension dotprod\n\tsdot %0.4s, %1.16b, %2.4b[" #lane "]"                \
          : "+w"(sum)                                                                     \
          : "w"(weight), "w"(x))

/* Weights of a group times one of the four inputs that a vector of each row has. */
#define DOT_GROUP(lane)                                                                   \
  {                                                                                       \
    int8x16_t weight[4];                                                                  \
    UNROLL for (size_t h = 0; h < 4; h++) weight[h] = vld1q_s8(weights + 16 * h);         \
    UNROLL for (size_t r = 0; r < rows; r++) {                                            \
      UNROLL for (size_t h = 0; h < 4; h++) DOT(sum[r][h], weight[h], input[r], lane);    \
    }                                                                                     \
    weights += GROUP_BYTES;                                                               \
  }

INLINE void dot_tile(const size_t rows, const real_layer *layer, const int8_t *weights, size_t row,
                     size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const int8_t *x = layer->q + 4 * row * groups;
  int32x4_t sum[ROWS][4];
  int8x16_t input[ROWS];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 4; h++) sum[r][h] = vdupq_n_s32(0);
  }
  size_t group = 0;
  for (; group + 4 <= groups; group += 4, x += 16) {
    UNROLL for (size_t r = 0; r < rows; r++) input[r] = vld1q_s8(x + 4 * r * groups);
    DOT_GROUP(0) DOT_GROUP(1) DOT_GROUP(2) DOT_GROUP(3)
  }
  for (; group < groups; group++, x += 4) {
    UNROLL for (size_t r = 0; r < rows; r++) {
      int32_t four;
      memcpy(&four, x + 4 * r * groups, sizeof four);
      input[r] = vreinterpretq_s8_s32(vdupq_n_s32(four));
    }
    DOT_GROUP(0)
  }
  UNROLL for (size_t r = 0; r < rows; r++) store_sums(layer, row + r, output, sum[r]);
}

static void neon_int8_linear_dot(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                                 const beex_quantized_row *scales, const uint64_t *weights,
                                 const float *scale, const float *bias, float *y) {
  const real_layer layer = {rows, depth, outputs, NULL, x, scales, weights, scale, bias, y, NULL};
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  int8_t bytes[GROUP_BYTES * MOST_GROUPS];
  if (groups > MOST_GROUPS) {
    int8_layer_by_tiles(&layer);
    return;
  }
  for (size_t output = 0; output < outputs; output += BEEX_REAL_PANEL, weights += groups) {
    expand_groups(weights, groups, bytes);
    EACH_TILE(row, rows, ROWS, dot_tile, &layer, bytes, row, output)
  }
}

static void neon_int8_int8_linear_dot(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                                      const beex_quantized_row *scales, const int8_t *weights,
                                      const float *scale, const float *bias, float *y) {
  const real_layer layer = {rows, depth, outputs, NULL, x, scales, NULL, scale, bias, y, weights};
  const size_t size = GROUP_BYTES * BEEX_CEIL_DIV(depth, 4);
  for (size_t output = 0; output < outputs; output += BEEX_INT8_PANEL, weights += size) {
    EACH_TILE(row, rows, ROWS, dot_tile, &layer, weights, row, output)
  }
}

const beex_kernels beex_kernels_neondot = {
    .name = "neondot",
    .pack_signs = NAME(pack_signs), .quantize = NAME(quantize),
    .binary_linear = NAME(binary_linear), .binary_signs = NAME(binary_signs),
    .real_linear = NAME(real_linear), .int8_linear = NAME(int8_linear_dot),
    .int8_int8_linear = NAME(int8_int8_linear_dot), .matmul = NAME(matmul),
    .int16_matmul = NAME(int16_matmul),
    REAL_FUNCTIONS,
};

#endif
