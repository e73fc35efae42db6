r"""Fixed-point numbers: float32 arithmetic that gives the same bits in every engine.

A sign amplifies rounding errors: where a sum is nearly zero, two engines whose sums differ in the last bit
disagree by a whole weight. Rounding to 8 bits amplifies them likewise, by a whole step. So with activations
of 1 or 8 bits, all terms of a sum are multiples of a power of two that is large enough for float32 to add them
without rounding, in any order. The other operations (single products, divisions, square roots) are rounded
alike everywhere, by IEEE 754. Training rounds the same numbers and passes the gradient straight through.

Each constant gives the number \(b\) of bits behind the point: a value is a multiple of \(2^{-b}\).
"""

from beex_keras.backend import tf

CHANNEL_BITS = 12
"""Scales, biases and the values between layers."""

ATTENTION_BITS = 6
"""Queries, keys and values. Their products are multiples of 2^-12."""

VALUE_BITS = 4
"""Values with 8-bit activations, which need an exact sum of many large ones."""

WEIGHT_BITS = 10
"""Attention weights before they are normalized."""

POSITION_BITS = 16
"""Positions of every model, so that a file holds them as 16-bit integers without loss."""

SQUARE_BITS = 8
"""Squares in a variance."""

SUM_BITS = 8
"""Terms of a mean with 8-bit activations, so that large ones have an exact sum, too."""


def round_to_fixed_point(x: tf.Tensor, bits: int) -> tf.Tensor:
    r"""\(2^{-b}\operatorname{round}(2^b x)\), with the gradient of the identity."""

    @tf.custom_gradient
    def rounded(x: tf.Tensor) -> tf.Tensor:
        return tf.round(x * 2.0**bits) * 2.0**-bits, lambda dy: dy

    return rounded(tf.convert_to_tensor(x))


@tf.custom_gradient
def optimization_barrier(x: tf.Tensor) -> tf.Tensor:
    """`x`, across which TensorFlow's graph optimizer reorders nothing.

    The optimizer reorders products of three factors and sums of three terms, which changes the last bit. It does
    not simplify min(x, ∞). An exported file leaves the operation out.
    """
    return tf.minimum(x, float("inf")), lambda dy: dy
