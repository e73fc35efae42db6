/* Exponential and logarithm of the exit rule, so that scores do not depend on a C library. */
#include "../kernels/exact.h"
#include "internal.h"

#include <string.h>

/* ln 2 in two parts; the first has so few bits that whole multiples of it are exact. */
#define LN_2_HIGH 0.693145751953125
#define LN_2_LOW 1.428606820309417232e-6

/* 2^n for n in [-1022, 1023]. */
static double power_of_2(int n) {
  const uint64_t bits = (uint64_t)(n + 1023) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return power;
}

/*     n = round(x / ln 2);  r = x - n ln 2, so |r| <= ln 2 / 2;  e^x = 2^n e^r
 *
 * e^r is its Taylor series to degree 13, whose remainder is below 2^-57.
 */
double beex_exp(double x) {
  static const double coefficients[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
      1.0 / 40320,      1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,
      1.0 / 6,          0.5,             1.0,            1.0};
  if (!(x >= -700.0)) return x < 0 ? 0.0 : x; /* a NaN stays one */
  const int n = (int)(x * 1.4426950408889634 - 0.5);
  const double r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
  double sum = 0;
  for (size_t i = 0; i < sizeof coefficients / sizeof *coefficients; i++) {
    sum = sum * r + coefficients[i];
  }
  return sum * power_of_2(n);
}

/*     x = 2^n m with m in [2/3, 4/3);  s = (m - 1) / (m + 1);  ln x = n ln 2 + 2 artanh s
 *
 * |s| <= 1/5, and artanh s = s + s^3 / 3 + s^5 / 5 + ... up to s^21, whose remainder is below 2^-57.
 */
double beex_log(double x) {
  static const double coefficients[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                        1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int n = (int)(bits >> 52) - 1023;
  double m = x * power_of_2(-n);
  if (m >= 4.0 / 3) {
    m *= 0.5;
    n++;
  }
  const double s = (m - 1) / (m + 1), square = s * s;
  double sum = 0;
  for (size_t i = 0; i < sizeof coefficients / sizeof *coefficients; i++) {
    sum = sum * square + coefficients[i];
  }
  return n * LN_2_HIGH + (n * LN_2_LOW + (2 * s + 2 * s * (sum * square)));
}
