/* Which implementations this machine can run; the reference is for tests alone. */
#include "internal.h"

#include <string.h>

#if defined(BEEX_HAS_NEON) && defined(__linux__)
#include <sys/auxv.h>
#endif

#ifdef BEEX_HAS_AVX

/* These ask the operating system too, which has to save the registers. */
#define HAS(feature) __builtin_cpu_supports(feature)

const beex_kernels *const *beex_available_kernels(void) {
  static const beex_kernels *const all[] = {&beex_kernels_portable, &beex_kernels_avx2,
                                            &beex_kernels_avx512, &beex_kernels_avx512vbmi, NULL};
  static const beex_kernels *const slow_permutations[] = {
      &beex_kernels_portable, &beex_kernels_avx2, &beex_kernels_avx512vbmi, &beex_kernels_avx512, NULL};
  static const beex_kernels *const no_vbmi[] = {&beex_kernels_portable, &beex_kernels_avx2,
                                                &beex_kernels_avx512, NULL};
  static const beex_kernels *const no_avx512[] = {&beex_kernels_portable, &beex_kernels_avx2, NULL};
  static const beex_kernels *const no_avx[] = {&beex_kernels_portable, NULL};
  if (!HAS("avx2") || !HAS("fma")) return no_avx;
  if (!HAS("avx512f") || !HAS("avx512bw") || !HAS("avx512dq") || !HAS("avx512vl") ||
      !HAS("avx512vnni") || !HAS("avx512vpopcntdq")) {
    return no_avx512;
  }
  if (!HAS("avx512vbmi")) return no_vbmi;
  /* Intel's processors make three steps of the permutation on which the last kernels depend. */
  return __builtin_cpu_is("amd") ? all : slow_permutations;
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
    &beex_kernels_portable,
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
