"""Layer normalization in the few operations that every engine has."""

import math
from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.base import BaseLayer
from beex_keras.layers.fixed_point import (
    CHANNEL_BITS,
    SQUARE_BITS,
    SUM_BITS,
    round_to_fixed_point,
)
from beex_keras.quantizers import largest_magnitude

_FLOOR, _EPSILON = 1e-6, 1e-5


@tf.keras.utils.register_keras_serializable("beex_keras")
class LayerNorm(BaseLayer):
    r"""\(y = \gamma \odot (x - \mu) / \sigma + \beta\) over the last axis.

    It computes \(\gamma \sqrt{D} \odot c / \lVert c \rVert + \beta\) with \(c = x - \mu\), which takes five
    operations in an exported file. The values equal those of `tf.keras.layers.LayerNormalization` up to its
    \(\epsilon\): here \(\lVert c \rVert\) is at least 1e-6, the floor of TensorFlow Lite's operation.

    With `exact`, fixed-point inputs give the same bits in every engine (see `beex_keras.layers.fixed_point`).

    Shapes: (B, T, D) → (B, T, D). Weights: 2·D. Tokens do not mix, so padding needs no mask.

    Args:
        exact: whether to round squares and outputs to fixed point; the inputs must be fixed-point numbers
            already, or become so by `input_bits`.
        input_bits: bits behind the point to which `exact` rounds the inputs first; None leaves the inputs.
        square_bits: bits behind the point to which `exact` rounds the squares. With 0 the inputs can have any
            size: the mean has exact sums, and \(c\) is scaled so that the sum of its rounded squares is exact.

    Example:
        >>> beex.layers.LayerNorm()(tf.constant([[[1.0, 3.0]]])).numpy().round(3)
        array([[[-1.,  1.]]], dtype=float32)
    """

    def __init__(
        self,
        exact: bool = False,
        input_bits: int | None = None,
        square_bits: int = SQUARE_BITS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.exact = exact
        self.input_bits = input_bits
        self.square_bits = square_bits

    def build(self, input_shape: tf.TensorShape) -> None:
        width = input_shape[-1]
        self.gamma = self.add_weight(name="gamma", shape=(width,), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(width,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.exact:
            return self._bit_exact(inputs)
        centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        gain = self.gamma * inputs.shape[-1] ** 0.5
        return tf.math.l2_normalize(centred, axis=-1) * gain + self.beta

    def _bit_exact(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.input_bits is not None:
            inputs = round_to_fixed_point(inputs, self.input_bits)
        share, terms = 1.0 / inputs.shape[-1], inputs
        if not self.square_bits and self.input_bits is None:
            terms = round_to_fixed_point(inputs, SUM_BITS)
        centred = inputs - tf.reduce_sum(terms, axis=-1, keepdims=True) * share
        if not self.square_bits:
            # The largest magnitude of which float32 adds D whole squares without loss.
            most = math.isqrt((2**24 - 1) // inputs.shape[-1])
            centred = centred * (float(most) / tf.maximum(largest_magnitude(centred), 1e-30))
        squares = round_to_fixed_point(centred * centred, self.square_bits)
        variance = tf.reduce_sum(squares, axis=-1, keepdims=True) * share
        # A division and not a product with rsqrt, which no standard rounds; the addition keeps
        # TensorFlow's optimizer from turning the two into one.
        normal = centred / (tf.sqrt(variance + _EPSILON) + _FLOOR)
        return round_to_fixed_point(normal * self.gamma + self.beta, CHANNEL_BITS)
