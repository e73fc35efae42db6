/* Cortex-M without vectors: M3, M4, M7 and their like, for what is worth more than plain C. */
#include "exact.h"
#include "kernels.h"

#ifdef BEEX_HAS_CORTEXM

#include "cortexm.h"

#if defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#define HAS_DSP 1
#endif

/* === Vectors of one float === */

#define LANES 1

typedef float vec;

INLINE vec v_load(const float *p) { return *p; }
INLINE void v_store(float *p, vec x) { *p = x; }
INLINE float v_total(vec x) { return x; }
INLINE float v_largest(vec x) { return x; }
INLINE vec v_load_some(const float *p, size_t n) { return n ? *p : 0.0f; }
INLINE void v_store_some(float *p, size_t n, vec x) {
  if (n) *p = x;
}
INLINE vec v_only(vec x, size_t n) { return n ? x : 0.0f; }
INLINE void v_to_int8(int8_t *q, size_t n, vec x) {
  if (n) *q = (int8_t)x;
}
INLINE void v_to_int16(int16_t *q, size_t n, vec x) {
  if (n) *q = (int16_t)x;
}
INLINE vec v_set(float x) { return x; }
INLINE vec v_power_of_2(vec n) { return bits_float((uint32_t)((int32_t)n + 127) << 23); }

#ifdef HAS_FLOAT
INLINE vec v_is_negative(vec x) { return x < 0 ? 1.0f : 0.0f; }
#endif

#ifdef HAS_ROUNDING

/* Of a NaN and a number these give the number, as the other implementations do. */
INLINE vec v_max(vec a, vec b) {
  vec y;
  __asm__("vmaxnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
  return y;
}
INLINE vec v_min(vec a, vec b) {
  vec y;
  __asm__("vminnm.f32 %0, %1, %2" : "=t"(y) : "t"(a), "t"(b));
  return y;
}
INLINE vec v_round(vec x) {
  vec y;
  __asm__("vrintn.f32 %0, %1" : "=t"(y) : "t"(x));
  return y;
}

#elif defined(HAS_FLOAT)

INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
INLINE vec v_min(vec a, vec b) { return a < b ? a : b; }

/* A float of at least 2^23 is whole. Below, 1.5 x 2^23 + x leaves no bits for a fraction, so the sum is
 * rounded, ties to even. A zero has the sign of x. */
INLINE vec v_round(vec x) {
  const float limit = 12582912.0f;
  const uint32_t bits = float_bits(x), magnitude = bits << 1;
  if (magnitude >= 0x4a800000u << 1) return x; /* 2^22 */
  return bits_float(float_bits((x + limit) - limit) | (bits & 0x80000000u));
}

#else

/* Without a floating-point unit comparisons are those of the bits, with a negative number's turned over. */
INLINE int32_t order_of(vec x) {
  const int32_t bits = (int32_t)float_bits(x);
  return bits < 0 ? bits ^ 0x7fffffff : bits;
}
INLINE vec v_max(vec a, vec b) { return order_of(a) > order_of(b) ? a : b; }
INLINE vec v_min(vec a, vec b) { return order_of(a) < order_of(b) ? a : b; }
INLINE vec v_is_negative(vec x) { return float_bits(x) > 0x80000000u ? 1.0f : 0.0f; }

/* x to a multiple of 1 / steps, a power of two, by its bits: those behind the last place are cut off,
 * after half of that place was added; at a tie only if the place holds a one. */
INLINE vec round_places(vec x, float steps) {
  const uint32_t bits = float_bits(x), sign = bits & 0x80000000u;
  const int exponent = (int)(bits >> 23 & 255) + (int)(float_bits(steps) >> 23) - 254;
  if (exponent >= 23) return x;
  if (exponent < -1) return bits_float(sign);
  /* Half a step is a tie with 0, which holds no one. */
  if (exponent == -1) return bits_float((bits << 9) ? (bits | 0x7fffff) + 1 : sign);
  const uint32_t last = 1u << (23 - exponent);
  const uint32_t half = (last >> 1) - !(bits & last ? 1u : exponent == 0);
  return bits_float((bits + half) & ~(last - 1));
}

INLINE vec v_round(vec x) { return round_places(x, 1.0f); }

#endif

#define NAME(f) cortexm_##f
#ifndef HAS_FLOAT
#define TO_GRID round_places
#endif
#include "real.inc"

#define EACH_BYTE 0x01010101u

/* Hides from the compiler that a value is known, so that it stays in a register. */
#define IN_REGISTER(x) __asm__("" : "+r"(x))

/* === Real-valued functions ===
 *
 * real.inc has them all. Those of fully binary models are here again, eight numbers in each step. A power
 * of two goes into a factor that is there anyway, as it changes no rounding.
 */
#ifdef HAS_FLOAT

/* Instructions for eight registers v from s0, w from s8, and sums p from s16 or q from s24. */
#define OF_8(f)                                                                          \
  f(0, 8, 16, 24) f(1, 9, 17, 25) f(2, 10, 18, 26) f(3, 11, 19, 27)                      \
  f(4, 12, 20, 28) f(5, 13, 21, 29) f(6, 14, 22, 30) f(7, 15, 23, 31)
#define ALL_REGISTERS                                                                    \
  "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12",       \
      "s13", "s14", "s15", "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23",       \
      "s24", "s25", "s26", "s27", "s28", "s29", "s30", "s31"

#define ADD_TO_P(v, w, p, q) "vadd.f32 s" #p ", s" #p ", s" #v "\n"
#define ADD_TO_Q(v, w, p, q) "vadd.f32 s" #q ", s" #q ", s" #v "\n"
#define ADD_Q_TO_P(v, w, p, q) "vadd.f32 s" #p ", s" #p ", s" #q "\n"
#define CLEAR(v, w, p, q) "vmov s" #p ", %[zero]\n vmov s" #q ", %[zero]\n"

/* Of numbers from 0 to 2^23, the limit, which is in s10: the sum with it leaves no bits for a fraction. */
#ifdef HAS_ROUNDING
#define ROUND(v, w, p, q) "vrintn.f32 s" #v ", s" #v "\n"
#define ROUND_SQUARE ROUND
#else
#define ROUND_SQUARE(v, w, p, q)                                                         \
  "vadd.f32 s" #v ", s" #v ", s10\n vsub.f32 s" #v ", s" #v ", s10\n"
#endif

/* The 16 sums, added in halves, and left in s16. */
#define TOTAL                                                                            \
  OF_8(ADD_Q_TO_P)                                                                       \
  "vadd.f32 s16, s16, s20\n vadd.f32 s17, s17, s21\n vadd.f32 s18, s18, s22\n"           \
  "vadd.f32 s19, s19, s23\n vadd.f32 s16, s16, s18\n vadd.f32 s17, s17, s19\n"           \
  "vadd.f32 s16, s16, s17\n vmov %[total], s16\n"

/* y = a + b, 16 n numbers of each; returns their sum. */
INLINE float add_rows(size_t n, const float *a, const float *b, float *y) {
#define ADD(v, w, p, q) "vadd.f32 s" #v ", s" #v ", s" #w "\n"
#define LOAD "vldmia %[a]!, {s0-s7}\n vldmia %[b]!, {s8-s15}\n"
  uint32_t total;
  __asm__ volatile(
      OF_8(CLEAR)
      "1:\n"
      LOAD OF_8(ADD) "vstmia %[y]!, {s0-s7}\n" OF_8(ADD_TO_P)
      LOAD OF_8(ADD) "vstmia %[y]!, {s0-s7}\n" OF_8(ADD_TO_Q)
      "subs %[n], %[n], #1\n bne 1b\n"
      TOTAL
      : [total] "=&r"(total), [n] "+r"(n), [a] "+r"(a), [b] "+r"(b), [y] "+r"(y)
      : [zero] "r"(0)
      : ALL_REGISTERS, "cc", "memory");
#undef ADD
#undef LOAD
  return bits_float(total);
}

static float sum_of_squares(size_t count, const float *x, float steps) {
  float total;
  ADD_UP(total, i, n, count, term = cortexm_to_grid(x[i] * x[i], steps);)
  return total;
}

/* x -= mean, 16 n numbers; returns the sum of their squares, each a whole number of steps. */
INLINE float centre_row(size_t n, float mean, float steps, float *x) {
  const float limit = 8388608.0f, *begin = x;
  const size_t count = 16 * n;
#define SUBTRACT(v, w, p, q) "vsub.f32 s" #v ", s" #v ", s8\n"
#define SQUARE(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s" #v "\n"
#define SCALE(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s9\n"
#define LOAD "vldmia %[x], {s0-s7}\n" OF_8(SUBTRACT) "vstmia %[x]!, {s0-s7}\n"
  uint32_t total;
  __asm__ volatile(
      OF_8(CLEAR)
      "vmov s8, %[mean]\n vmov s9, %[steps]\n vmov s10, %[limit]\n"
      "1:\n"
      LOAD OF_8(SQUARE) OF_8(SCALE) OF_8(ROUND_SQUARE) OF_8(ADD_TO_P)
      LOAD OF_8(SQUARE) OF_8(SCALE) OF_8(ROUND_SQUARE) OF_8(ADD_TO_Q)
      "subs %[n], %[n], #1\n bne 1b\n"
      TOTAL
      : [total] "=&r"(total), [n] "+r"(n), [x] "+r"(x)
      : [mean] "r"(float_bits(mean)), [steps] "r"(float_bits(steps)),
        [limit] "r"(float_bits(limit)), [zero] "r"(0)
      : ALL_REGISTERS, "cc", "memory");
#undef SUBTRACT
#undef SQUARE
#undef SCALE
#undef LOAD
  if (bits_float(total) < limit) return bits_float(total) / steps;
  return sum_of_squares(count, begin, steps);
}

/* y = y / deviation * gamma + beta on 2^-12, 8 n numbers. */
INLINE void normalize_row(size_t n, float deviation, const float *gamma, const float *beta,
                          float *y) {
#ifndef HAS_ROUNDING
  for (size_t i = 0; i < 8 * n; i++) {
    y[i] = cortexm_to_grid(y[i] / deviation * gamma[i] + beta[i], 4096.0f);
  }
#else
#define DIVIDE(v, w, p, q) "vdiv.f32 s" #v ", s" #v ", s16\n"
#define MULTIPLY(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s" #w "\n"
#define ADD_STEPS(v, w, p, q) "vfma.f32 s" #v ", s" #w ", s17\n"
#define SCALE(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s18\n"
  __asm__ volatile(
      "vmov s16, %[deviation]\n vmov s17, %[steps]\n vmov s18, %[step]\n"
      "1:\n"
      "vldmia %[y], {s0-s7}\n" OF_8(DIVIDE)
      "vldmia %[gamma]!, {s8-s15}\n" OF_8(MULTIPLY)
      "vldmia %[beta]!, {s8-s15}\n" OF_8(ADD_STEPS)
      OF_8(ROUND) OF_8(SCALE)
      "vstmia %[y]!, {s0-s7}\n"
      "subs %[n], %[n], #1\n bne 1b\n"
      : [n] "+r"(n), [gamma] "+r"(gamma), [beta] "+r"(beta), [y] "+r"(y)
      : [deviation] "r"(float_bits(deviation / 4096)), [steps] "r"(float_bits(4096.0f)),
        [step] "r"(float_bits(1.0f / 4096))
      : ALL_REGISTERS, "cc", "memory");
#undef DIVIDE
#undef MULTIPLY
#undef ADD_STEPS
#undef SCALE
#endif
}

static void eights_layer_norm_grid(size_t rows, size_t width, const float *a, const float *b,
                                   const float *gamma, const float *beta, int input_bits,
                                   int square_bits, float *y) {
  if (width % 16 || !square_bits) {
    cortexm_layer_norm_grid(rows, width, a, b, gamma, beta, input_bits, square_bits, y);
    return;
  }
  const float share = (float)(1.0 / (double)width);
  const float input_steps = (float)(1ul << input_bits), square_steps = (float)(1ul << square_bits);
  for (size_t row = 0; row < rows; row++, a += width, y += width) {
    float sum = 0;
    if (b) {
      sum = add_rows(width / 16, a, b + row * width, y);
    } else if (y != a) {
      memcpy(y, a, width * sizeof *y);
    }
    if (input_bits) {
      for (size_t i = 0; i < width; i++) y[i] = cortexm_to_grid(y[i], input_steps);
    }
    if (!b || input_bits) ADD_UP(sum, i, n, width, term = v_load(y + i);)
    const float variance = centre_row(width / 16, sum * share, square_steps, y) * share;
    normalize_row(width / 8, sqrtf(variance + 1e-5f) + 1e-6f, gamma, beta, y);
  }
}

/* Whole numbers of steps, limited, two in each word. */
static void eights_to_int16(size_t count, int bits, const float *x, int16_t *q) {
#define SCALE(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s8\n"
#ifdef HAS_ROUNDING
#define LIMIT(v, w, p, q)                                                                \
  "vminnm.f32 s" #v ", s" #v ", s9\n vmaxnm.f32 s" #v ", s" #v ", s10\n"                 \
  "vcvtr.s32.f32 s" #v ", s" #v "\n"
#define STORE_2(even, odd)                                                               \
  "vmov %[t], %[u], s" #even ", s" #odd "\n pkhbt %[t], %[t], %[u], lsl #16\n"           \
  "str %[t], [%[q]], #4\n"
#else
/* One less and one more again, with saturation, turns -32768 into -32767. */
#define LIMIT(v, w, p, q) "vcvtr.s32.f32 s" #v ", s" #v "\n"
#define STORE_2(even, odd)                                                               \
  "vmov %[t], %[u], s" #even ", s" #odd "\n ssat %[t], #16, %[t]\n ssat %[u], #16, %[u]\n" \
  "pkhbt %[t], %[t], %[u], lsl #16\n qsub16 %[t], %[t], %[ones]\n"                       \
  "sadd16 %[t], %[t], %[ones]\n str %[t], [%[q]], #4\n"
#endif
  const size_t eights = (uintptr_t)q % 4 ? 0 : count / 8 * 8;
  const float *end = x + eights;
  uint32_t t, u;
  if (eights) {
    __asm__ volatile(
        "vmov s8, %[steps]\n vmov s9, %[most]\n vneg.f32 s10, s9\n"
        "1:\n"
        "vldmia %[x]!, {s0-s7}\n" OF_8(SCALE) OF_8(LIMIT)
        STORE_2(0, 1) STORE_2(2, 3) STORE_2(4, 5) STORE_2(6, 7)
        "cmp %[x], %[end]\n bne 1b\n"
        : [x] "+r"(x), [q] "+r"(q), [t] "=&r"(t), [u] "=&r"(u)
        : [end] "r"(end), [steps] "r"(float_bits((float)(1ul << bits))),
          [most] "r"(float_bits(32767.0f)), [ones] "r"(0x00010001)
        : ALL_REGISTERS, "cc", "memory");
  }
#undef SCALE
#undef LIMIT
#undef STORE_2
  cortexm_to_int16(count - eights, bits, x, q);
}

#else
#define eights_layer_norm_grid cortexm_layer_norm_grid

/* By the bits, as round_places. */
static void eights_to_int16(size_t count, int bits, const float *x, int16_t *q) {
  for (; count; count--, x++, q++) {
    const uint32_t number = float_bits(*x), mantissa = (number & 0x7fffff) | 0x800000;
    const int places = 23 + 127 - bits - (int)(number >> 23 & 255); /* behind the point */
    int32_t whole = 32767;
    if (places > 24) {
      whole = 0;
    } else if (places > 8) {
      whole = (int32_t)(mantissa + (1u << (places - 1)) - 1 + (mantissa >> places & 1)) >> places;
      if (whole > 32767) whole = 32767;
    }
    *q = (int16_t)(number >> 31 ? -whole : whole);
  }
}
#endif

#ifdef HAS_ROUNDING

/* gate * content on 2^-12, eight at a time; what is left over, and with a sigmoid, as in real.inc. */
static void eights_gate_grid(size_t count, int sigmoid, const float *gate, const float *content,
                             float *y) {
#define MULTIPLY(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s" #w "\n"
#define TO_STEPS(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s16\n"
#define SCALE(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s17\n"
  const size_t eights = sigmoid ? 0 : count / 8 * 8;
  const float *end = gate + eights;
  if (eights) {
    __asm__ volatile(
        "vmov s16, %[steps]\n vmov s17, %[step]\n"
        "1:\n"
        "vldmia %[gate]!, {s0-s7}\n vldmia %[content]!, {s8-s15}\n"
        OF_8(MULTIPLY) OF_8(TO_STEPS) OF_8(ROUND) OF_8(SCALE)
        "vstmia %[y]!, {s0-s7}\n"
        "cmp %[gate], %[end]\n bne 1b\n"
        : [gate] "+r"(gate), [content] "+r"(content), [y] "+r"(y)
        : [end] "r"(end), [steps] "r"(float_bits(4096.0f)), [step] "r"(float_bits(1.0f / 4096))
        : ALL_REGISTERS, "cc", "memory");
  }
#undef MULTIPLY
#undef TO_STEPS
#undef SCALE
  cortexm_gate_grid(count - eights, sigmoid, gate, content, y);
}

/* A factor of 1 / 64 goes into the scale, and one of 1024 is left to the end. */
static void eights_power_weights(size_t rows, size_t count, float scale, float *x,
                                 size_t x_stride, int16_t *weights, size_t stride) {
#define SCALE(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s16\n"
#define LARGER(v, w, p, q) "vmaxnm.f32 s17, s17, s" #v "\n"
#define LESS_LARGEST(v, w, p, q) "vsub.f32 s" #v ", s" #v ", s17\n"
#define FROM_ZERO(v, w, p, q) "vadd.f32 s" #v ", s" #v ", s18\n vmaxnm.f32 s" #v ", s" #v ", s19\n"
#define SQUARE(v, w, p, q) "vmul.f32 s" #v ", s" #v ", s" #v "\n"
#define TO_WHOLE(v, w, p, q)                                                             \
  "vmul.f32 s" #v ", s" #v ", s20\n vcvtr.s32.f32 s" #v ", s" #v "\n"
#define STORE_2(even, odd)                                                               \
  "vmov %[t], %[u], s" #even ", s" #odd "\n pkhbt %[t], %[t], %[u], lsl #16\n"           \
  "str %[t], [%[q]], #4\n"
  const size_t eights = (uintptr_t)weights % 4 || stride % 2 ? 0 : count / 8;
  if (!eights || !(fabsf(scale) > 1e-30f)) {
    cortexm_power_weights(rows, count, scale, x, x_stride, weights, stride);
    return;
  }
  scale /= 64;
  for (; rows; rows--, x += x_stride, weights += stride) {
    float largest = x[0] * scale;
    for (size_t i = 8 * eights; i < count; i++) largest = v_max(largest, x[i] * scale);
    float *p = x;
    const float *scaled = x;
    int16_t *q = weights;
    size_t n = eights;
    uint32_t bits = float_bits(largest), t, u;
    __asm__ volatile(
        "vmov s16, %[scale]\n vmov s17, %[largest]\n"
        "1:\n"
        "vldmia %[p], {s0-s7}\n" OF_8(SCALE) OF_8(LARGER) "vstmia %[p]!, {s0-s7}\n"
        "subs %[n], %[n], #1\n bne 1b\n"
        "vmov %[largest], s17\n"
        "vmov.f32 s18, #1.0\n vsub.f32 s19, s18, s18\n vmov s20, %[steps]\n"
        "2:\n"
        "vldmia %[scaled]!, {s0-s7}\n" OF_8(LESS_LARGEST) OF_8(FROM_ZERO)
        OF_8(SQUARE) OF_8(SQUARE) OF_8(SQUARE) OF_8(SQUARE) OF_8(SQUARE) OF_8(SQUARE)
        OF_8(TO_WHOLE)
        STORE_2(0, 1) STORE_2(2, 3) STORE_2(4, 5) STORE_2(6, 7)
        "cmp %[scaled], %[p]\n bne 2b\n"
        : [p] "+r"(p), [q] "+r"(q), [n] "+r"(n), [largest] "+r"(bits),
          [scaled] "+r"(scaled), [t] "=&r"(t), [u] "=&r"(u)
        : [scale] "r"(float_bits(scale)), [steps] "r"(float_bits(1024.0f))
        : ALL_REGISTERS, "cc", "memory");
    largest = bits_float(bits);
    for (size_t i = 8 * eights; i < count; i++) {
      float power = v_max(x[i] * scale - largest + 1.0f, 0.0f);
      for (int doubling = 0; doubling < 6; doubling++) power = power * power;
      weights[i] = (int16_t)v_round(power * 1024.0f);
    }
    for (size_t i = count; i < stride; i++) weights[i] = 0;
  }
#undef SCALE
#undef LARGER
#undef LESS_LARGEST
#undef FROM_ZERO
#undef SQUARE
#undef TO_WHOLE
#undef STORE_2
}

#else
#define eights_power_weights cortexm_power_weights
#define eights_gate_grid cortexm_gate_grid
#endif

/* === Packing === */

/* 0x80000000 - bits borrows, which clears the carry, if the float is below zero: not at -0.0. The carries
 * are shifted in from the right, the first one last. */
#define SHIFT_IN(n) "rsbs " n ", " n ", #0x80000000\n adc %[signs], %[signs], %[signs]\n"

/* Signs of 32 floats. */
INLINE uint32_t pack_32(const float *x) {
  uint32_t signs = 0;
  x += 32;
  __asm__(
      ".rept 8\n"
      "ldmdb %[x]!, {r0-r3}\n"
      SHIFT_IN("r3") SHIFT_IN("r2") SHIFT_IN("r1") SHIFT_IN("r0")
      ".endr\n"
      : [signs] "+r"(signs), [x] "+r"(x)
      : "m"(*(const float(*)[32])(x - 32))
      : "r0", "r1", "r2", "r3", "cc");
  return ~signs;
}

INLINE uint64_t pack_64(const float *x) { return pack_32(x) | (uint64_t)pack_32(x + 32) << 32; }

static void cortexm_pack_signs(size_t rows, size_t depth, const float *x, uint64_t *bits) {
  pack_rows(pack_64, rows, depth, x, bits);
}

/* === Binary x binary ===
 *
 * These cores count no bits, so sums are looked up. Four bits of a weight choose one of 16 sums, which
 * are tabled once for eight rows of inputs, a byte a row:
 *
 *     for each 8 rows
 *       for each word of 64 inputs
 *         table[group][pattern] = of each row, the sum of 4 inputs times the pattern's weights
 *         for each output
 *           sum[output] += table[0][bits 0 to 3 of its word] + ... + table[15][bits 60 to 63]
 *
 * So four instructions stand for 32 products. A byte holds half of a sum of +-1, plus 128, and cannot
 * overflow up to 252 inputs. Bytes carry into each other on the way, but not in the end, when each is
 * within its range: whole words are added.
 *
 * One or two rows are not worth a table: their bits are counted, by adding neighbours.
 */
#define ROWS 8
#define GROUPS 16        /* of four inputs in a word */
#define FEW 2

/* Eight rows, the first in the lowest byte. */
typedef struct {
  uint32_t low, high;
} eight;

typedef eight lookup[GROUPS][16];

/* Half sums of a tile: int8 once they are complete, with 128 added while they grow. */
typedef eight tile[SLAB];

/* Bytes of four words, by place: bytes[k] has byte k of each. */
INLINE void transpose_bytes(const uint32_t word[4], uint32_t bytes[4]) {
  const uint32_t even = 0x00ff00ffu;
  const uint32_t a = (word[0] & even) | (word[1] & even) << 8;
  const uint32_t b = (word[0] >> 8 & even) | (word[1] & ~even);
  const uint32_t c = (word[2] & even) | (word[3] & even) << 8;
  const uint32_t d = (word[2] >> 8 & even) | (word[3] & ~even);
  bytes[0] = (a & 0xffff) | c << 16;
  bytes[1] = (b & 0xffff) | d << 16;
  bytes[2] = a >> 16 | (c & 0xffff0000u);
  bytes[3] = b >> 16 | (d & 0xffff0000u);
}

/* The 16 sums of a group, from that of weights +1 in l and h: a set bit i of the pattern adds its change,
 * l0 to l3 and h0 to h3. From each pattern to the next one bit changes, so one sum walks through all. */
#define ADD_CHANGE(i, place)                                                             \
  "add %[l], %[l], %[l" i "]\n add %[h], %[h], %[h" i "]\n strd %[l], %[h], [%[g], #" place "]\n"
#define TAKE_CHANGE(i, place)                                                            \
  "sub %[l], %[l], %[l" i "]\n sub %[h], %[h], %[h" i "]\n strd %[l], %[h], [%[g], #" place "]\n"
#define FILL_GROUP                                                                       \
  "strd %[l], %[h], [%[g]]\n"                                                            \
  ADD_CHANGE("0", "8") ADD_CHANGE("1", "24") TAKE_CHANGE("0", "16")                      \
  ADD_CHANGE("2", "48") ADD_CHANGE("0", "56") TAKE_CHANGE("1", "40")                     \
  TAKE_CHANGE("0", "32") ADD_CHANGE("3", "96") ADD_CHANGE("0", "104")                    \
  ADD_CHANGE("1", "120") TAKE_CHANGE("0", "112") TAKE_CHANGE("2", "80")                  \
  ADD_CHANGE("0", "88") TAKE_CHANGE("1", "72") TAKE_CHANGE("0", "64")

/* Changes are those of the four lowest bits of each byte of `rows`, or of the four highest. Of a negative
 * input, whose bit is 1, a set bit takes away a difference, of another it adds one: 2 bit - 1. The first
 * sum is left out. */
#define CHANGES(l)                                                                       \
  "and %[" l "3], %[h], %[" l "0], lsr %[from] + 3\n"                                    \
  "and %[" l "2], %[h], %[" l "0], lsr %[from] + 2\n"                                    \
  "and %[" l "1], %[h], %[" l "0], lsr %[from] + 1\n"                                    \
  ".if %c[from]\n and %[" l "0], %[h], %[" l "0], lsr %[from]\n"                         \
  ".else\n and %[" l "0], %[h], %[" l "0]\n .endif\n"
#define TO_CHANGES(l)                                                                    \
  "rsb %[" l "0], %[h], %[" l "0], lsl #1\n rsb %[" l "1], %[h], %[" l "1], lsl #1\n"    \
  "rsb %[" l "2], %[h], %[" l "2], lsl #1\n rsb %[" l "3], %[h], %[" l "3], lsl #1\n"

INLINE void fill_group(eight rows, const int from, eight group[16]) {
  uint32_t l, h, l0 = rows.low, h0 = rows.high, l1, l2, l3, h1, h2, h3;
  __asm__ volatile(
      "mov %[h], #0x01010101\n"
      CHANGES("l") CHANGES("h")
      TO_CHANGES("l") TO_CHANGES("h")
      "mov %[l], #0\n mov %[h], #0\n"
      FILL_GROUP
      : [l] "=&r"(l), [h] "=&r"(h), [l0] "+r"(l0), [l1] "=&r"(l1), [l2] "=&r"(l2), [l3] "=&r"(l3),
        [h0] "+r"(h0), [h1] "=&r"(h1), [h2] "=&r"(h2), [h3] "=&r"(h3)
      : [g] "r"(group), [from] "i"(from)
      : "memory");
}

/* A table of one word of n rows. What it leaves out, and `start` for each row, is in the first group. */
static void fill_table(size_t n, const uint64_t *x, size_t stride, uint32_t start, lookup table) {
  uint32_t half[2][ROWS], bytes[4];
  eight rows[8], total = {0, 0}; /* of a byte's place in the word: that byte of each row */
  if (n < ROWS) memset(half, 0, sizeof half);
#pragma GCC unroll 8
  for (size_t row = 0; row < ROWS; row++, x += stride) {
    if (row >= n) break;
    half[0][row] = (uint32_t)*x;
    half[1][row] = (uint32_t)(*x >> 32);
  }
#pragma GCC unroll 2
  for (int h = 0; h < 2; h++) {
    transpose_bytes(half[h], bytes);
    for (int place = 0; place < 4; place++) rows[4 * h + place].low = bytes[place];
    transpose_bytes(half[h] + 4, bytes);
    for (int place = 0; place < 4; place++) rows[4 * h + place].high = bytes[place];
  }
  eight(*group)[16] = table;
  for (int place = 0; place < 8; place++, group += 2) {
    fill_group(rows[place], 0, group[0]);
    fill_group(rows[place], 4, group[1]);
    total.low += group[0][15].low + group[1][15].low;
    total.high += group[0][15].high + group[1][15].high;
  }
  /* The totals are 2 differences - 64. */
  const uint32_t ones = EACH_BYTE;
  const eight first = {start * ones - ((total.low + 64 * ones) >> 1),
                       start * ones - ((total.high + 64 * ones) >> 1)};
#pragma GCC unroll 16
  for (int pattern = 0; pattern < 16; pattern++) {
    table[0][pattern].low += first.low;
    table[0][pattern].high += first.high;
  }
}

/* The sums of one output: its 16 groups of weights. */
#ifdef HAS_DSP

/* Bytes of x are offsets in a group of the table; `place` is that of the group behind the middle. */
#define LOOK_UP(byte, place)                                                 \
  "uxtab %[t], %[table], %[x], ror #" byte "\n"                              \
  "ldrd %[t], %[u], [%[t], #" place "]\n"                                    \
  "add %[low], %[low], %[t]\n add %[high], %[high], %[u]\n"
#define LOOK_UP_FIRST(place)                                                 \
  "uxtab %[t], %[table], %[x]\n"                                             \
  "ldrd %[low], %[high], [%[t], #" place "]\n"

INLINE eight look_up(const lookup table, uint32_t first, uint32_t second) {
  uint32_t mask = 0x78787878u, x, t, u;
  eight sum;
  /* Offsets of loads reach from -1020 to 1020. */
  const char *middle = (const char *)table + 900;
  IN_REGISTER(mask);
  __asm__(
      "and %[x], %[mask], %[a], lsl #3\n"
      LOOK_UP_FIRST("-900") LOOK_UP("8", "-644") LOOK_UP("16", "-388") LOOK_UP("24", "-132")
      "and %[x], %[mask], %[a], lsr #1\n"
      LOOK_UP("0", "-772") LOOK_UP("8", "-516") LOOK_UP("16", "-260") LOOK_UP("24", "-4")
      "and %[x], %[mask], %[b], lsl #3\n"
      LOOK_UP("0", "124") LOOK_UP("8", "380") LOOK_UP("16", "636") LOOK_UP("24", "892")
      "and %[x], %[mask], %[b], lsr #1\n"
      LOOK_UP("0", "252") LOOK_UP("8", "508") LOOK_UP("16", "764") LOOK_UP("24", "1020")
      : [low] "=&r"(sum.low), [high] "=&r"(sum.high), [x] "=&r"(x), [t] "=&r"(t), [u] "=&r"(u)
      : [table] "r"(middle), [mask] "r"(mask), [a] "r"(first), [b] "r"(second),
        "m"(*(const lookup *)table));
  return sum;
}

#else

INLINE eight look_up(const lookup table, uint32_t first, uint32_t second) {
  eight sum = {0, 0};
#pragma GCC unroll 8
  for (int group = 0; group < GROUPS / 2; group++) {
    const eight *a = &table[group][first >> 4 * group & 15];
    const eight *b = &table[group + GROUPS / 2][second >> 4 * group & 15];
    sum.low += a->low + b->low;
    sum.high += a->high + b->high;
  }
  return sum;
}

#endif

/* Bits set in two words, by adding neighbours: pairs, nibbles, bytes. */
INLINE uint32_t count_bits(uint32_t a, uint32_t b) {
  uint32_t pairs = 0x55555555u, nibbles = 0x33333333u, bytes = 0x0f0f0f0fu;
  IN_REGISTER(pairs);
  IN_REGISTER(nibbles);
  IN_REGISTER(bytes);
  a -= a >> 1 & pairs;
  b -= b >> 1 & pairs;
  a = (a & nibbles) + (a >> 2 & nibbles);
  b = (b & nibbles) + (b >> 2 & nibbles);
  a += b;
  a = (a & bytes) + (a >> 4 & bytes);
#ifdef HAS_DSP
  return __usada8(a, 0, 0);
#else
  return a * EACH_BYTE >> 24;
#endif
}

/* Half sums, as in the tile, of one row and a constant number of words. */
INLINE void count_row(const slab *s, size_t row, size_t word, const size_t words, int32_t start,
                      tile sums) {
  const uint64_t *x = s->x + row * s->words + word, *panel = s->weights + word * BEEX_BINARY_PANEL;
  int8_t *sum = (int8_t *)sums + row;
  uint64_t input[WORDS_A_BYTE];
  for (size_t i = 0; i < words; i++) input[i] = x[i];
  for (size_t output = 0; output < s->outputs; output += BEEX_BINARY_PANEL) {
    for (const uint64_t *end = panel + BEEX_BINARY_PANEL; panel < end; panel++, sum += ROWS) {
      int32_t half = start;
#pragma GCC unroll 3
      for (size_t i = 0; i < words; i++) {
        const uint64_t different = input[i] ^ panel[i * BEEX_BINARY_PANEL];
        half -= (int32_t)count_bits((uint32_t)different, (uint32_t)(different >> 32));
      }
      *sum = (int8_t)half;
    }
    panel += (s->words - 1) * BEEX_BINARY_PANEL;
  }
}

/* The sums of a slab of one word: put or added into the tile. */
INLINE void add_word_as(const slab *s, size_t word, const lookup table, const int first,
                        const uint32_t flip, tile sums) {
  const uint64_t *weights = s->weights + word * BEEX_BINARY_PANEL;
  for (eight *sum = sums; sum < sums + s->outputs; weights += s->words * BEEX_BINARY_PANEL) {
    const uint64_t *weight = weights;
#pragma GCC unroll 2
    for (int o = 0; o < BEEX_BINARY_PANEL; o++, sum++, weight++) {
      eight value = look_up(table, (uint32_t)*weight, (uint32_t)(*weight >> 32));
      if (!first) {
        value.low += sum->low;
        value.high += sum->high;
      }
      sum->low = value.low ^ flip;
      sum->high = value.high ^ flip;
    }
  }
}

static void add_word(const slab *s, size_t word, const lookup table, int first, int last,
                     tile sums) {
  const uint32_t flip = last ? 0x80808080u : 0;
  if (first) {
    add_word_as(s, word, table, 1, flip, sums);
  } else {
    add_word_as(s, word, table, 0, flip, sums);
  }
}

/* Half sums of n rows over words word to end, at most WORDS_A_BYTE: (half the number of inputs, rounded
 * up) - differences. */
static void add_words(const slab *s, size_t n, size_t word, size_t end, tile sums) {
  const size_t inputs = least(64 * end, s->depth) - 64 * word;
  const uint32_t start = (uint32_t)(inputs + 1) / 2;
  if (n <= FEW) {
    for (size_t row = 0; row < n; row++) {
      switch (end - word) {
        case 1: count_row(s, row, word, 1, (int32_t)start, sums); break;
        case 2: count_row(s, row, word, 2, (int32_t)start, sums); break;
        default: count_row(s, row, word, 3, (int32_t)start, sums); break;
      }
    }
    return;
  }
  lookup table;
  for (size_t i = word; i < end; i++) {
    fill_table(n, s->x + i, s->words, i == word ? start + 128 : 0, table);
    add_word(s, i, (const eight(*)[16])table, i == word, i + 1 == end, sums);
  }
}

/* === Half sums to numbers === */

#ifdef HAS_FLOAT

/* y = 2 half * scale + bias, of 8 outputs: s0 to s7 are sums, then come 2 scale and bias. */
INLINE void store_8(size_t n, const eight sums[8], const float *scale, const float *bias, float *y,
                    size_t stride) {
  const int8_t *half = (const int8_t *)sums;
  uint32_t t, u;
  stride *= sizeof *y;
  __asm__ volatile(
      "vldmia %[scale], {s8-s15}\n"
      ".irp n, 8, 9, 10, 11, 12, 13, 14, 15\n vadd.f32 s\\n, s\\n, s\\n\n .endr\n"
      "vldmia %[bias], {s16-s23}\n"
      "1:\n"
      "ldrsb %[t], [%[half]], #1\n ldrsb %[u], [%[half], #7]\n vmov s0, s1, %[t], %[u]\n"
      "ldrsb %[t], [%[half], #15]\n ldrsb %[u], [%[half], #23]\n vmov s2, s3, %[t], %[u]\n"
      "ldrsb %[t], [%[half], #31]\n ldrsb %[u], [%[half], #39]\n vmov s4, s5, %[t], %[u]\n"
      "ldrsb %[t], [%[half], #47]\n ldrsb %[u], [%[half], #55]\n vmov s6, s7, %[t], %[u]\n"
      "subs %[n], %[n], #1\n"
      ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\n vcvt.f32.s32 s\\n, s\\n\n .endr\n"
      "vmul.f32 s0, s0, s8\n vmul.f32 s1, s1, s9\n vmul.f32 s2, s2, s10\n vmul.f32 s3, s3, s11\n"
      "vmul.f32 s4, s4, s12\n vmul.f32 s5, s5, s13\n vmul.f32 s6, s6, s14\n vmul.f32 s7, s7, s15\n"
      "vadd.f32 s0, s0, s16\n vadd.f32 s1, s1, s17\n vadd.f32 s2, s2, s18\n vadd.f32 s3, s3, s19\n"
      "vadd.f32 s4, s4, s20\n vadd.f32 s5, s5, s21\n vadd.f32 s6, s6, s22\n vadd.f32 s7, s7, s23\n"
      "vstmia %[y], {s0-s7}\n"
      "add %[y], %[y], %[stride]\n"
      "bne 1b\n"
      : [n] "+r"(n), [half] "+r"(half), [y] "+r"(y), [t] "=&r"(t), [u] "=&r"(u)
      : [scale] "r"(scale), [bias] "r"(bias), [stride] "r"(stride)
      : "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13",
        "s14", "s15", "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "cc", "memory");
}

#endif

/* float [n rows of stride][outputs]; `most` bounds the half sums. */
static void store_sums(size_t n, size_t outputs, int32_t most, const tile sums, const float *scale,
                       const float *bias, float *y, size_t stride) {
  size_t output = 0;
#ifdef HAS_FLOAT
  (void)most;
  for (; output + 8 <= outputs; output += 8) {
    store_8(n, sums + output, scale + output, bias + output, y + output, stride);
  }
#endif
  for (; output < outputs; output++) {
    const int8_t *half = (const int8_t *)&sums[output];
#ifndef HAS_FLOAT
    int32_t whole_scale, whole_bias;
    if (is_exact(scale[output], bias[output], 2 * most, &whole_scale, &whole_bias)) {
      for (size_t row = 0; row < n; row++) {
        y[row * stride + output] = from_grid(2 * half[row] * whole_scale + whole_bias);
      }
      continue;
    }
#endif
    for (size_t row = 0; row < n; row++) {
      y[row * stride + output] = linear_output(2 * half[row], scale[output], bias[output]);
    }
  }
}

/* === Half sums to signs === */

/* One byte of bits a row: 8 outputs, of which those missing never have y < 0. */
INLINE void compare_8(const eight sums[8], const int32_t threshold[8], uint32_t falls,
                      uint8_t signs[ROWS]) {
#ifdef HAS_DSP
  /* Four rows at a time: a difference below zero clears a row's flag, by which 1 or 0 is selected. */
  uint32_t ones = EACH_BYTE, low = 0, high = 0;
  IN_REGISTER(ones);
#pragma GCC unroll 8
  for (int o = 7; o >= 0; o--) {
    const uint32_t least = (uint8_t)threshold[o] * ones;
    (void)__ssub8((int8x4_t)sums[o].low, (int8x4_t)least);
    low = low << 1 | (uint32_t)__sel(0, ones);
    (void)__ssub8((int8x4_t)sums[o].high, (int8x4_t)least);
    high = high << 1 | (uint32_t)__sel(0, ones);
  }
  low ^= falls * ones;
  high ^= falls * ones;
  memcpy(signs, &low, sizeof low);
  memcpy(signs + 4, &high, sizeof high);
#else
  const int8_t *half = (const int8_t *)sums;
  for (int row = 0; row < ROWS; row++, half++) {
    uint32_t byte = 0;
#pragma GCC unroll 8
    for (int o = 0; o < 8; o++) byte |= (uint32_t)(half[ROWS * o] < threshold[o]) << o;
    signs[row] = (uint8_t)(byte ^ falls);
  }
#endif
}

static void store_signs(size_t n, size_t outputs, const tile sums, const comparison *c, uint8_t *y,
                        size_t stride) {
  for (size_t output = 0; output < outputs; output += 8) {
    uint8_t signs[ROWS];
    compare_8(sums + output, c->threshold + output, c->falls[output / 8], signs);
    for (size_t row = 0; row < n; row++) y[row * stride + output / 8] = signs[row];
  }
}

/* === Layers === */

/* Up to 192 inputs, and an even number of them: a byte holds half of every sum. */
static void shallow_layer(const binary_layer *l) {
  const size_t words = BEEX_WORDS(l->depth), stride = 8 * BEEX_WORDS(l->outputs);
  const int32_t most = (int32_t)(l->depth / 2);
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
        store_signs(n, s.outputs, sums, &c, (uint8_t *)l->signs + row * stride + first / 8, stride);
      } else {
        store_sums(n, s.outputs, most, sums, scale, bias, l->y + row * l->outputs + first,
                   l->outputs);
      }
    }
  }
}

/* Any number of inputs. */
static __attribute__((noinline)) void deep_layer(const binary_layer *l) {
  const size_t words = BEEX_WORDS(l->depth), stride = 8 * BEEX_WORDS(l->outputs);
  const int32_t odd = l->depth % 2;
  for (size_t first = 0; first < l->outputs; first += SLAB) {
    const float *scale = l->scale + first, *bias = l->bias + first;
    comparison c;
    slab s = {l->depth, words, least(l->outputs - first, SLAB), l->x, l->weights + first * words};
    const size_t whole = BEEX_ROUND_UP(s.outputs, 8);
    if (l->signs) find_comparisons(whole, l->depth, scale, bias, &c);
    for (size_t row = 0; row < l->rows; row += ROWS, s.x += ROWS * words) {
      const size_t n = least(l->rows - row, ROWS);
      int32_t half[SLAB][ROWS];
      tile sums;
      for (size_t word = 0; word < words; word += WORDS_A_BYTE) {
        add_words(&s, n, word, least(words, word + WORDS_A_BYTE), sums);
        for (size_t output = 0; output < whole; output++) {
          const int8_t *more = (const int8_t *)&sums[output];
#pragma GCC unroll 8
          for (int r = 0; r < ROWS; r++) {
            half[output][r] = word ? half[output][r] + more[r] : more[r];
          }
        }
      }
      if (l->signs) {
        /* What is left of the comparison is whether a byte is negative. */
        for (size_t output = 0; output < whole; output++) {
          int8_t *sign = (int8_t *)&sums[output];
#pragma GCC unroll 8
          for (int r = 0; r < ROWS; r++) {
            sign[r] = (int8_t)((half[output][r] - c.threshold[output]) >> 31);
          }
        }
        comparison with_zero = {{0}, {0}};
        memcpy(with_zero.falls, c.falls, sizeof c.falls);
        store_signs(n, s.outputs, (const eight *)sums, &with_zero,
                    (uint8_t *)l->signs + row * stride + first / 8, stride);
        continue;
      }
      for (size_t output = 0; output < s.outputs; output++) {
        float *y = l->y + row * l->outputs + first + output;
        for (size_t r = 0; r < n; r++, y += l->outputs) {
          *y = linear_output(2 * half[output][r] - odd, scale[output], bias[output]);
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
 * By the same look-up: an entry has the sums of four rows, in 16 bits each, plus 2^15. A sum of 256 products
 * fits: those of four tables, each of 64 inputs.
 */
#define INT8_ROWS 4
#define INT8_SLAB 64 /* outputs that share a table */
#define GROUPS_A_SUM (4 * GROUPS)

INLINE void fill_int8_group(eight start, const uint32_t low[4], const uint32_t high[4],
                            eight group[16]) {
  group[0] = start;
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
#pragma GCC unroll 8
    for (int pattern = 0; pattern < 1 << i; pattern++) {
      const eight sum = {group[pattern].low + low[i], group[pattern].high + high[i]};
      group[pattern | 1 << i] = sum;
    }
  }
}

/* Four rows of the groups of a table; rows that are missing repeat the first. */
static void fill_int8_table(size_t n, size_t groups, const int8_t *x, size_t stride, lookup table) {
  const int8_t *row[INT8_ROWS];
  for (size_t r = 0; r < INT8_ROWS; r++) row[r] = r < n ? x + r * stride : x;
  for (size_t group = 0; group < groups; group++) {
    eight start = {0, 0};
    uint32_t low[4], high[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
      low[i] = (uint32_t)row[0][4 * group + i] + ((uint32_t)row[1][4 * group + i] << 16);
      high[i] = (uint32_t)row[2][4 * group + i] + ((uint32_t)row[3][4 * group + i] << 16);
      start.low += low[i];
      start.high += high[i];
      low[i] *= (uint32_t)-2;
      high[i] *= (uint32_t)-2;
    }
    fill_int8_group(start, low, high, table[group]);
  }
}

/* Adds what a table has for every other of eight outputs, to sums 0, 2, 4 and 6: for those whose bits are the
 * lower halves of bytes, or, if `upper`, the upper halves. weights[0], [2], ... are those of each group.
 * Clang lacks registers for it where it keeps a frame pointer, as it does by default. */
#if defined(HAS_DSP) && !defined(__clang__)

#define LOOK_UP_OUTPUT(byte, place, low, high)                               \
  "uxtab %[t], %[table], %[x], ror #" byte "\n"                              \
  "ldrd %[t], %[u], [%[t], #" place "]\n"                                    \
  "add %[" low "], %[" low "], %[t]\n add %[" high "], %[" high "], %[u]\n"
#define LOOK_UP_GROUPS(shift, numbers, count)                                \
  __asm__ volatile(                                                          \
      "1:\n .irp number, " numbers "\n"                                      \
      "ldr %[x], [%[weights], #8*\\number]\n"                                \
      shift "\n and %[x], %[x], #0x78787878\n"                               \
      LOOK_UP_OUTPUT("0", "128*\\number", "l0", "h0")                        \
      LOOK_UP_OUTPUT("8", "128*\\number", "l1", "h1")                        \
      LOOK_UP_OUTPUT("16", "128*\\number", "l2", "h2")                       \
      LOOK_UP_OUTPUT("24", "128*\\number", "l3", "h3")                       \
      ".endr\n"                                                              \
      "add %[table], %[table], #128*" count "\n"                             \
      "ldr %[t], %[end]\n add %[weights], %[weights], #8*" count "\n"        \
      "cmp %[table], %[t]\n bne 1b\n"                                        \
      : [l0] "+r"(sum[0].low), [h0] "+r"(sum[0].high), [l1] "+r"(sum[1].low), \
        [h1] "+r"(sum[1].high), [l2] "+r"(sum[2].low), [h2] "+r"(sum[2].high), \
        [l3] "+r"(sum[3].low), [h3] "+r"(sum[3].high), [table] "+r"(group),  \
        [weights] "+r"(weights), [x] "=&r"(x), [t] "=&r"(t), [u] "=&r"(u)    \
      : [end] "m"(end)                                                       \
      : "cc", "memory")

static __attribute__((noinline)) void look_up_int8(size_t groups, const lookup table,
                                                   const uint32_t *weights, int upper,
                                                   eight *sums) {
  const eight(*group)[16] = table, (*end)[16] = table + groups / 4 * 4;
  eight sum[4] = {sums[0], sums[2], sums[4], sums[6]};
  uint32_t x, t, u;
  if (groups >= 4) {
    if (upper) {
      LOOK_UP_GROUPS("lsr %[x], %[x], #1", "0, 1, 2, 3", "4");
    } else {
      LOOK_UP_GROUPS("lsl %[x], %[x], #3", "0, 1, 2, 3", "4");
    }
  }
  end = table + groups;
  if (groups % 4) {
    if (upper) {
      LOOK_UP_GROUPS("lsr %[x], %[x], #1", "0", "1");
    } else {
      LOOK_UP_GROUPS("lsl %[x], %[x], #3", "0", "1");
    }
  }
  for (int o = 0; o < 4; o++) sums[2 * o] = sum[o];
}

#else

static void look_up_int8(size_t groups, const lookup table, const uint32_t *weights, int upper,
                         eight *sums) {
  for (size_t group = 0; group < groups; group++, weights += 2) {
    const uint32_t bits = *weights >> 4 * upper;
#pragma GCC unroll 4
    for (int o = 0; o < 4; o++) {
      const eight *found = &table[group][bits >> 8 * o & 15];
      sums[2 * o].low += found->low;
      sums[2 * o].high += found->high;
    }
  }
}

#endif

/* Results of an output and n rows from its sums. Until those of all groups were added, they wait there as
 * whole numbers. */
INLINE void finish_int8(size_t n, eight sums, int is_first, int is_last,
                        const beex_quantized_row *row, float scale, float bias, float *y,
                        size_t stride) {
  const uint32_t found[INT8_ROWS] = {sums.low & 0xffff, sums.low >> 16, sums.high & 0xffff,
                                     sums.high >> 16};
  for (size_t r = 0; r < n; r++, y += stride) {
    int32_t sum = (int32_t)found[r] - 0x8000, before = 0;
    if (!is_first) memcpy(&before, y, sizeof before);
    sum += before;
    if (is_last) {
      *y = (float)sum * row[r].scale * scale + bias;
    } else {
      memcpy(y, &sum, sizeof sum);
    }
  }
}

static void cortexm_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                                const beex_quantized_row *row, const uint64_t *weights,
                                const float *scale, const float *bias, float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (size_t n; rows; rows -= n, x += 4 * groups * n, row += n, y += n * outputs) {
    n = least(rows, INT8_ROWS);
    for (size_t first = 0; first < outputs; first += INT8_SLAB) {
      const size_t count = least(outputs - first, INT8_SLAB);
      eight sums[INT8_SLAB];
      for (size_t group = 0, some; group < groups; group += some) {
        lookup table;
        some = least(groups - group, GROUPS);
        fill_int8_table(n, some, x + 4 * group, 4 * groups, table);
        if (group % GROUPS_A_SUM == 0) {
          for (size_t o = 0; o < INT8_SLAB; o++) sums[o].low = sums[o].high = 0x80008000u;
        }
        for (size_t output = 0; output < count; output += 8) {
          const size_t panel = (first + output) / BEEX_REAL_PANEL;
          const uint32_t *half = (const uint32_t *)(const void *)(weights + panel * groups + group) +
                                 output / 8 % 2;
          for (int upper = 0; upper < 2; upper++) {
            look_up_int8(some, (const eight(*)[16])table, half, upper, sums + output + upper);
          }
        }
        const int is_last = group + some == groups;
        if (!is_last && (group + some) % GROUPS_A_SUM) continue;
        for (size_t o = 0; o < count; o++) {
          finish_int8(n, sums[o], group < GROUPS_A_SUM, is_last, row, scale[first + o],
                      bias[first + o], y + first + o, outputs);
        }
      }
    }
  }
}

/* === int8 x int8 ===
 *
 * Inputs of four rows are widened to 16 bits once; SMLAD then multiplies two of them at a time with the
 * weights of one output.
 *
 *     wide[group][row] = inputs 0 and 2, inputs 1 and 3
 *     for each output, each group of four weights w
 *       for each row r
 *         sum[r] += wide[group][r][0] . (w0, w2) + wide[group][r][1] . (w1, w3)
 */
#define GROUPS_AT_ONCE 64

#ifdef HAS_DSP

typedef uint32_t wide_inputs[GROUPS_AT_ONCE][INT8_ROWS][2];

static void widen(size_t n, size_t groups, const int8_t *x, size_t stride, wide_inputs wide) {
  for (size_t row = 0; row < INT8_ROWS; row++) {
    const int8_t *from = x + (row < n ? row : 0) * stride;
    for (size_t group = 0; group < groups; group++, from += 4) {
      uint32_t four;
      memcpy(&four, from, sizeof four);
      wide[group][row][0] = (uint32_t)__sxtb16((int8x4_t)four);
      wide[group][row][1] = (uint32_t)__sxtb16((int8x4_t)(four >> 8));
    }
  }
}

#define ADD_GROUP                                                                        \
  "ldr r6, [r1], #64\n"                                                                  \
  "ldmia r0!, {r2-r5}\n"                                                                 \
  "sxtb16 r8, r6\n sxtb16 r6, r6, ror #8\n"                                              \
  "smlad r9, r2, r8, r9\n smlad r9, r3, r6, r9\n"                                        \
  "smlad r10, r4, r8, r10\n smlad r10, r5, r6, r10\n"                                    \
  "ldmia r0!, {r2-r5}\n"                                                                 \
  "smlad r11, r2, r8, r11\n smlad r11, r3, r6, r11\n"                                    \
  "smlad r12, r4, r8, r12\n smlad r12, r5, r6, r12\n"

/* The sums of n outputs of one panel, in turn. */
static __attribute__((noinline)) void add_int8_outputs(size_t n, size_t groups, wide_inputs wide,
                                                       const int8_t *weights,
                                                       int32_t sums[][INT8_ROWS]) {
  /* Every register has its work, so the rest is in memory. */
  struct {
    const void *x, *weights;
    size_t fours, ones;
    void *sums;
    size_t n;
  } work = {wide, weights, groups / 4, groups % 4, sums, n};
  register void *p __asm__("r0") = &work;
  __asm__ volatile(
      "push {r0}\n"
      "1:\n"
      "ldr r6, [sp]\n ldmia r6, {r0, r1, lr}\n add r2, r1, #4\n str r2, [r6, #4]\n"
      "mov r9, #0\n mov r10, #0\n mov r11, #0\n mov r12, #0\n"
      "cmp lr, #0\n beq 3f\n"
      "2:\n .rept 4\n" ADD_GROUP ".endr\n"
      "subs lr, lr, #1\n bne 2b\n"
      "3:\n"
      "ldr r6, [sp]\n ldr lr, [r6, #12]\n cmp lr, #0\n beq 5f\n"
      "4:\n" ADD_GROUP
      "subs lr, lr, #1\n bne 4b\n"
      "5:\n"
      "ldr r6, [sp]\n ldr r2, [r6, #16]\n stmia r2!, {r9-r12}\n str r2, [r6, #16]\n"
      "ldr r2, [r6, #20]\n subs r2, r2, #1\n str r2, [r6, #20]\n bne 1b\n"
      "pop {r0}\n"
      : "+r"(p)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#else

typedef int8_t wide_inputs[GROUPS_AT_ONCE][INT8_ROWS][4];

static void widen(size_t n, size_t groups, const int8_t *x, size_t stride, wide_inputs wide) {
  for (size_t row = 0; row < INT8_ROWS; row++) {
    const int8_t *from = x + (row < n ? row : 0) * stride;
    for (size_t group = 0; group < groups; group++) memcpy(wide[group][row], from + 4 * group, 4);
  }
}

static void add_int8_outputs(size_t n, size_t groups, wide_inputs wide, const int8_t *weights,
                             int32_t sums[][INT8_ROWS]) {
  for (size_t output = 0; output < n; output++) {
    int32_t a = 0, b = 0, c = 0, d = 0;
    const int8_t *w = weights + 4 * output;
    for (size_t group = 0; group < groups; group++, w += 4 * BEEX_INT8_PANEL) {
      int8_t(*x)[4] = wide[group];
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        a += x[0][i] * w[i];
        b += x[1][i] * w[i];
        c += x[2][i] * w[i];
        d += x[3][i] * w[i];
      }
    }
    const int32_t sum[INT8_ROWS] = {a, b, c, d};
    memcpy(sums[output], sum, sizeof sum);
  }
}

#endif

/* Sums of more inputs than are widened at once wait as whole numbers in the place of y. */
static void cortexm_int8_int8_linear(size_t rows, size_t depth, size_t outputs, const int8_t *x,
                                     const beex_quantized_row *row, const int8_t *weights,
                                     const float *scale, const float *bias, float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (; rows; x += 4 * groups * INT8_ROWS, row += INT8_ROWS, y += INT8_ROWS * outputs) {
    const size_t n = least(rows, INT8_ROWS);
    for (size_t group = 0; group < groups; group += GROUPS_AT_ONCE) {
      const size_t some = least(groups - group, GROUPS_AT_ONCE);
      const int is_last = group + some == groups;
      wide_inputs wide;
      widen(n, some, x + 4 * group, 4 * groups, wide);
      for (size_t first = 0; first < outputs; first += BEEX_INT8_PANEL) {
        const size_t count = least(outputs - first, BEEX_INT8_PANEL);
        int32_t sums[BEEX_INT8_PANEL][INT8_ROWS];
        add_int8_outputs(count, some, wide, weights + 4 * first * groups + 64 * group, sums);
        for (size_t r = 0; r < n; r++) {
          float *place = y + r * outputs + first;
          const float step = row[r].scale;
          for (size_t output = 0; groups == some && output < count; output++) {
            place[output] =
                (float)sums[output][r] * step * scale[first + output] + bias[first + output];
          }
          for (size_t output = 0; groups > some && output < count; output++, place++) {
            int32_t sum = sums[output][r], before = 0;
            if (group) memcpy(&before, place, sizeof before);
            sum += before;
            if (is_last) {
              *place = (float)sum * step * scale[first + output] + bias[first + output];
            } else {
              memcpy(place, &sum, sizeof sum);
            }
          }
        }
      }
    }
    rows -= n;
  }
}

/* === Real x real === */

/* c = start + a b for 4 rows, which may be the same ones, and 4 columns. */
typedef struct {
  const float *a[4], *start[4];
  float *c[4];
} product_4x4;

#ifdef HAS_FLOAT

/* Of four inputs and s16 to s19. VMLA rounds the product, then the sum. */
#define MULTIPLY_4(a0, a1, a2, a3)                                                       \
  "vmla.f32 s0, " a0 ", s16\n vmla.f32 s1, " a0 ", s17\n vmla.f32 s2, " a0 ", s18\n"     \
  "vmla.f32 s3, " a0 ", s19\n vmla.f32 s4, " a1 ", s16\n vmla.f32 s5, " a1 ", s17\n"     \
  "vmla.f32 s6, " a1 ", s18\n vmla.f32 s7, " a1 ", s19\n vmla.f32 s8, " a2 ", s16\n"     \
  "vmla.f32 s9, " a2 ", s17\n vmla.f32 s10, " a2 ", s18\n vmla.f32 s11, " a2 ", s19\n"   \
  "vmla.f32 s12, " a3 ", s16\n vmla.f32 s13, " a3 ", s17\n vmla.f32 s14, " a3 ", s18\n"  \
  "vmla.f32 s15, " a3 ", s19\n"

static __attribute__((noinline)) void multiply_4x4(const product_4x4 *p, size_t depth,
                                                   const float *b, size_t b_stride) {
  size_t twos = depth / 2;
  b_stride *= sizeof *b;
  __asm__ volatile(
      "ldrd r0, r1, [%[p], #16]\n ldrd r2, r3, [%[p], #24]\n"
      "vldmia r0, {s0-s3}\n vldmia r1, {s4-s7}\n vldmia r2, {s8-s11}\n vldmia r3, {s12-s15}\n"
      "ldmia %[p], {r0-r3}\n"
      "cmp %[twos], #0\n"
      "beq 2f\n"
      "1:\n"
      "vldmia %[b], {s16-s19}\n add %[b], %[b], %[stride]\n"
      "vldmia r0!, {s20-s21}\n vldmia r1!, {s22-s23}\n"
      "vldmia r2!, {s24-s25}\n vldmia r3!, {s26-s27}\n"
      "subs %[twos], %[twos], #1\n"
      MULTIPLY_4("s20", "s22", "s24", "s26")
      "vldmia %[b], {s16-s19}\n add %[b], %[b], %[stride]\n"
      MULTIPLY_4("s21", "s23", "s25", "s27")
      "bne 1b\n"
      "2:\n"
      "cmp %[odd], #0\n"
      "beq 3f\n"
      "vldmia %[b], {s16-s19}\n"
      "vldr s20, [r0]\n vldr s22, [r1]\n vldr s24, [r2]\n vldr s26, [r3]\n"
      MULTIPLY_4("s20", "s22", "s24", "s26")
      "3:\n"
      "ldrd r0, r1, [%[p], #32]\n ldrd r2, r3, [%[p], #40]\n"
      "vstmia r0, {s0-s3}\n vstmia r1, {s4-s7}\n vstmia r2, {s8-s11}\n vstmia r3, {s12-s15}\n"
      : [twos] "+r"(twos), [b] "+r"(b)
      : [p] "r"(p), [stride] "r"(b_stride), [odd] "r"(depth % 2)
      : "r0", "r1", "r2", "r3", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10",
        "s11", "s12", "s13", "s14", "s15", "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23",
        "s24", "s25", "s26", "s27", "cc", "memory");
}

#else

INLINE void multiply_4x4(const product_4x4 *p, size_t depth, const float *b, size_t b_stride) {
  for (int r = 0; r < 4; r++) {
    for (size_t column = 0; column < 4; column++) {
      float sum = p->start[r][column];
      for (size_t i = 0; i < depth; i++) sum += p->a[r][i] * b[i * b_stride + column];
      p->c[r][column] = sum;
    }
  }
}

#endif

static const float zeros[4] = {0, 0, 0, 0};

/* Rows and columns are taken by fours; the last four overlap the ones before. Of fewer than four rows one
 * is repeated, and the repetitions lead nowhere. */
static void cortexm_matmul(size_t rows, size_t depth, size_t columns, const float *a,
                           size_t a_stride, const float *b, size_t b_stride, float *c,
                           size_t c_stride) {
  if (columns < 4) {
    for (size_t row = 0; row < rows; row++) {
      for (size_t column = 0; column < columns; column++) {
        float sum = 0;
        for (size_t i = 0; i < depth; i++) sum += a[row * a_stride + i] * b[i * b_stride + column];
        c[row * c_stride + column] = sum;
      }
    }
    return;
  }
  for (size_t next = 0; next < rows; next += 4) {
    const size_t row = rows < 4 ? 0 : least(next, rows - 4);
    for (size_t first = 0; first < columns; first += 4) {
      const size_t column = least(first, columns - 4);
      float nowhere[4];
      product_4x4 p;
      for (size_t r = 0; r < 4; r++) {
        const int is_there = row + r < rows;
        p.a[r] = a + (is_there ? row + r : row) * a_stride;
        p.c[r] = is_there ? c + (row + r) * c_stride + column : nowhere;
        p.start[r] = zeros;
      }
      multiply_4x4(&p, depth, b + column, b_stride);
    }
  }
}

/* === Whole x whole numbers ===
 *
 * Two rows and two columns of sums stay in registers; SMLAD adds the two products of a pair to one.
 */

/* Rows a0 and a1 times columns 0 and 1 of b, over n pairs; sums by row, then column. */
#ifdef HAS_DSP

#define ADD_PAIR                                                                        \
  "ldr %[x0], [%[a0]], #4\n ldr %[x1], [%[a1]], #4\n ldrd %[y0], %[y1], [%[b]]\n"       \
  "smlad %[s00], %[x0], %[y0], %[s00]\n smlad %[s01], %[x0], %[y1], %[s01]\n"           \
  "smlad %[s10], %[x1], %[y0], %[s10]\n smlad %[s11], %[x1], %[y1], %[s11]\n"           \
  "add %[b], %[b], %[step]\n"

INLINE void multiply_pairs(size_t n, const int16_t *a0, const int16_t *a1, const int16_t *b,
                           size_t b_stride, int32_t sum[2][2]) {
  uint32_t x0, x1, y0, y1;
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0;
#define PAIR_LOOP(times, pairs)                                                         \
  __asm__ volatile(                                                                     \
      "1:\n .rept " pairs "\n" ADD_PAIR ".endr\n"                                       \
      "subs %[n], %[n], #1\n bne 1b\n"                                                  \
      : [s00] "+r"(s00), [s01] "+r"(s01), [s10] "+r"(s10), [s11] "+r"(s11),             \
        [a0] "+r"(a0), [a1] "+r"(a1), [b] "+r"(b), [n] "+r"(times), [x0] "=&r"(x0),     \
        [x1] "=&r"(x1), [y0] "=&r"(y0), [y1] "=&r"(y1)                                  \
      : [step] "r"(4 * b_stride)                                                        \
      : "cc", "memory")
  size_t fours = n / 4, ones = n % 4;
  if (fours) PAIR_LOOP(fours, "4");
  if (ones) PAIR_LOOP(ones, "1");
  sum[0][0] = s00;
  sum[0][1] = s01;
  sum[1][0] = s10;
  sum[1][1] = s11;
}

#else

INLINE void multiply_pairs(size_t n, const int16_t *a0, const int16_t *a1, const int16_t *b,
                           size_t b_stride, int32_t sum[2][2]) {
  uint32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0;
  for (; n; n--, a0 += 2, a1 += 2, b += 2 * b_stride) {
    s00 += (uint32_t)(a0[0] * b[0]) + (uint32_t)(a0[1] * b[1]);
    s01 += (uint32_t)(a0[0] * b[2]) + (uint32_t)(a0[1] * b[3]);
    s10 += (uint32_t)(a1[0] * b[0]) + (uint32_t)(a1[1] * b[1]);
    s11 += (uint32_t)(a1[0] * b[2]) + (uint32_t)(a1[1] * b[3]);
  }
  sum[0][0] = (int32_t)s00;
  sum[0][1] = (int32_t)s01;
  sum[1][0] = (int32_t)s10;
  sum[1][1] = (int32_t)s11;
}

#endif

#if defined(HAS_DSP) && defined(HAS_FLOAT)

#define MOST_PAIRS 64

/* Two rows of n <= MOST_PAIRS pairs, side by side, times `fours` times four columns. The sums take r4 to
 * r11 and the pairs the other registers, so the step and the end of the loop wait in s0 and s1. */
typedef struct {
  const uint32_t *a, *end;
  const int16_t *b;
  size_t step, fours;
  float *c0, *c1;
} product_2x4;

#define ADD_PAIR_2x4                                                                     \
  "ldrd r2, r3, [r0], #8\n ldrd r12, lr, [r1]\n"                                         \
  "smlad r4, r2, r12, r4\n smlad r5, r2, lr, r5\n"                                       \
  "smlad r8, r3, r12, r8\n smlad r9, r3, lr, r9\n"                                       \
  "ldrd r12, lr, [r1, #8]\n"                                                             \
  "smlad r6, r2, r12, r6\n smlad r7, r2, lr, r7\n"                                       \
  "smlad r10, r3, r12, r10\n smlad r11, r3, lr, r11\n"                                   \
  "vmov r2, r3, s0, s1\n add r1, r1, r2\n"

/* r7 is not for asm where it points to frames, so it is saved here. */
static __attribute__((noinline)) void multiply_2x4(product_2x4 *product) {
  register product_2x4 *p __asm__("r0") = product;
  __asm__ volatile(
      "push {r0, r7}\n"
      "ldr r2, [r0, #12]\n ldr r3, [r0, #4]\n vmov s0, s1, r2, r3\n"
      "1:\n"
      "ldr r12, [sp]\n ldr r1, [r12, #8]\n ldr r0, [r12]\n ldr r3, [r12, #4]\n"
      "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n"
      "mov r8, #0\n mov r9, #0\n mov r10, #0\n mov r11, #0\n"
      "subs r3, r3, r0\n"
      "tst r3, #8\n"
      "bne 3f\n"
      "2:\n" ADD_PAIR_2x4
      "3:\n" ADD_PAIR_2x4
      "cmp r0, r3\n bne 2b\n"
      "vmov s8, s9, r4, r5\n vmov s10, s11, r6, r7\n"
      "vmov s12, s13, r8, r9\n vmov s14, s15, r10, r11\n"
      ".irp n, 8, 9, 10, 11, 12, 13, 14, 15\n vcvt.f32.s32 s\\n, s\\n\n .endr\n"
      "ldr r12, [sp]\n add r12, r12, #20\n ldmia r12, {r2, r3}\n"
      "vstmia r2!, {s8-s11}\n vstmia r3!, {s12-s15}\n"
      "stmia r12, {r2, r3}\n"
      "ldr r1, [r12, #-12]\n adds r1, #16\n str r1, [r12, #-12]\n"
      "ldr r1, [r12, #-4]\n subs r1, #1\n str r1, [r12, #-4]\n"
      "bne 1b\n"
      "pop {r0, r7}\n"
      : "+r"(p)
      :
      : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "s0", "s1",
        "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "cc", "memory");
}

/* As many fours of columns as there are; returns how many columns that is. */
static size_t multiply_fours(size_t pairs, size_t columns, const int16_t *a0, const int16_t *a1,
                             const int16_t *b, size_t b_stride, float *c0, float *c1) {
  uint32_t both[MOST_PAIRS][2];
  if (pairs > MOST_PAIRS || columns < 4) return 0;
  for (size_t i = 0; i < pairs; i++) {
    memcpy(&both[i][0], a0 + 2 * i, sizeof(uint32_t));
    memcpy(&both[i][1], a1 + 2 * i, sizeof(uint32_t));
  }
  product_2x4 p = {both[0], both[pairs], b, 4 * b_stride, columns / 4, c0, c1};
  multiply_2x4(&p);
  return columns / 4 * 4;
}

#else
#define multiply_fours(...) 0
#endif

/* Rows and columns are taken by twos, or fours; the last two overlap the ones before. */
static void cortexm_int16_matmul(size_t rows, size_t depth, size_t columns, const int16_t *a,
                                 size_t a_stride, const int16_t *b, size_t b_stride, float *c,
                                 size_t c_stride) {
  int32_t sum[2][2];
  if (columns < 2) {
    int16_t column[2][2] = {{0}};
    for (size_t row = 0; row < rows; row++, a += a_stride, c += c_stride) {
      uint32_t total = 0;
      for (size_t i = 0; i < depth; i += 2) {
        memcpy(column[0], b + i * b_stride, sizeof column[0]);
        multiply_pairs(1, a + i, a + i, column[0], 0, sum);
        total += (uint32_t)sum[0][0];
      }
      *c = (float)(int32_t)total;
    }
    return;
  }
  for (size_t next = 0; next < rows; next += 2) {
    const size_t row = rows < 2 ? 0 : least(next, rows - 2), other = rows < 2 ? 0 : row + 1;
    const int16_t *a0 = a + row * a_stride, *a1 = a + other * a_stride;
    float *c0 = c + row * c_stride, *c1 = c + other * c_stride;
    size_t first = multiply_fours(depth / 2, columns, a0, a1, b, b_stride, c0, c1);
    for (; first < columns; first += 2) {
      const size_t column = least(first, columns - 2);
      multiply_pairs(depth / 2, a0, a1, b + 2 * column, b_stride, sum);
      c0[column] = (float)sum[0][0];
      c0[column + 1] = (float)sum[0][1];
      c1[column] = (float)sum[1][0];
      c1[column + 1] = (float)sum[1][1];
    }
  }
}

/* === Real x binary ===
 *
 * Weights of four outputs become floats, 64 inputs at a time, and are multiplied with all rows.
 */
#define INPUTS 64

static void unpack_weights(size_t depth, const uint64_t *groups, size_t place, float w[][4]) {
  for (size_t i = 0; i < depth; i += 4, groups++, w += 4) {
    const uint32_t bits = (uint32_t)(*groups >> place);
#pragma GCC unroll 4
    for (size_t k = 0; k < 4 && i + k < depth; k++) {
#pragma GCC unroll 4
      for (size_t o = 0; o < 4; o++) {
        w[k][o] = bits_float(0x3f800000u | (bits << (31 - 4 * o - k) & 0x80000000u));
      }
    }
  }
}

static void cortexm_real_linear(size_t rows, size_t depth, size_t outputs, const float *x,
                                const uint64_t *weights, const float *scale, const float *bias,
                                float *y) {
  const size_t groups = BEEX_CEIL_DIV(depth, 4);
  for (size_t first = 0; first < outputs; first += 4) {
    const size_t count = least(outputs - first, 4);
    const uint64_t *panel = weights + first / BEEX_REAL_PANEL * groups;
    for (size_t input = 0; input < depth; input += INPUTS) {
      const size_t some = least(depth - input, INPUTS);
      float w[INPUTS][4];
      unpack_weights(some, panel + input / 4, first % BEEX_REAL_PANEL * 4, w);
      for (size_t row = 0; row < rows; row += 4) {
        float sum[4][4];
        product_4x4 p;
        for (size_t r = 0; r < 4; r++) {
          const size_t source = row + r < rows ? row + r : row;
          float *place = y + source * outputs + first;
          p.a[r] = x + source * depth + input;
          if (count == 4 && source == row + r) {
            p.c[r] = place;
            p.start[r] = input ? place : zeros;
          } else {
            p.c[r] = sum[r];
            if (input) memcpy(sum[r], place, count * sizeof *place);
            p.start[r] = input ? sum[r] : zeros;
          }
        }
        multiply_4x4(&p, some, w[0], 4);
        for (size_t r = 0; r < least(rows - row, 4); r++) {
          float *place = y + (row + r) * outputs + first;
          for (size_t o = 0; o < count; o++) {
            const float result = p.c[r][o];
            place[o] = input + some < depth ? result : result * scale[first + o] + bias[first + o];
          }
        }
      }
    }
  }
}

const beex_kernels beex_kernels_cortexm = {
    .name = "cortexm",
    PRODUCT_FUNCTIONS,
    .layer_norm = cortexm_layer_norm, .layer_norm_grid = eights_layer_norm_grid,
    .softmax = cortexm_softmax, .power_weights = eights_power_weights, .sigmoid = cortexm_sigmoid,
    .tanh = cortexm_tanh, .gelu = cortexm_gelu, .rational = cortexm_rational,
    .to_grid = cortexm_to_grid_in_place, .to_int16 = eights_to_int16, .gate = cortexm_gate,
    .gate_grid = eights_gate_grid,
};

#endif
