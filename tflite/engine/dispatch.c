/* Which implementations this machine can run; the reference is for tests alone. */
#include "internal.h"

#include <string.h>

#ifdef BEEX_HAS_AVX
#include <cpuid.h>

#define AVX2 bit_AVX2
#define AVX512 (bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL)
#define AVX512_COUNTS (bit_AVX512VNNI | bit_AVX512VPOPCNTDQ)

/* What the operating system saves of the registers. macOS turns on those of AVX-512 at their first use. */
#define AVX_SAVED 0x06u
#ifdef __APPLE__
#define AVX512_SAVED AVX_SAVED
#else
#define AVX512_SAVED 0xe6u
#endif

static int all_of(unsigned found, unsigned wanted) { return (found & wanted) == wanted; }

/* 2 with AVX-512, 1 with AVX2, else 0. The processor is asked itself, since what
 * __builtin_cpu_supports reads is empty in the libraries of some compilers. */
static int vector_level(void) {
  unsigned a, b, c, d, saved;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !all_of(c, bit_FMA | bit_OSXSAVE)) return 0;
  __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  if (!all_of(saved, AVX_SAVED) || !all_of(b, AVX2)) return 0;
  return all_of(saved, AVX512_SAVED) && all_of(b, AVX512) && all_of(c, AVX512_COUNTS) ? 2 : 1;
}
#endif

const beex_kernels *const *beex_available_kernels(void) {
  static const beex_kernels *const all[] = {
    &beex_kernels_portable,
#ifdef BEEX_HAS_AVX
    &beex_kernels_avx2,
    &beex_kernels_avx512,
#endif
#ifdef BEEX_HAS_NEON
    &beex_kernels_neon,
#endif
#ifdef BEEX_HAS_CORTEXM
    &beex_kernels_cortexm,
#endif
#ifdef BEEX_HAS_MVE
    &beex_kernels_mve,
#endif
    NULL,
  };
#ifdef BEEX_HAS_AVX
  static const beex_kernels *const no_avx[] = {&beex_kernels_portable, NULL};
  static const beex_kernels *const no_avx512[] = {&beex_kernels_portable, &beex_kernels_avx2,
                                                  NULL};
  switch (vector_level()) {
    case 0: return no_avx;
    case 1: return no_avx512;
    default: break;
  }
#endif
  return all;
}

const beex_kernels *beex_best_kernels(void) {
  const beex_kernels *const *last = beex_available_kernels();
  while (last[1]) last++;
  return *last;
}

const char *beex_kernels_name(const beex_kernels *kernels) { return kernels->name; }

const beex_kernels *beex_find_kernels(const char *name) {
  const beex_kernels *const *found = beex_available_kernels();
  while (*found && strcmp((*found)->name, name) != 0) found++;
  return *found;
}
