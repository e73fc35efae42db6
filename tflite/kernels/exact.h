/* Makes the compiler keep to IEEE 754 whatever the build's flags: a product is rounded before it is
 * added to something. Every source that computes with floats includes this first, in front of
 * intrinsics; the public header does not, since a user's own code is none of its business.
 *
 * GCC contracts unless it is asked for ISO C, Clang within an expression. With these lines both write
 * the code of -ffp-contract=off. What they cannot undo, such as Clang's -ffp-contract=fast, or a
 * processor that flushes small numbers to zero, beex_self_test tells.
 */
#ifndef BEEX_EXACT_H
#define BEEX_EXACT_H

#include <float.h>

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || defined(_M_FP_FAST)
#error "The engine's results are defined to the last bit: build it without -ffast-math and its parts."
#endif

/* 16 is about floats of 16 bits, of which there are none here. */
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "The engine needs float arithmetic without excess precision: add -msse2 -mfpmath=sse on 32-bit x86."
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER) && !defined(__clang__)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif

#endif
