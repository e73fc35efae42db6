/* WebAssembly's vectors of 128 bits. With relaxed ones (-mrelaxed-simd) look-ups take one instruction less on x86;
 * no index is beyond a table, so their results are defined.
 */
#include "exact.h"
#include "simd.h"

#ifdef BEEX_HAS_WASM

#include <wasm_simd128.h>

#define TARGET
#define INLINE static inline __attribute__((always_inline))
#define NAME(f) wasm_##f
#define LANES 4

typedef float vec __attribute__((vector_size(16)));

/* Adding it to a whole number below 2^22 leaves that in the lowest bits. */
#define TO_BITS 12582912.0f

INLINE vec v_load(const float *p) { return (vec)wasm_v128_load(p); }
INLINE void v_store(float *p, vec x) { wasm_v128_store(p, (v128_t)x); }
INLINE vec v_set(float x) { return (vec)wasm_f32x4_splat(x); }
/* Of a NaN a and a number b these give the number, as plain C does. */
INLINE vec v_max(vec a, vec b) { return (vec)wasm_f32x4_pmax((v128_t)b, (v128_t)a); }
INLINE vec v_min(vec a, vec b) { return (vec)wasm_f32x4_pmin((v128_t)b, (v128_t)a); }
INLINE vec v_round(vec x) { return (vec)wasm_f32x4_nearest((v128_t)x); }
INLINE vec v_is_negative(vec x) {
  return (vec)wasm_v128_and(wasm_f32x4_lt((v128_t)x, wasm_f32x4_const_splat(0)),
                            wasm_f32x4_const_splat(1));
}
INLINE vec v_power_of_2(vec n) {
  const v128_t bits = (v128_t)(n + v_set(TO_BITS + 127.0f));
  return (vec)wasm_i32x4_shl(bits, 23);
}

INLINE float v_total(vec x) { return (x[0] + x[2]) + (x[1] + x[3]); }
INLINE float v_largest(vec x) {
  const vec two = v_max(x, (vec)wasm_i32x4_shuffle((v128_t)x, (v128_t)x, 2, 3, 2, 3));
  return two[0] > two[1] ? two[0] : two[1];
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
  const v128_t first = wasm_i32x4_lt(wasm_i32x4_const(0, 1, 2, 3), wasm_i32x4_splat((int32_t)n));
  return (vec)wasm_v128_and((v128_t)x, first);
}
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  const v128_t bits = (v128_t)(x + v_set(TO_BITS));
  const v128_t bytes =
      wasm_i8x16_shuffle(bits, bits, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
  if (n == LANES) {
    wasm_v128_store32_lane(q, bytes, 0);
  } else {
    const int32_t four = wasm_i32x4_extract_lane(bytes, 0);
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)(four >> 8 * i);
  }
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  const v128_t bits = (v128_t)(x + v_set(TO_BITS));
  const v128_t words = wasm_i16x8_shuffle(bits, bits, 0, 2, 4, 6, 0, 2, 4, 6);
  if (n == LANES) {
    wasm_v128_store64_lane(q, words, 0);
  } else {
    const int64_t four = wasm_i64x2_extract_lane(words, 0);
    for (size_t i = 0; i < n; i++) q[i] = (int16_t)(four >> 16 * i);
  }
}

#include "real.inc"

#define ROWS 4
#define MATMUL_COLUMNS 8
#define INT16_COLUMNS 8

static void wasm_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  for (; rows; rows--, x += depth) {
    for (size_t i = 0; i < depth; i += 64, bits++) {
      uint64_t word = 0;
      for (size_t part = 0; part < 64 && i + part < depth; part += 4) {
        const vec value = wasm_load(x + i + part, wasm_at_most(depth - i - part));
        const v128_t negative = wasm_f32x4_lt((v128_t)value, wasm_f32x4_const_splat(0));
        word |= (uint64_t)wasm_i32x4_bitmask(negative) << part;
      }
      *bits = word;
    }
  }
}

/* === Binary x binary ===
 *
 * A vector holds one word of 2 outputs, four vectors a panel. The bits of each byte are counted.
 *
 *     for each word k
 *       for each row r, quarter h of the panel
 *         bytes[r][h] += count(broadcast(x[r][k]) ^ weights[k][h])
 *     different[r][h] = sums of the eight bytes of each word
 *
 * A byte grows by 8 at most each time, so after 31 words the bytes are added up.
 */
#define WORDS_A_BYTE 31
#define BINARY_ROWS 2

/* Of two vectors with two counts for each of two outputs, those of the four outputs. */
INLINE v128_t add_neighbours(v128_t a, v128_t b) {
  return wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
}

INLINE vec scaled(v128_t sum, const float *scale, const float *bias) {
  return (vec)wasm_f32x4_convert_i32x4(sum) * v_load(scale) + v_load(bias);
}

INLINE void binary_tile(const size_t rows, const binary_layer *layer, size_t row, size_t output) {
  const size_t words = BEEX_WORDS(layer->depth), left = layer->outputs - output;
  const uint64_t *x = layer->x + row * words, *weights = layer->weights + output * words;
  v128_t different[BINARY_ROWS][4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 4; h++) different[r][h] = wasm_i32x4_const_splat(0);
  }
  for (size_t start = 0; start < words; start += WORDS_A_BYTE) {
    const size_t end = words - start < WORDS_A_BYTE ? words : start + WORDS_A_BYTE;
    v128_t bytes[BINARY_ROWS][4];
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 4; h++) bytes[r][h] = wasm_i8x16_const_splat(0);
    }
    for (size_t word = start; word < end; word++) {
      v128_t weight[4];
      UNROLL for (size_t h = 0; h < 4; h++) {
        weight[h] = wasm_v128_load(weights + word * BEEX_BINARY_PANEL + 2 * h);
      }
      UNROLL for (size_t r = 0; r < rows; r++) {
        const v128_t input = wasm_v128_load64_splat(x + r * words + word);
        UNROLL for (size_t h = 0; h < 4; h++) {
          const v128_t counts = wasm_i8x16_popcnt(wasm_v128_xor(input, weight[h]));
          bytes[r][h] = wasm_i8x16_add(bytes[r][h], counts);
        }
      }
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 4; h++) {
        const v128_t twos = wasm_u16x8_extadd_pairwise_u8x16(bytes[r][h]);
        different[r][h] =
            wasm_i32x4_add(different[r][h], wasm_u32x4_extadd_pairwise_u16x8(twos));
      }
    }
  }
  const v128_t depth = wasm_i32x4_splat((int32_t)layer->depth);
  UNROLL for (size_t r = 0; r < rows; r++) {
    vec y[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      const v128_t counts = add_neighbours(different[r][2 * h], different[r][2 * h + 1]);
      const size_t first = output + 4 * h;
      y[h] = scaled(wasm_i32x4_sub(depth, wasm_i32x4_shl(counts, 1)), layer->scale + first,
                    layer->bias + first);
    }
    if (layer->signs) {
      uint8_t *signs = (uint8_t *)(layer->signs + (row + r) * BEEX_WORDS(layer->outputs));
      const v128_t zero = wasm_f32x4_const_splat(0);
      signs[output / 8] = (uint8_t)(wasm_i32x4_bitmask(wasm_f32x4_lt((v128_t)y[0], zero)) |
                                    wasm_i32x4_bitmask(wasm_f32x4_lt((v128_t)y[1], zero)) << 4);
    } else {
      float *result = layer->y + (row + r) * layer->outputs + output;
      wasm_store(result, wasm_at_most(left), y[0]);
      if (left > 4) wasm_store(result + 4, wasm_at_most(left - 4), y[1]);
    }
  }
}

static void binary_layer_by_tiles(const binary_layer *layer) {
  for (size_t output = 0; output < layer->outputs; output += BEEX_BINARY_PANEL) {
    EACH_TILE(row, layer->rows, BINARY_ROWS, binary_tile, layer, row, output)
  }
}

#include "binary.inc"

/* === Real x binary ===
 *
 * A weight changes the sign of its input. Eight outputs of a panel at a time, so that sums stay in registers.
 *
 *     for each group of inputs, each input i of it
 *       s[h] = (bits[h] << (3 - i)) & sign
 *       for each row r, quarter h
 *         sum[r][h] += x[r][4 group + i] ^ s[h]
 */
INLINE void add_group(const size_t rows, const float *x, size_t stride, uint32_t group,
                      vec sum[ROWS][2]) {
  const v128_t sign = wasm_u32x4_const_splat(0x80000000u);
  v128_t bits[2];
  UNROLL for (size_t h = 0; h < 2; h++) {
    const uint32_t four = group >> 16 * h;
    bits[h] = wasm_u32x4_make(four << 28, four << 24, four << 20, four << 16);
  }
  UNROLL for (size_t i = 0; i < 4; i++) {
    v128_t flips[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      flips[h] = wasm_v128_and(wasm_i32x4_shl(bits[h], (uint32_t)(3 - i)), sign);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const v128_t input = wasm_v128_load32_splat(x + r * stride + i);
      UNROLL for (size_t h = 0; h < 2; h++) {
        sum[r][h] = sum[r][h] + (vec)wasm_v128_xor(input, flips[h]);
      }
    }
  }
}

/* The first vectors of a panel from an output on, of which fewer may be left. */
INLINE void store_outputs(const real_layer *layer, size_t row, size_t output, size_t vectors,
                          const vec *sum) {
  float *y = layer->y + row * layer->outputs + output;
  UNROLL for (size_t h = 0; h < vectors; h++) {
    if (output + 4 * h >= layer->outputs) break;
    const vec value = sum[h] * v_load(layer->scale + output + 4 * h);
    wasm_store(y + 4 * h, wasm_at_most(layer->outputs - output - 4 * h),
               value + v_load(layer->bias + output + 4 * h));
  }
}

INLINE void real_tile(const size_t rows, const real_layer *layer, size_t row, size_t panel) {
  const size_t depth = layer->depth, groups = BEEX_CEIL_DIV(depth, 4);
  const float *x = layer->x + row * depth;
  const uint64_t *weights = layer->weights + panel / BEEX_REAL_PANEL * groups;
  for (size_t half = 0; half < 2 && panel + 8 * half < layer->outputs; half++) {
    vec sum[ROWS][2];
    UNROLL for (size_t r = 0; r < rows; r++) {
      UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = v_set(0.0f);
    }
    for (size_t group = 0; group < depth / 4; group++) {
      add_group(rows, x + 4 * group, depth, (uint32_t)(weights[group] >> 32 * half), sum);
    }
    if (depth % 4) {
      float tail[8][4] = {{0}};
      beex_copy_tail(rows, depth, x, tail);
      add_group(rows, tail[0], 4, (uint32_t)(weights[depth / 4] >> 32 * half), sum);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      store_outputs(layer, row + r, panel + 8 * half, 2, sum[r]);
    }
  }
}

/* === int8 x binary ===
 *
 * The sum of all inputs, less twice that of those with a negative weight. Four bits of weights choose one of
 * 16 sums of four inputs, each plus 512, which makes it a number of ten bits. The lower six and the upper four
 * stand in a table of 16 bytes each, so a vector of bits looks a group up for the 16 outputs of a panel:
 *
 *     for each group of four inputs
 *       low  += look up(table[group].low, bits[group])
 *       high += look up(table[group].high, bits[group])
 *
 * Bytes hold four numbers of six bits, and 16 of four bits. Sums of 64 groups fit into 16 bits.
 *
 * Two bytes of low are one of 16 bits, l = even + 256 odd; `all` adds those up, wrapping around, and `odd` the
 * upper bytes, so that the even sum is all - 256 odd.
 */
#define OFFSET 512
#define LOW_GROUPS 4
#define HIGH_GROUPS 16
#define MOST_GROUPS 64
#define TABLE_ROWS 8 /* whose tables stay in a cache */
#define INT8_PANELS 2

#ifdef __wasm_relaxed_simd__
#define LOOK_UP(table, indices) wasm_i8x16_relaxed_swizzle(table, indices)
#else
#define LOOK_UP(table, indices) wasm_i8x16_swizzle(table, indices)
#endif

/* An input of 16 bits in the lanes whose number has the bit, else 0. */
#define NONE 128, 128
#define INPUT(i) 2 * (i), 2 * (i) + 1
#define FIRST_BIT(i) \
  wasm_u8x16_const(NONE, INPUT(i), NONE, INPUT(i), NONE, INPUT(i), NONE, INPUT(i))
#define SECOND_BIT(i) \
  wasm_u8x16_const(NONE, NONE, INPUT(i), INPUT(i), NONE, NONE, INPUT(i), INPUT(i))
#define THIRD_BIT(i) \
  wasm_u8x16_const(NONE, NONE, NONE, NONE, INPUT(i), INPUT(i), INPUT(i), INPUT(i))
#define ALL_LANES(i) \
  wasm_u8x16_const(INPUT(i), INPUT(i), INPUT(i), INPUT(i), INPUT(i), INPUT(i), INPUT(i), INPUT(i))

typedef struct {
  v128_t low, high;
} sum_table;

#define FILL_TABLE(table, inputs, i)                                                            \
  {                                                                                             \
    const v128_t first = wasm_i16x8_add(wasm_i8x16_swizzle(inputs, FIRST_BIT(i)),               \
                                        wasm_i8x16_swizzle(inputs, SECOND_BIT(i + 1)));         \
    const v128_t second = wasm_i16x8_add(wasm_i8x16_swizzle(inputs, THIRD_BIT(i + 2)),          \
                                         wasm_i16x8_const_splat(OFFSET));                       \
    const v128_t less = wasm_i16x8_add(first, second);                                          \
    const v128_t more = wasm_i16x8_add(less, wasm_i8x16_swizzle(inputs, ALL_LANES(i + 3)));     \
    const v128_t lowest = wasm_i16x8_const_splat(63);                                           \
    (table)->low = wasm_u8x16_narrow_i16x8(wasm_v128_and(less, lowest), wasm_v128_and(more, lowest)); \
    (table)->high = wasm_u8x16_narrow_i16x8(wasm_u16x8_shr(less, 6), wasm_u16x8_shr(more, 6));  \
  }

/* Tables of a row's groups, and behind them zeros up to whole bytes. */
INLINE void fill_tables(const int8_t *x, size_t groups, sum_table *tables) {
  size_t group = 0;
  for (; group + 2 <= groups; group += 2, x += 8) {
    const v128_t inputs = wasm_i16x8_load8x8(x);
    FILL_TABLE(tables + group, inputs, 0)
    FILL_TABLE(tables + group + 1, inputs, 4)
  }
  if (group < groups) {
    const v128_t inputs = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(x));
    FILL_TABLE(tables + group, inputs, 0)
    group++;
  }
  for (; group % HIGH_GROUPS; group++) {
    tables[group].low = tables[group].high = wasm_i8x16_const_splat(0);
  }
}

/* The bits of each output of a panel, a byte a group. */
INLINE void spread_groups(const uint64_t *weights, size_t groups, v128_t *bits) {
  size_t group = 0;
  for (; group < groups; group++) {
    const v128_t word = wasm_v128_load64_zero(weights + group);
    const v128_t both = wasm_i8x16_shuffle(word, wasm_u8x16_shr(word, 4), 0, 16, 1, 17, 2, 18, 3,
                                           19, 4, 20, 5, 21, 6, 22, 7, 23);
    bits[group] = wasm_v128_and(both, wasm_i8x16_const_splat(15));
  }
  for (; group % HIGH_GROUPS; group++) bits[group] = wasm_i8x16_const_splat(0);
}

/* A part of all groups: their number, and whether it is the first or the last part. */
typedef struct {
  size_t groups;
  int is_first, is_last;
} group_part;

/* y of four outputs from the negative sum; until all groups were added it waits there as a whole number. */
INLINE void add_negative(const real_layer *layer, size_t row, size_t output, const group_part *part,
                         v128_t negative) {
  if (output >= layer->outputs) return;
  const size_t n = wasm_at_most(layer->outputs - output);
  float *y = layer->y + row * layer->outputs + output;
  if (!part->is_first) negative = wasm_i32x4_add(negative, (v128_t)wasm_load(y, n));
  if (!part->is_last) {
    wasm_store(y, n, (vec)negative);
    return;
  }
  const beex_quantized_row *quantized = layer->row + row;
  const v128_t sum = wasm_i32x4_sub(wasm_i32x4_splat(quantized->sum), wasm_i32x4_shl(negative, 1));
  const vec real = (vec)wasm_f32x4_convert_i32x4(sum) * v_set(quantized->scale);
  wasm_store(y, n, real * v_load(layer->scale + output) + v_load(layer->bias + output));
}

INLINE void look_up_tile(const size_t panels, const real_layer *layer, size_t row, size_t output,
                         const group_part *part, const sum_table *table, const v128_t *bits) {
  v128_t all[INT8_PANELS], odd[INT8_PANELS];
  UNROLL for (size_t p = 0; p < panels; p++) all[p] = odd[p] = wasm_i16x8_const_splat(0);
  for (size_t group = 0; group < part->groups; group += HIGH_GROUPS) {
    v128_t high[INT8_PANELS], low[INT8_PANELS];
    UNROLL for (size_t p = 0; p < panels; p++) high[p] = wasm_i8x16_const_splat(0);
    for (size_t four = 0; four < HIGH_GROUPS; four += LOW_GROUPS) {
      UNROLL for (size_t i = 0; i < LOW_GROUPS; i++) {
        UNROLL for (size_t p = 0; p < panels; p++) {
          const v128_t chosen = bits[p * MOST_GROUPS + i];
          const v128_t found = LOOK_UP(table[i].low, chosen);
          low[p] = i ? wasm_i8x16_add(low[p], found) : found;
          high[p] = wasm_i8x16_add(high[p], LOOK_UP(table[i].high, chosen));
        }
      }
      table += LOW_GROUPS;
      bits += LOW_GROUPS;
      UNROLL for (size_t p = 0; p < panels; p++) {
        all[p] = wasm_i16x8_add(all[p], low[p]);
        odd[p] = wasm_i16x8_add(odd[p], wasm_u16x8_shr(low[p], 8));
      }
    }
    UNROLL for (size_t p = 0; p < panels; p++) {
      all[p] = wasm_i16x8_add(all[p], wasm_i16x8_shl(high[p], 6));
      odd[p] = wasm_i16x8_add(odd[p], wasm_i16x8_shl(wasm_u16x8_shr(high[p], 8), 6));
    }
  }
  const v128_t offsets = wasm_i32x4_splat((int32_t)(OFFSET * part->groups));
  UNROLL for (size_t p = 0; p < panels; p++) {
    const v128_t even = wasm_i16x8_sub(all[p], wasm_i16x8_shl(odd[p], 8));
    const v128_t less = wasm_i16x8_shuffle(even, odd[p], 0, 8, 1, 9, 2, 10, 3, 11);
    const v128_t more = wasm_i16x8_shuffle(even, odd[p], 4, 12, 5, 13, 6, 14, 7, 15);
    const v128_t four[4] = {wasm_u32x4_extend_low_u16x8(less), wasm_u32x4_extend_high_u16x8(less),
                            wasm_u32x4_extend_low_u16x8(more), wasm_u32x4_extend_high_u16x8(more)};
    UNROLL for (size_t h = 0; h < 4; h++) {
      add_negative(layer, row, output + BEEX_REAL_PANEL * p + 4 * h, part,
                   wasm_i32x4_sub(four[h], offsets));
    }
  }
}

static void int8_layer_by_tables(const real_layer *layer) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  sum_table tables[TABLE_ROWS * MOST_GROUPS];
  v128_t bits[INT8_PANELS * MOST_GROUPS];
  for (size_t row = 0, rows; row < layer->rows; row += rows) {
    rows = beex_next_tile(layer->rows - row, TABLE_ROWS);
    for (size_t start = 0, n; start < groups; start += n) {
      n = groups - start < MOST_GROUPS ? groups - start : MOST_GROUPS;
      const group_part part = {n, start == 0, start + n == groups};
      for (size_t r = 0; r < rows; r++) {
        fill_tables(layer->q + 4 * ((row + r) * groups + start), n, tables + r * MOST_GROUPS);
      }
      const uint64_t *weights = layer->weights + start;
      for (size_t output = 0; output < layer->outputs; output += INT8_PANELS * BEEX_REAL_PANEL) {
        const int is_whole = layer->outputs - output > BEEX_REAL_PANEL;
        for (int p = 0; p < 1 + is_whole; p++, weights += groups) {
          spread_groups(weights, n, bits + p * MOST_GROUPS);
        }
        for (size_t r = 0; r < rows; r++) {
          const sum_table *table = tables + r * MOST_GROUPS;
          if (is_whole) {
            look_up_tile(INT8_PANELS, layer, row + r, output, &part, table, bits);
          } else {
            look_up_tile(1, layer, row + r, output, &part, table, bits);
          }
        }
      }
    }
  }
}

#define INT8_LAYER int8_layer_by_tables

/* === int8 x int8 ===
 *
 * A vector has four inputs of four outputs; widened to 16 bits, products are added by twos to 32 bits.
 *
 *     for each group of four inputs
 *       for each row r, quarter h of the panel, half of its outputs
 *         sum[r][2 h + half] += w[h][half] * broadcast(four of x[r]), added by twos
 *     sum = sums, added by twos
 */
#define INT8_ROWS 2

INLINE void int8_int8_tile(const size_t rows, const real_layer *layer, size_t row, size_t output) {
  const size_t groups = BEEX_CEIL_DIV(layer->depth, 4);
  const int8_t *x = layer->q + row * 4 * groups, *weights = layer->bytes + output * 4 * groups;
  v128_t sum[INT8_ROWS][8];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 8; h++) sum[r][h] = wasm_i32x4_const_splat(0);
  }
  for (size_t group = 0; group < groups; group++, x += 4) {
    v128_t input[INT8_ROWS];
    UNROLL for (size_t r = 0; r < rows; r++) {
      input[r] = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_splat(x + 4 * r * groups));
    }
    UNROLL for (size_t h = 0; h < 8; h++, weights += 8) {
      const v128_t weight = wasm_i16x8_load8x8(weights);
      UNROLL for (size_t r = 0; r < rows; r++) {
        sum[r][h] = wasm_i32x4_add(sum[r][h], wasm_i32x4_dot_i16x8(weight, input[r]));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    vec real[4];
    UNROLL for (size_t h = 0; h < 4; h++) {
      const v128_t whole = add_neighbours(sum[r][2 * h], sum[r][2 * h + 1]);
      real[h] = (vec)wasm_f32x4_convert_i32x4(whole) * v_set(layer->row[row + r].scale);
    }
    store_outputs(layer, row + r, output, 4, real);
  }
}

/* === Real x real: 8 columns and up to 4 rows stay in registers === */

INLINE void matmul_tile(const size_t rows, const product *m, size_t row, size_t column) {
  const float *a = m->a + row * m->a_stride, *b = m->b + column;
  const size_t left = m->columns - column;
  const size_t width[2] = {wasm_at_most(left), left > 4 ? wasm_at_most(left - 4) : 0};
  vec sum[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = v_set(0.0f);
  }
  for (size_t i = 0; i < m->depth; i++, b += m->b_stride) {
    vec right[2];
    UNROLL for (size_t h = 0; h < 2; h++) right[h] = wasm_load(b + 4 * h, width[h]);
    UNROLL for (size_t r = 0; r < rows; r++) {
      const vec value = v_set(a[r * m->a_stride + i]);
      UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = sum[r][h] + value * right[h];
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    float *c = m->c + (row + r) * m->c_stride + column;
    UNROLL for (size_t h = 0; h < 2; h++) {
      if (width[h]) wasm_store(c + 4 * h, width[h], sum[r][h]);
    }
  }
}

/* === Whole x whole: a vector holds a pair of inputs of 4 columns === */

INLINE void int16_tile(const size_t rows, const pair_product *m, size_t row, size_t column) {
  const int16_t *a = m->a + row * m->a_stride, *b = m->b + 2 * column;
  const size_t left = m->columns - column;
  const size_t width[2] = {wasm_at_most(left), left > 4 ? wasm_at_most(left - 4) : 0};
  v128_t sum[ROWS][2];
  UNROLL for (size_t r = 0; r < rows; r++) {
    UNROLL for (size_t h = 0; h < 2; h++) sum[r][h] = wasm_i32x4_const_splat(0);
  }
  for (size_t i = 0; i < m->depth; i += 2, b += 2 * m->b_stride) {
    v128_t right[2];
    UNROLL for (size_t h = 0; h < 2; h++) {
      right[h] = (v128_t)wasm_load((const float *)(const void *)(b + 8 * h), width[h]);
    }
    UNROLL for (size_t r = 0; r < rows; r++) {
      const v128_t pair = wasm_v128_load32_splat(a + r * m->a_stride + i);
      UNROLL for (size_t h = 0; h < 2; h++) {
        sum[r][h] = wasm_i32x4_add(sum[r][h], wasm_i32x4_dot_i16x8(right[h], pair));
      }
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    float *c = m->c + (row + r) * m->c_stride + column;
    UNROLL for (size_t h = 0; h < 2; h++) {
      if (width[h]) wasm_store(c + 4 * h, width[h], (vec)wasm_f32x4_convert_i32x4(sum[r][h]));
    }
  }
}

#include "tiles.inc"

const beex_kernels beex_kernels_wasm = {
    .name = "wasm",
    PRODUCT_FUNCTIONS,
    REAL_FUNCTIONS,
};

#endif
