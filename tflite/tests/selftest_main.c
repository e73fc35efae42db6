/* Self-test of the reference and of every implementation that this machine can run; of the reference it
 * prints the checksums that selftest.c has to hold. */
#include "../engine/internal.h"

#include <stdio.h>
#include <stdlib.h>

int main(void) {
  void *memory = malloc(BEEX_SELF_TEST_SIZE); /* of this very size, for the sanitizers */
  if (!memory) return 2;
  const beex_kernels *reference = &beex_kernels_reference;
  printf("ordinary 0x%08lx tiny 0x%08lx\n",
         (unsigned long)beex_self_test_checksum(reference, memory, 0),
         (unsigned long)beex_self_test_checksum(reference, memory, -136));
  int failures = beex_self_test(reference, memory, BEEX_SELF_TEST_SIZE) != BEEX_OK;
  for (const beex_kernels *const *k = beex_available_kernels(); *k; k++) {
    const int passes = beex_self_test(*k, memory, BEEX_SELF_TEST_SIZE) == BEEX_OK;
    printf("%s: %s\n", (*k)->name, passes ? "passed" : "FAILED");
    failures += !passes;
  }
  free(memory);
  return failures != 0;
}
