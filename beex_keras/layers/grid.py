"""Numbers on a power-of-two grid: float32 arithmetic that is the same in every engine.

A sign amplifies rounding: two engines whose sums differ in the last bit disagree by a whole weight
wherever such a sum happens to lie at zero, and in a fully binary model some texts meet one. So does
the rounding to 8 bits, by a whole step. So where activations have 1 or 8 bits, every number that is
added up is kept on a grid that is coarse enough for float32 to add without rounding, in whatever
order; what remains (single products, divisions, square roots) IEEE 754 rounds correctly everywhere.
Training sees the same numbers, with the gradient passing straight through.
"""

from beex_keras.backend import tf

CHANNEL_BITS = 12
"""Scales, biases and the values between layers are multiples of 2^-12."""

ATTENTION_BITS = 6
"""Queries, keys and values: their products are multiples of 2^-12 then."""

VALUE_BITS = 4
"""Values where 8 bits go on with them: unlike signs, those need the sum of many large ones to be exact."""

WEIGHT_BITS = 10
"""Attention weights before they are normalized."""

POSITION_BITS = 16
"""Positions, in every kind of model: so a file can hold them as 16-bit integers without loss."""

SQUARE_BITS = 8
"""Squares in a variance."""

SUM_BITS = 8
"""Terms of a mean, where 8 bits go on with it: large ones too have an exact sum."""


def on_grid(x: tf.Tensor, bits: int) -> tf.Tensor:
    r"""\(2^{-b}\operatorname{round}(2^b x)\), with the gradient of the identity."""

    @tf.custom_gradient
    def rounded(x: tf.Tensor) -> tf.Tensor:
        return tf.round(x * 2.0**bits) * 2.0**-bits, lambda dy: dy

    return rounded(tf.convert_to_tensor(x))


@tf.custom_gradient
def apart(x: tf.Tensor) -> tf.Tensor:
    """`x`, which TensorFlow does not merge into what follows.

    Its graph optimizer takes a product of three factors, or a sum of three terms, in another order, and
    the last bit is another one then. It knows nothing of min(x, ∞), which an exported file leaves out.
    """
    return tf.minimum(x, float("inf")), lambda dy: dy
