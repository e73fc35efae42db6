/* Cortex-M55 and its like: vectors of 128 bits, Arm's M-profile vector extension (MVE). */
#include "exact.h"
#include "kernels.h"

#ifdef BEEX_HAS_MVE

#include <arm_mve.h>

#include "cortexm.h"

#define LANES 4

typedef float32x4_t vec;

INLINE vec v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vec x) { vst1q_f32(p, x); }
INLINE vec v_load_some(const float *p, size_t n) { return vld1q_z_f32(p, vctp32q(n)); }
INLINE void v_store_some(float *p, size_t n, vec x) { vst1q_p_f32(p, x, vctp32q(n)); }
INLINE vec v_only(vec x, size_t n) { return vpselq_f32(x, vdupq_n_f32(0.0f), vctp32q(n)); }
INLINE vec v_set(float x) { return vdupq_n_f32(x); }
/* Of a NaN and a number these give the number, as the other implementations do. */
INLINE vec v_max(vec a, vec b) { return vmaxnmq_f32(a, b); }
INLINE vec v_min(vec a, vec b) { return vminnmq_f32(a, b); }
INLINE vec v_round(vec x) { return vrndnq_f32(x); }
INLINE vec v_is_negative(vec x) {
  return vpselq_f32(vdupq_n_f32(1.0f), vdupq_n_f32(0.0f), vcmpltq_n_f32(x, 0.0f));
}
INLINE vec v_power_of_2(vec n) {
  const int32x4_t exponent = vaddq_n_s32(vcvtq_s32_f32(n), 127);
  return vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}
INLINE float v_total(vec x) {
  const float even = vgetq_lane_f32(x, 0) + vgetq_lane_f32(x, 2);
  return even + (vgetq_lane_f32(x, 1) + vgetq_lane_f32(x, 3));
}
INLINE float v_largest(vec x) { return vmaxnmvq_f32(vgetq_lane_f32(x, 0), x); }
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  vstrbq_p_s32(q, vcvtq_s32_f32(x), vctp32q(n));
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  vstrhq_p_s32(q, vcvtq_s32_f32(x), vctp32q(n));
}

#define NAME(f) mve_##f
#include "real.inc"

/* === Layer normalization on the grid, of whole vectors ===
 *
 * There is no division of vectors: four are done one after the other, in the registers that overlap the
 * vector's. A power of two goes into a factor that is there anyway, as it changes no rounding.
 */

/* y = y / deviation * gamma + beta on 2^-12, 4 n numbers. */
INLINE void normalize_row(size_t n, float deviation, const float *gamma, const float *beta,
                          float *y) {
  __asm__ volatile(
      "vmov s16, %[deviation]\n"
      "1:\n"
      "vldrw.u32 q0, [%[y]]\n"
      "vdiv.f32 s0, s0, s16\n vdiv.f32 s1, s1, s16\n"
      "vdiv.f32 s2, s2, s16\n vdiv.f32 s3, s3, s16\n"
      "vldrw.u32 q1, [%[gamma]], #16\n vmul.f32 q0, q0, q1\n"
      "vldrw.u32 q1, [%[beta]], #16\n vfma.f32 q0, q1, %[steps]\n"
      "vrintn.f32 q0, q0\n vmul.f32 q0, q0, %[step]\n"
      "vstrw.32 q0, [%[y]], #16\n"
      "subs %[n], %[n], #1\n bne 1b\n"
      : [n] "+r"(n), [gamma] "+r"(gamma), [beta] "+r"(beta), [y] "+r"(y)
      : [deviation] "r"(float_bits(deviation / 4096)), [steps] "r"(float_bits(4096.0f)),
        [step] "r"(float_bits(1.0f / 4096))
      : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s16", "cc", "memory");
}

static void vectors_layer_norm_grid(size_t rows, size_t width, const float *a, const float *b,
                                    const float *gamma, const float *beta, int input_bits,
                                    int square_bits, float *y) {
  if (width % 16 || !square_bits) {
    mve_layer_norm_grid(rows, width, a, b, gamma, beta, input_bits, square_bits, y);
    return;
  }
  const float share = (float)(1.0 / (double)width);
  const float input_steps = (float)(1ul << input_bits), square_steps = (float)(1ul << square_bits);
  for (size_t row = 0; row < rows; row++, a += width, y += width) {
    const float *other = b ? b + row * width : NULL;
    vec parts[4];
    UNROLL for (int part = 0; part < 4; part++) parts[part] = v_set(0.0f);
    for (size_t i = 0; i < width; i += 16) {
      UNROLL for (int part = 0; part < 4; part++) {
        vec value = v_load(a + i + 4 * part);
        if (other) value = vaddq_f32(value, v_load(other + i + 4 * part));
        if (input_bits) value = mve_to_grid(value, input_steps);
        v_store(y + i + 4 * part, value);
        parts[part] = vaddq_f32(parts[part], value);
      }
    }
    const float mean = mve_add_lanes(parts) * share;
    UNROLL for (int part = 0; part < 4; part++) parts[part] = v_set(0.0f);
    for (size_t i = 0; i < width; i += 16) {
      UNROLL for (int part = 0; part < 4; part++) {
        const vec value = vsubq_n_f32(v_load(y + i + 4 * part), mean);
        v_store(y + i + 4 * part, value);
        const vec square = v_round(vmulq_n_f32(vmulq_f32(value, value), square_steps));
        parts[part] = vaddq_f32(parts[part], square);
      }
    }
    const float variance = mve_add_lanes(parts) / square_steps * share;
    normalize_row(width / 4, sqrtf(variance + 1e-5f) + 1e-6f, gamma, beta, y);
  }
}

/* === Packing === */

/* Signs of 16 floats. Loads that take every fourth number put the four whose top bytes are neighbours into
 * the same lane; adding zero makes -0.0 positive. */
INLINE uint32_t pack_16(const float *x) {
  const float32x4x4_t by_four = vld4q_f32(x);
  uint32x4_t top = vreinterpretq_u32_f32(vaddq_n_f32(by_four.val[3], 0.0f));
  top = vsriq_n_u32(top, vreinterpretq_u32_f32(vaddq_n_f32(by_four.val[2], 0.0f)), 8);
  top = vsriq_n_u32(top, vreinterpretq_u32_f32(vaddq_n_f32(by_four.val[1], 0.0f)), 16);
  top = vsriq_n_u32(top, vreinterpretq_u32_f32(vaddq_n_f32(by_four.val[0], 0.0f)), 24);
  return vcmpltq_n_s8(vreinterpretq_s8_u32(top), 0);
}

/* Called by address, which no compiler has to inline. */
static inline uint64_t pack_64(const float *x) {
  const uint32_t low = pack_16(x) | pack_16(x + 16) << 16;
  const uint32_t high = pack_16(x + 32) | pack_16(x + 48) << 16;
  return low | (uint64_t)high << 32;
}

static void mve_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  pack_rows(pack_64, rows, depth, x, bits);
}

/* === Binary x binary ===
 *
 * As in cortexm.c: four bits of a weight choose one of 16 sums that are tabled once, here for sixteen
 * rows of inputs, a byte each. A look-up takes three instructions and stands for 64 products. There is no
 * vector count of bits, and loads of separate bytes take a cycle for each.
 *
 *     for each 16 rows
 *       for each word of 64 inputs
 *         table[group][pattern] = of each row, half the sum of 4 inputs times the pattern's weights
 *         for each output
 *           half[output] += table[0][bits 0 to 3 of its word] + ... + table[15][bits 60 to 63]
 */
#define ROWS 16
#define GROUPS 16 /* of four inputs in a word */

typedef int8x16_t lookup[GROUPS][16];
typedef int8_t tile[SLAB][ROWS];

/* The 16 sums of a group, less that of weights +1: a set bit i of the pattern adds the change of input i.
 * Returns the last. */
INLINE int8x16_t fill_group(const int8x16_t change[4], int8x16_t group[16]) {
  int8x16_t *half = group + 8, all;
  __asm__("" : "+r"(half)); /* so that all are within reach of one of two pointers */
#define ADD_CHANGE(i, place) sum = vaddq_s8(sum, change[i]), place = sum
#define TAKE_CHANGE(i, place) sum = vsubq_s8(sum, change[i]), place = sum
  int8x16_t sum = vdupq_n_s8(0);
  group[0] = sum;
  group[1] = sum = change[0];
  ADD_CHANGE(1, group[3]);
  TAKE_CHANGE(0, group[2]);
  ADD_CHANGE(2, group[6]);
  ADD_CHANGE(0, group[7]);
  TAKE_CHANGE(1, group[5]);
  TAKE_CHANGE(0, group[4]);
  ADD_CHANGE(3, half[4]);
  ADD_CHANGE(0, half[5]);
  ADD_CHANGE(1, half[7]);
  all = sum;
  TAKE_CHANGE(0, half[6]);
  TAKE_CHANGE(2, half[2]);
  ADD_CHANGE(0, half[3]);
  TAKE_CHANGE(1, half[1]);
  TAKE_CHANGE(0, half[0]);
#undef ADD_CHANGE
#undef TAKE_CHANGE
  return all;
}

/* 1 where a bit of each byte is set, else -1: what a weight of -1 changes in half a sum. */
#define CHANGE_OF(bytes, bit) \
  vornq_s8(vdupq_n_s8(1), vshrq_n_s8(vreinterpretq_s8_u8(vshlq_n_u8(bytes, 7 - (bit))), 7))

/* A table of one word of n rows, of sums less those of weights +1, which it returns. */
static int8x16_t fill_table(size_t n, const uint64_t *x, size_t stride, lookup table) {
  uint64_t words[ROWS] = {0};
  for (size_t row = 0; row < n; row++, x += stride) words[row] = *x;
  const uint8x16_t places = vmulq_n_u8(vidupq_n_u8(0, 1), 8);
  int8x16_t total = vdupq_n_s8(0);
  for (int place = 0; place < 8; place++, table += 2) {
    const uint8x16_t bytes = vldrbq_gather_offset_u8((const uint8_t *)words + place, places);
    const int8x16_t low[4] = {CHANGE_OF(bytes, 0), CHANGE_OF(bytes, 1), CHANGE_OF(bytes, 2),
                              CHANGE_OF(bytes, 3)};
    total = vaddq_s8(total, fill_group(low, table[0]));
    const int8x16_t high[4] = {CHANGE_OF(bytes, 4), CHANGE_OF(bytes, 5), CHANGE_OF(bytes, 6),
                               CHANGE_OF(bytes, 7)};
    total = vaddq_s8(total, fill_group(high, table[1]));
  }
  /* A weight of +1 leaves a difference where the input is negative: (1 + change) / 2 of the 64. Halves are
   * averages, which cannot overflow. */
  return vsubq_s8(vdupq_n_s8(0), vhaddq_n_s8(total, 64));
}

/* An entry: bytes of x are offsets in a group, which lies `place` bytes from `groups`. */
#define ENTRY(entry, groups, x, byte, place)                                 \
  __asm__("uxtab %1, %2, %3, ror %4\n vldrw.u32 %q0, [%1, #%c5]"             \
          : "=w"(entry), "=&r"(address)                                      \
          : "r"(groups), "r"(x), "i"(8 * (byte)), "i"(place), "m"(*(const lookup *)table))

/* The half sums of one output, its 16 groups of weights, on top of `sum`. */
INLINE int8x16_t look_up(int8x16_t sum, const lookup table, uint64_t weight) {
  uint32_t mask = 0xf0f0f0f0u;
  const uint32_t words[2] = {(uint32_t)weight, (uint32_t)(weight >> 32)};
  __asm__("" : "+r"(mask)); /* stays in a register */
  UNROLL for (int half = 0; half < 2; half++) {
    const uint32_t even = words[half] << 4 & mask, odd = words[half] & mask;
    /* Loads reach from -508 to 508. */
    const char *first = (const char *)(table + 8 * half) + 384, *second = first + 1024;
    const char *address;
    int8x16_t a, b, c, d, e, f, g, h;
    ENTRY(a, first, even, 0, -384);
    ENTRY(b, first, odd, 0, -128);
    ENTRY(c, first, even, 1, 128);
    ENTRY(d, first, odd, 1, 384);
    sum = vaddq_s8(vaddq_s8(vaddq_s8(vaddq_s8(sum, a), b), c), d);
    ENTRY(e, second, even, 2, -384);
    ENTRY(f, second, odd, 2, -128);
    ENTRY(g, second, even, 3, 128);
    ENTRY(h, second, odd, 3, 384);
    sum = vaddq_s8(vaddq_s8(vaddq_s8(vaddq_s8(sum, e), f), g), h);
  }
  return sum;
}

/* Half sums of n rows over words word to end, at most WORDS_A_BYTE: (half the number of inputs, rounded
 * up) - differences. */
static void add_words(const slab *s, size_t n, size_t word, size_t end, tile sums) {
  const size_t inputs = least(64 * end, s->depth) - 64 * word;
  lookup table;
  for (size_t i = word; i < end; i++) {
    int8x16_t first = fill_table(n, s->x + i, s->words, table);
    const uint64_t *weights = s->weights + i * BEEX_BINARY_PANEL;
    if (i == word) first = vaddq_n_s8(first, (int8_t)((inputs + 1) / 2));
    for (size_t output = 0; output < s->outputs; output += BEEX_BINARY_PANEL) {
      int8_t *sum = sums[output];
      for (int o = 0; o < BEEX_BINARY_PANEL; o++, sum += ROWS) {
        int8x16_t value = first;
        if (i > word) value = vaddq_s8(value, vld1q_s8(sum));
        vst1q_s8(sum, look_up(value, (const int8x16_t(*)[16])table, *weights++));
      }
      weights += (s->words - 1) * BEEX_BINARY_PANEL;
    }
  }
}

/* y = 2 half * scale + bias, four outputs at a time: float [n rows of stride][outputs]. */
static void store_sums(size_t n, size_t outputs, const tile sums, const float *scale,
                       const float *bias, float *y, size_t stride) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), ROWS);
  for (size_t output = 0; output < outputs; output += 4) {
    const mve_pred16_t there = vctp32q((uint32_t)(outputs - output));
    const vec twice = vaddq_f32(v_load(scale + output), v_load(scale + output));
    const vec offset = v_load(bias + output);
    const int8_t *half = sums[output];
    float *place = y + output;
    for (const int8_t *end = half + n; half < end; half++, place += stride) {
      const vec sum = vcvtq_f32_s32(vldrbq_gather_offset_s32(half, places));
      const vec result = vaddq_f32(vmulq_f32(sum, twice), offset);
      if (outputs - output >= 4) {
        v_store(place, result);
      } else {
        vst1q_p_f32(place, result, there);
      }
    }
  }
}

/* Signs of outputs, a byte a row for each eight: y [n rows of stride bytes]. */
static void store_signs(size_t n, size_t outputs, const tile sums, const comparison *c, uint8_t *y,
                        size_t stride) {
  for (size_t output = 0; output < outputs; output += 8, y++) {
    uint8x16_t byte = vdupq_n_u8(0);
    uint8_t bytes[ROWS];
    UNROLL for (size_t o = 0; o < 8; o++) {
      const mve_pred16_t negative = vcmpltq_n_s8(vld1q_s8(sums[output + o]), (int8_t)c->threshold[output + o]);
      byte = vaddq_m_n_u8(byte, byte, (uint8_t)(1u << o), negative);
    }
    vst1q_u8(bytes, veorq_u8(byte, vdupq_n_u8(c->falls[output / 8])));
    for (size_t row = 0; row < n; row++) y[row * stride] = bytes[row];
  }
}

/* Up to 192 inputs, and an even number of them: a byte holds half of every sum. */
static void shallow_layer(const binary_layer *l) {
  const size_t words = BEEX_WORDS(l->depth), stride = 8 * BEEX_WORDS(l->outputs);
  for (size_t first = 0; first < l->outputs; first += SLAB) {
    const float *scale = l->scale + first, *bias = l->bias + first;
    tile sums;
    comparison c;
    slab s = {l->depth, words, least(l->outputs - first, SLAB), l->x, l->weights + first * words};
    if (l->signs) find_comparisons(BEEX_ROUND_UP(s.outputs, 8), l->depth, scale, bias, &c);
    for (size_t row = 0; row < l->rows; row += ROWS, s.x += ROWS * words) {
      const size_t n = least(l->rows - row, ROWS);
      add_words(&s, n, 0, words, sums);
      if (l->signs) {
        store_signs(n, s.outputs, (const int8_t(*)[ROWS])sums, &c,
                    (uint8_t *)l->signs + row * stride + first / 8, stride);
      } else {
        store_sums(n, s.outputs, (const int8_t(*)[ROWS])sums, scale, bias,
                   l->y + row * l->outputs + first, l->outputs);
      }
    }
  }
}

#define DEEP_SLAB 64

/* Any number of inputs. */
static __attribute__((noinline)) void deep_layer(const binary_layer *l) {
  const size_t words = BEEX_WORDS(l->depth), stride = 8 * BEEX_WORDS(l->outputs);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), ROWS * sizeof(int32_t));
  const int32_t odd = l->depth % 2;
  for (size_t first = 0; first < l->outputs; first += DEEP_SLAB) {
    const float *scale = l->scale + first, *bias = l->bias + first;
    comparison c;
    slab s = {l->depth, words, least(l->outputs - first, DEEP_SLAB), l->x, l->weights + first * words};
    const size_t whole = BEEX_ROUND_UP(s.outputs, 8);
    if (l->signs) find_comparisons(whole, l->depth, scale, bias, &c);
    for (size_t row = 0; row < l->rows; row += ROWS, s.x += ROWS * words) {
      const size_t n = least(l->rows - row, ROWS);
      int32_t half[DEEP_SLAB][ROWS];
      tile sums;
      for (size_t word = 0; word < words; word += WORDS_A_BYTE) {
        add_words(&s, n, word, least(words, word + WORDS_A_BYTE), sums);
        for (size_t output = 0; output < whole; output++) {
          UNROLL for (size_t r = 0; r < ROWS; r += 4) {
            int32x4_t more = vldrbq_s32(&sums[output][r]);
            if (word) more = vaddq_s32(more, vld1q_s32(&half[output][r]));
            vst1q_s32(&half[output][r], more);
          }
        }
      }
      if (l->signs) {
        /* What is left of the comparison is whether a byte is negative. */
        for (size_t output = 0; output < whole; output++) {
          UNROLL for (size_t r = 0; r < ROWS; r += 4) {
            const int32x4_t above = vsubq_n_s32(vld1q_s32(&half[output][r]), c.threshold[output]);
            vstrbq_s32(&sums[output][r], vshrq_n_s32(above, 31));
          }
        }
        comparison with_zero = {{0}, {0}};
        memcpy(with_zero.falls, c.falls, sizeof c.falls);
        store_signs(n, s.outputs, (const int8_t(*)[ROWS])sums, &with_zero,
                    (uint8_t *)l->signs + row * stride + first / 8, stride);
        continue;
      }
      for (size_t output = 0; output < s.outputs; output += 4) {
        const mve_pred16_t there = vctp32q((uint32_t)(s.outputs - output));
        const vec factor = v_load(scale + output), offset = v_load(bias + output);
        const int32_t *end = half[output] + n;
        float *y = l->y + row * l->outputs + first + output;
        for (const int32_t *from = half[output]; from < end; from++, y += l->outputs) {
          const int32x4_t twice = vshlq_n_s32(vldrwq_gather_offset_s32(from, places), 1);
          const vec sum = vcvtq_f32_s32(vsubq_n_s32(twice, odd));
          vst1q_p_f32(y, vaddq_f32(vmulq_f32(sum, factor), offset), there);
        }
      }
    }
  }
}

static void binary_layer_by_tiles(const binary_layer *l) {
  (l->depth > 64 * WORDS_A_BYTE || l->depth % 2 ? deep_layer : shallow_layer)(l);
}

#include "binary.inc"

/* === int8 x binary ===
 *
 * By the same look-up: an entry has the sums of eight rows, in 16 bits each, which hold 256 products: those
 * of four tables.
 */
#define INT8_ROWS 8
#define INT8_SLAB 64 /* outputs that share a table */
#define GROUPS_A_SUM (4 * GROUPS)

typedef int16x8_t int8_lookup[GROUPS][16];

/* Eight rows of the groups of a table; rows that are missing repeat the first. */
static void fill_int8_table(size_t n, size_t groups, const int8_t *x, size_t stride,
                            int8_lookup table) {
  int8_t near[INT8_ROWS][4 * GROUPS]; /* so that places fit into 16 bits */
  const uint16x8_t places = vmulq_n_u16(vidupq_n_u16(0, 1), 4 * GROUPS);
  for (size_t row = 0; row < INT8_ROWS; row++) {
    const int8_t *from = x + (row < n ? row : 0) * stride;
    for (size_t i = 0; i < 4 * groups; i += 16) {
      vst1q_s8(near[row] + i, vld1q_z_s8(from + i, vctp8q((uint32_t)(4 * groups - i))));
    }
  }
  for (size_t group = 0; group < groups; group++) {
    int16x8_t change[4], sum = vdupq_n_s16(0);
    UNROLL for (int i = 0; i < 4; i++) {
      change[i] = vldrbq_gather_offset_s16(near[0] + 4 * group + i, places);
      sum = vaddq_s16(sum, change[i]);
      change[i] = vmulq_n_s16(change[i], -2);
    }
    int16x8_t *entry = table[group];
    entry[0] = sum;
    UNROLL for (int i = 0; i < 4; i++) {
      UNROLL for (int pattern = 0; pattern < 1 << i; pattern++) {
        entry[pattern | 1 << i] = vaddq_s16(entry[pattern], change[i]);
      }
    }
  }
}

/* Adds what a table has for every other of eight outputs, to sums 0, 2, 4 and 6: for those whose bits are the
 * lower halves of bytes, or the upper halves. weights[0], [2], ... are those of each group. */
INLINE void look_up_int8(size_t groups, const int8_lookup table, const uint32_t *weights,
                         const int upper, int16_t sums[][INT8_ROWS]) {
  uint32_t mask = 0xf0f0f0f0u;
  __asm__("" : "+r"(mask)); /* stays in a register */
  int16x8_t sum[4];
  UNROLL for (int o = 0; o < 4; o++) sum[o] = vld1q_s16(sums[2 * o]);
#define ADD_ENTRY(o)                                                         \
  {                                                                          \
    const char *address;                                                     \
    int16x8_t entry;                                                         \
    ENTRY(entry, group, bits, o, 0);                                         \
    sum[o] = vaddq_s16(sum[o], entry);                                       \
  }
  for (const int16x8_t(*group)[16] = table; group < table + groups; group++, weights += 2) {
    const uint32_t bits = (upper ? *weights : *weights << 4) & mask;
    ADD_ENTRY(0) ADD_ENTRY(1) ADD_ENTRY(2) ADD_ENTRY(3)
  }
#undef ADD_ENTRY
  UNROLL for (int o = 0; o < 4; o++) vst1q_s16(sums[2 * o], sum[o]);
}

/* Results of four outputs and n rows from their sums. Until those of all groups were added, they wait there as
 * whole numbers. */
INLINE void finish_int8(size_t n, int16_t sums[][INT8_ROWS], int is_first, int is_last,
                        const beex_quantized_row *row, vec scale, vec bias, mve_pred16_t there,
                        float *y, size_t stride) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), INT8_ROWS * sizeof(int16_t));
  for (size_t r = 0; r < n; r++, y += stride) {
    int32x4_t sum = vldrhq_gather_offset_s32(&sums[0][r], places);
    if (!is_first) sum = vaddq_s32(sum, vreinterpretq_s32_f32(vld1q_z_f32(y, there)));
    vec result = vreinterpretq_f32_s32(sum);
    if (is_last) {
      const vec real = vmulq_f32(vmulq_n_f32(vcvtq_f32_s32(sum), row[r].scale), scale);
      result = vaddq_f32(real, bias);
    }
    vst1q_p_f32(y, result, there);
  }
}

static void mve_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                            const beex_quantized_row *row, const uint64_t *weights,
                            const float *scale, const float *bias, float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (size_t n; rows; rows -= n, x += 4 * groups * n, row += n, y += n * outputs) {
    n = least(rows, INT8_ROWS);
    for (size_t first = 0; first < outputs; first += INT8_SLAB) {
      const size_t count = least(outputs - first, INT8_SLAB);
      int16_t sums[INT8_SLAB][INT8_ROWS];
      int8_lookup table;
      for (size_t group = 0, some; group < groups; group += some) {
        some = least(groups - group, GROUPS);
        fill_int8_table(n, some, x + 4 * group, 4 * groups, table);
        if (group % GROUPS_A_SUM == 0) memset(sums, 0, sizeof sums);
        for (size_t output = 0; output < count; output += 8) {
          const size_t panel = (first + output) / BEEX_REAL_PANEL;
          const uint32_t *half = (const uint32_t *)(const void *)(weights + panel * groups + group) +
                                 output / 8 % 2;
          look_up_int8(some, (const int16x8_t(*)[16])table, half, 0, sums + output);
          look_up_int8(some, (const int16x8_t(*)[16])table, half, 1, sums + output + 1);
        }
        const int is_last = group + some == groups;
        if (!is_last && (group + some) % GROUPS_A_SUM) continue;
        for (size_t output = 0; output < count; output += 4) {
          finish_int8(n, sums + output, group < GROUPS_A_SUM, is_last, row,
                      v_load(scale + first + output), v_load(bias + first + output),
                      vctp32q((uint32_t)(count - output)), y + first + output, outputs);
        }
      }
    }
  }
}

/* === int8 x int8 ===
 *
 * Four groups of an output's weights are gathered, and multiplied with those of up to four rows: VMLADAV
 * adds sixteen products to one sum. What the last predicate leaves out is zero.
 */
INLINE void int8_output(const size_t rows, size_t groups, const int8_t *x, const int8_t *weights,
                        int32_t sum[4]) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), 4 * BEEX_INT8_PANEL);
  const int8_t *row[4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    sum[r] = 0;
    row[r] = x + r * 4 * groups;
  }
  for (; groups >= 4; groups -= 4, weights += 16 * BEEX_INT8_PANEL) {
    const int8x16_t w = vreinterpretq_s8_s32(
        vldrwq_gather_offset_s32((const int32_t *)(const void *)weights, places));
    UNROLL for (size_t r = 0; r < rows; r++) {
      sum[r] = vmladavaq_s8(sum[r], vld1q_s8(row[r]), w);
      row[r] += 16;
    }
  }
  if (groups) {
    const int8x16_t w = vreinterpretq_s8_s32(vldrwq_gather_offset_z_s32(
        (const int32_t *)(const void *)weights, places, vctp32q((uint32_t)groups)));
    UNROLL for (size_t r = 0; r < rows; r++) {
      const mve_pred16_t there = vctp8q(4 * (uint32_t)groups);
      sum[r] = vmladavaq_s8(sum[r], vld1q_z_s8(row[r], there), w);
    }
  }
}

static void mve_int8_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                                 const beex_quantized_row *row, const int8_t *weights,
                                 const float *scale, const float *bias, float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (size_t n; rows; rows -= n, x += 4 * groups * n, row += n, y += n * outputs) {
    n = rows < 4 ? 1 : 4;
    for (size_t output = 0; output < outputs; output++) {
      const int8_t *w = weights + output / BEEX_INT8_PANEL * groups * 4 * BEEX_INT8_PANEL +
                        output % BEEX_INT8_PANEL * 4;
      int32_t sum[4];
      if (n == 4) {
        int8_output(4, groups, x, w, sum);
        UNROLL for (size_t r = 0; r < 4; r++) {
          y[r * outputs + output] =
              (float)sum[r] * row[r].scale * scale[output] + bias[output];
        }
      } else {
        int8_output(1, groups, x, w, sum);
        y[output] = (float)sum[0] * row->scale * scale[output] + bias[output];
      }
    }
  }
}

/* === Real x real: four columns and up to four rows stay in registers === */

INLINE void matmul_tile(const size_t rows, const int whole, const product *m, size_t row,
                        size_t column) {
  const mve_pred16_t there = vctp32q((uint32_t)(m->columns - column));
  const float *a[4], *b = m->b + column;
  vec sum[4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    sum[r] = vdupq_n_f32(0.0f);
    a[r] = m->a + (row + r) * m->a_stride;
  }
  for (size_t i = 0; i < m->depth; i++, b += m->b_stride) {
    const vec right = whole ? v_load(b) : vld1q_z_f32(b, there);
    UNROLL for (size_t r = 0; r < rows; r++) {
      sum[r] = vaddq_f32(sum[r], vmulq_n_f32(right, *a[r]++));
    }
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    vst1q_p_f32(m->c + (row + r) * m->c_stride + column, sum[r], there);
  }
}

static void mve_matmul(size_t rows, size_t depth, size_t columns, const float *a, size_t a_stride,
                       const float *b, size_t b_stride, float *c, size_t c_stride) {
  const product m = {rows, depth, columns, a, a_stride, b, b_stride, c, c_stride};
  for (size_t column = 0; column < columns; column += 4) {
    const int whole = columns - column >= 4;
    size_t row = 0;
    if (whole) {
      for (; row + 4 <= rows; row += 4) matmul_tile(4, 1, &m, row, column);
    } else {
      for (; row + 4 <= rows; row += 4) matmul_tile(4, 0, &m, row, column);
    }
    for (; row < rows; row++) matmul_tile(1, 0, &m, row, column);
  }
}

/* === Whole x whole numbers ===
 *
 * Four pairs of a column are gathered, and multiplied with those of up to four rows: VMLADAV adds eight
 * products to one sum. What the last predicate leaves out is zero.
 */
INLINE void int16_column(const size_t rows, size_t depth, const int16_t *a, size_t a_stride,
                         const int16_t *b, uint32x4_t places, size_t b_step, int32_t sum[4]) {
  const int16_t *row[4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    sum[r] = 0;
    row[r] = a + r * a_stride;
  }
  for (; depth >= 8; depth -= 8, b += b_step) {
    const int16x8_t right = vreinterpretq_s16_s32(
        vldrwq_gather_offset_s32((const int32_t *)(const void *)b, places));
    UNROLL for (size_t r = 0; r < rows; r++) {
      sum[r] = vmladavaq_s16(sum[r], vld1q_s16(row[r]), right);
      row[r] += 8;
    }
  }
  if (depth) {
    const int16x8_t right = vreinterpretq_s16_s32(vldrwq_gather_offset_z_s32(
        (const int32_t *)(const void *)b, places, vctp32q((uint32_t)depth / 2)));
    UNROLL for (size_t r = 0; r < rows; r++) {
      sum[r] = vmladavaq_s16(sum[r], vld1q_z_s16(row[r], vctp16q((uint32_t)depth)), right);
    }
  }
}

static void mve_int16_matmul(size_t rows, size_t depth, size_t columns, const int16_t *a,
                             size_t a_stride, const int16_t *b, size_t b_stride, float *c,
                             size_t c_stride) {
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), 4 * (uint32_t)b_stride);
  int32_t sum[4];
  size_t row = 0;
  for (; row + 4 <= rows; row += 4, a += 4 * a_stride, c += 4 * c_stride) {
    for (size_t column = 0; column < columns; column++) {
      int16_column(4, depth, a, a_stride, b + 2 * column, places, 8 * b_stride, sum);
      UNROLL for (size_t r = 0; r < 4; r++) c[r * c_stride + column] = (float)sum[r];
    }
  }
  for (; row < rows; row++, a += a_stride, c += c_stride) {
    for (size_t column = 0; column < columns; column++) {
      int16_column(1, depth, a, a_stride, b + 2 * column, places, 8 * b_stride, sum);
      c[column] = (float)sum[0];
    }
  }
}

/* === Real x binary ===
 *
 * Weights of four outputs become floats of +-1, whose products are exact, for up to four rows.
 *
 *     for each group of four inputs, each input i of it
 *       w = (bits << (3 - i)) & sign | 1.0
 *       for each row r
 *         sum[r] += x[r][4 group + i] * w
 */
INLINE void real_tile(const size_t rows, size_t depth, size_t outputs, const float *x,
                      const uint64_t *groups, size_t place, vec scale, vec bias,
                      mve_pred16_t there, float *y) {
  const uint32x4_t sign = vdupq_n_u32(0x80000000u);
  const uint32x4_t one = vreinterpretq_u32_f32(vdupq_n_f32(1.0f));
  /* Lane o begins with bit 4 o at the top. */
  const int32x4_t to_top = vsubq_s32(vdupq_n_s32(31), vreinterpretq_s32_u32(vmulq_n_u32(vidupq_n_u32(0, 1), 4)));
  const float *row[4];
  vec sum[4];
  UNROLL for (size_t r = 0; r < rows; r++) {
    sum[r] = vdupq_n_f32(0.0f);
    row[r] = x + r * depth;
  }
  uint32x4_t bits = sign;
  for (size_t i = 0; i < depth; i++) {
    if (i % 4 == 0) bits = vshlq_u32(vdupq_n_u32((uint32_t)(*groups++ >> place)), vsubq_n_s32(to_top, 3));
    const uint32x4_t top = vshlq_r_u32(bits, (int32_t)(3 - i % 4));
    const vec weight = vreinterpretq_f32_u32(vorrq_u32(vandq_u32(top, sign), one));
    UNROLL for (size_t r = 0; r < rows; r++) sum[r] = vfmaq_n_f32(sum[r], weight, *row[r]++);
  }
  UNROLL for (size_t r = 0; r < rows; r++) {
    vst1q_p_f32(y + r * outputs, vaddq_f32(vmulq_f32(sum[r], scale), bias), there);
  }
}

static void mve_real_linear(size_t rows, size_t depth, size_t outputs, const float *x,
                            const uint64_t *weights, const float *scale, const float *bias,
                            float *y) {
  for (size_t output = 0; output < outputs; output += 4) {
    const uint64_t *groups = weights + output / BEEX_REAL_PANEL * BEEX_CEIL_DIV(depth, 4);
    const size_t place = output % BEEX_REAL_PANEL * 4;
    const mve_pred16_t there = vctp32q((uint32_t)(outputs - output));
    const vec s = v_load(scale + output), offset = v_load(bias + output);
    size_t row = 0;
    for (; row + 4 <= rows; row += 4) {
      real_tile(4, depth, outputs, x + row * depth, groups, place, s, offset, there,
                y + row * outputs + output);
    }
    for (; row < rows; row++) {
      real_tile(1, depth, outputs, x + row * depth, groups, place, s, offset, there,
                y + row * outputs + output);
    }
  }
}

const beex_kernels beex_kernels_mve = {
    .name = "mve",
    PRODUCT_FUNCTIONS,
    .layer_norm = mve_layer_norm, .layer_norm_grid = vectors_layer_norm_grid,
    .softmax = mve_softmax, .power_weights = mve_power_weights, .sigmoid = mve_sigmoid,
    .tanh = mve_tanh, .gelu = mve_gelu, .rational = mve_rational,
    .to_grid = mve_to_grid_in_place, .to_int16 = mve_to_int16, .gate = mve_gate,
    .gate_grid = mve_gate_grid,
};

#endif
