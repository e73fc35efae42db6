/* The exit rule's exponential and logarithm against the C library in long double, on a fine sweep: prints
 * the largest relative error of each, in units of 2^-53.
 */
#include "../engine/internal.h"

#include <math.h>
#include <stdio.h>

#define STEPS 1000000

static double error_of(double found, long double expected) {
  return expected == 0 ? found != 0 : (double)fabsl((found - expected) / expected) * 0x1p53;
}

int main(void) {
  double exponential = 0, logarithm = 0;
  for (int i = 0; i <= STEPS; i++) {
    const double share = (double)i / STEPS;
    /* Far, near, and so near to 0 and 1 that little is left of the result. */
    const double x[3] = {-700 * share, -2 * share, -0x1p-20 * share};
    const double y[3] = {1 + 1e6 * share, 1 + 2 * share, 1 + 0x1p-20 * share};
    for (int k = 0; k < 3; k++) {
      exponential = fmax(exponential, error_of(beex_exp(x[k]), expl(x[k])));
      logarithm = fmax(logarithm, error_of(beex_log(y[k]), logl(y[k])));
    }
  }
  printf("%.2f %.2f\n", exponential, logarithm);
  return 0;
}
