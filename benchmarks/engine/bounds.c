/* What this machine can do at most: the instructions that a kernel's products need, and no others, with
 * operands in registers; and loads from memory. Each function runs its loop n times. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512                                                                            \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vpopcntdq")))
/* Makes the compiler believe that a vector has changed, or that it is needed. */
#define TOUCH(x) __asm__ volatile("" : "+v"(x))
#define TIMES_8(macro) macro(0) macro(1) macro(2) macro(3) macro(4) macro(5) macro(6) macro(7)

/* Three nibbles of 4 x 32 outputs and 2 rows: 3072 multiply-accumulates. */
AVX2 void avx2_binary(size_t n) {
  __m256i table[3], nibbles[4], all[4], upper[4];
  for (int i = 0; i < 3; i++) table[i] = _mm256_setzero_si256();
  for (int v = 0; v < 4; v++) nibbles[v] = all[v] = upper[v] = _mm256_setzero_si256();
  for (int i = 0; i < 3; i++) TOUCH(table[i]);
  while (n--) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
      TOUCH(nibbles[v]);
      const __m256i two = _mm256_add_epi8(_mm256_shuffle_epi8(table[0], nibbles[v]),
                                          _mm256_shuffle_epi8(table[1], nibbles[v]));
      const __m256i sum = _mm256_add_epi8(two, _mm256_shuffle_epi8(table[2], nibbles[v]));
      all[v] = _mm256_add_epi8(all[v], sum);
      upper[v] = _mm256_add_epi8(upper[v], _mm256_srli_epi16(sum, 4));
      TOUCH(all[v]);
      TOUCH(upper[v]);
    }
  }
}

/* 64 multiply-accumulates. */
AVX2 void avx2_real(size_t n) {
  __m256 sum[8], x = _mm256_setzero_ps();
#define ZERO(i) sum[i] = _mm256_setzero_ps();
#define STEP(i) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+x"(sum[i]) : "x"(x));
  TIMES_8(ZERO)
  while (n--) { TIMES_8(STEP) }
#undef STEP
#undef ZERO
}

/* 256 multiply-accumulates. */
AVX2 void avx2_int8(size_t n) {
  __m256i sum[8], x = _mm256_setzero_si256();
#define ZERO(i) sum[i] = x;
#define STEP(i)                                                                  \
  {                                                                              \
    __m256i pairs;                                                               \
    __asm__ volatile("vpmaddubsw %1, %1, %0" : "=x"(pairs) : "x"(x));            \
    __asm__ volatile("vpaddw %1, %0, %0" : "+x"(sum[i]) : "x"(pairs));           \
  }
  TIMES_8(ZERO)
  while (n--) { TIMES_8(STEP) }
#undef STEP
#undef ZERO
}

/* 4096 multiply-accumulates. */
AVX512 void avx512_binary(size_t n) {
  __m512i sum[8], x = _mm512_setzero_si512(), weight = _mm512_setzero_si512();
#define ZERO(i) sum[i] = _mm512_setzero_si512();
#define STEP(i)                                                                         \
  TOUCH(weight);                                                                        \
  sum[i] = _mm512_add_epi64(sum[i], _mm512_popcnt_epi64(_mm512_xor_si512(x, weight)));  \
  TOUCH(sum[i]);
  TIMES_8(ZERO)
  TOUCH(x);
  while (n--) { TIMES_8(STEP) }
#undef STEP
#undef ZERO
}

/* 128 multiply-accumulates. */
AVX512 void avx512_real(size_t n) {
  __m512 sum[8], x = _mm512_setzero_ps();
#define ZERO(i) sum[i] = _mm512_setzero_ps();
#define STEP(i) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+v"(sum[i]) : "v"(x));
  TIMES_8(ZERO)
  while (n--) { TIMES_8(STEP) }
#undef STEP
#undef ZERO
}

/* 512 multiply-accumulates. */
AVX512 void avx512_int8(size_t n) {
  __m512i sum[8], x = _mm512_setzero_si512();
#define ZERO(i) sum[i] = x;
#define STEP(i) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(sum[i]) : "v"(x));
  TIMES_8(ZERO)
  while (n--) { TIMES_8(STEP) }
#undef STEP
#undef ZERO
}

/* 1536 multiply-accumulates. */
AVX512 void avx512vbmi_int8(size_t n) {
  __m512i sum[8], x = _mm512_setzero_si512();
#define ZERO(i) sum[i] = x;
#define STEP(i)                                                                      \
  {                                                                                  \
    __m512i found = x;                                                               \
    __asm__ volatile("vpermi2w %1, %1, %0" : "+v"(found) : "v"(x));                  \
    __asm__ volatile("vpaddw %1, %0, %0" : "+v"(sum[i]) : "v"(found));               \
  }
  TIMES_8(ZERO)
  while (n--) { TIMES_8(STEP) }
#undef STEP
#undef ZERO
}

/* Loads `bytes`, a multiple of 256, n times. */
AVX2 void load(size_t n, const char *data, size_t bytes) {
  __m256i any[8];
  for (int i = 0; i < 8; i++) any[i] = _mm256_setzero_si256();
  while (n--) {
    for (const char *place = data; place < data + bytes; place += 256) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) {
        const void *part = place + 32 * i;
        any[i] = _mm256_or_si256(any[i], _mm256_loadu_si256((const __m256i *)part));
        TOUCH(any[i]);
      }
    }
  }
}
