/* Which implementations this machine can run; the reference is for tests alone. */
#include "internal.h"

#include <string.h>

#if defined(BEEX_HAS_NEON) && defined(__linux__)
#include <sys/auxv.h>
#endif

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

typedef enum { NO_AVX, ONLY_AVX2, NO_VBMI, SLOW_PERMUTATIONS, ALL } vector_level;

static int all_of(unsigned found, unsigned wanted) { return (found & wanted) == wanted; }

/* The processor is asked itself, since what __builtin_cpu_supports reads is empty in the libraries of some
 * compilers. */
static vector_level find_level(void) {
  unsigned a, b, c, d, saved, vendor;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !all_of(c, bit_FMA | bit_OSXSAVE)) return NO_AVX;
  __asm__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return NO_AVX;
  if (!all_of(saved, AVX_SAVED) || !all_of(b, AVX2)) return NO_AVX;
  if (!all_of(saved, AVX512_SAVED) || !all_of(b, AVX512) || !all_of(c, AVX512_COUNTS)) return ONLY_AVX2;
  if (!all_of(c, bit_AVX512VBMI)) return NO_VBMI;
  /* Intel's processors make three steps of the permutation on which the last kernels depend. */
  return __get_cpuid(0, &a, &vendor, &c, &d) && vendor == signature_AMD_ebx ? ALL : SLOW_PERMUTATIONS;
}

const beex_kernels *const *beex_available_kernels(void) {
  static const beex_kernels *const all[] = {&beex_kernels_portable, &beex_kernels_avx2,
                                            &beex_kernels_avx512, &beex_kernels_avx512vbmi, NULL};
  static const beex_kernels *const slow_permutations[] = {
      &beex_kernels_portable, &beex_kernels_avx2, &beex_kernels_avx512vbmi, &beex_kernels_avx512, NULL};
  static const beex_kernels *const no_vbmi[] = {&beex_kernels_portable, &beex_kernels_avx2,
                                                &beex_kernels_avx512, NULL};
  static const beex_kernels *const only_avx2[] = {&beex_kernels_portable, &beex_kernels_avx2, NULL};
  static const beex_kernels *const no_avx[] = {&beex_kernels_portable, NULL};
  switch (find_level()) {
    case NO_AVX: return no_avx;
    case ONLY_AVX2: return only_avx2;
    case NO_VBMI: return no_vbmi;
    case SLOW_PERMUTATIONS: return slow_permutations;
    default: return all;
  }
}

#elif defined(BEEX_HAS_NEON)

static int has_dot_products(void) {
#if defined(__ARM_FEATURE_DOTPROD) || defined(__APPLE__)
  return 1; /* every processor that this build is for */
#elif defined(__linux__)
  return (getauxval(AT_HWCAP) >> 20 & 1) != 0; /* HWCAP_ASIMDDP */
#else
  return 0;
#endif
}

const beex_kernels *const *beex_available_kernels(void) {
  static const beex_kernels *const all[] = {&beex_kernels_portable, &beex_kernels_neon,
                                            &beex_kernels_neondot, NULL};
  static const beex_kernels *const no_dot_products[] = {&beex_kernels_portable, &beex_kernels_neon,
                                                        NULL};
  return has_dot_products() ? all : no_dot_products;
}

#else

const beex_kernels *const *beex_available_kernels(void) {
  static const beex_kernels *const all[] = {
#ifdef BEEX_HAS_WASM
    &beex_kernels_wasm, /* alone: a module with vectors runs nowhere else, and is downloaded */
#else
    &beex_kernels_portable,
#endif
#ifdef BEEX_HAS_CORTEXM
    &beex_kernels_cortexm,
#endif
#ifdef BEEX_HAS_MVE
    &beex_kernels_mve,
#endif
    NULL,
  };
  return all;
}

#endif

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
