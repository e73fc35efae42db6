/* Bits as Larq Compute Engine's files hold them, for ops that read weights where they lie.
 *
 * Rows of 32-bit words, as many as hold the row's signs. Bit i of word w is 1 where value 32 w + i is
 * negative; bits behind the last value are 0. The panels of kernels.h are faster where weights may be
 * packed anew; these functions need no memory for that.
 */
#ifndef BEEX_LCE_H
#define BEEX_LCE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For each row of weights, `stride` words apart: how many of its signs differ from those of x, added
 * to `different` [rows]. x may be null, for signs that are all positive. */
void beex_count_differences(size_t rows, size_t words, const uint32_t *x, const uint32_t *weights,
                            size_t stride, uint32_t *different);

/* y = x . w + bias: float [rows][inputs] times +-1 [outputs][inputs] -> float [rows][outputs]; bias may
 * be null. A sum runs over its inputs in their order, as in `real_linear`. */
void beex_multiply_signs(size_t rows, size_t inputs, size_t outputs, const float *x,
                         const uint32_t *weights, const float *bias, float *y);

#ifdef __cplusplus
}
#endif

#endif
