/* Which implementations this machine can run; the reference is for tests alone. */
#include "internal.h"

#include <string.h>

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
  /* These ask the operating system too, which has to save the registers. */
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return no_avx;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
      !__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512vpopcntdq")) {
    return no_avx512;
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
