/* Division for armeabi-v7a, whose processors may lack it: what the NDK links from its compiler's library. */
#include <stdint.h>

uint32_t __aeabi_uidiv(uint32_t dividend, uint32_t divisor);
uint64_t __aeabi_uidivmod(uint32_t dividend, uint32_t divisor);

static uint64_t divide(uint64_t dividend, uint64_t divisor, uint64_t *remainder) {
  uint64_t quotient = 0, rest = 0;
  for (int bit = 63; bit >= 0; bit--) {
    rest = rest << 1 | (dividend >> bit & 1);
    if (rest >= divisor) rest -= divisor, quotient |= (uint64_t)1 << bit;
  }
  *remainder = rest;
  return quotient;
}

uint32_t __aeabi_uidiv(uint32_t dividend, uint32_t divisor) {
  uint64_t remainder;
  return (uint32_t)divide(dividend, divisor, &remainder);
}

/* The quotient in r0, the remainder in r1. */
uint64_t __aeabi_uidivmod(uint32_t dividend, uint32_t divisor) {
  uint64_t remainder;
  const uint32_t quotient = (uint32_t)divide(dividend, divisor, &remainder);
  return remainder << 32 | quotient;
}

/* The quotient in r0 and r1, the remainder in r2 and r3, where a vector of 128 bits is returned. */
typedef uint64_t quotient_and_remainder __attribute__((vector_size(16)));

quotient_and_remainder __aeabi_uldivmod(uint64_t dividend, uint64_t divisor);

quotient_and_remainder __aeabi_uldivmod(uint64_t dividend, uint64_t divisor) {
  uint64_t remainder;
  const uint64_t quotient = divide(dividend, divisor, &remainder);
  return (quotient_and_remainder){quotient, remainder};
}
