"""Numbers on a power-of-two grid: float32 arithmetic that is the same in every engine.

A sign amplifies rounding: two engines whose sums differ in the last bit disagree by a whole weight
wherever such a sum happens to lie at zero, and in a fully binary model some texts meet one. So
there every number that leads to a sign is kept on a grid that is coarse enough for float32 to add
and multiply without rounding, in whatever order; what remains (division, square root) IEEE 754
rounds correctly everywhere. Training sees the same numbers, with the gradient passing straight
through.
"""

from beex_keras.backend import tf

CHANNEL_BITS = 12
"""Scales, biases and the values between layers are multiples of 2^-12."""

ATTENTION_BITS = 6
"""Queries, keys and values: their products are multiples of 2^-12 then."""

WEIGHT_BITS = 10
"""Attention weights before they are normalized."""

POSITION_BITS = 16
"""Positions, in every kind of model: so a file can hold them as 16-bit integers without loss."""

SQUARE_BITS = 8
"""Squares in a variance."""


def on_grid(x: tf.Tensor, bits: int) -> tf.Tensor:
    r"""\(2^{-b}\operatorname{round}(2^b x)\), with the gradient of the identity."""

    @tf.custom_gradient
    def rounded(x: tf.Tensor) -> tf.Tensor:
        return tf.round(x * 2.0**bits) * 2.0**-bits, lambda dy: dy

    return rounded(tf.convert_to_tensor(x))
