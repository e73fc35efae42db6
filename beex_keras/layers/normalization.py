"""Layer normalization in the few ops that every engine has."""

import math
from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.grid import CHANNEL_BITS, SQUARE_BITS, SUM_BITS, on_grid
from beex_keras.layers.recorded import RecordedLayer
from beex_keras.quantizers import largest_magnitude


def _factor(centred: tf.Tensor) -> tf.Tensor:
    """What scales rows (..., D) to the largest magnitude whose squares have an exact sum: (..., 1)."""
    most = math.isqrt((2**24 - 1) // centred.shape[-1])
    return float(most) / tf.maximum(largest_magnitude(centred), 1e-30)


@tf.keras.utils.register_keras_serializable("beex_keras")
class LayerNorm(RecordedLayer):
    r"""\(y = \gamma \odot (x - \mu) / \sigma + \beta\) over the last axis.

    Computed as \(\gamma \sqrt{D} \odot c / \lVert c \rVert + \beta\) with \(c = x - \mu\), which
    the exported file does in five ops. Same values as `tf.keras.layers.LayerNormalization` up to its
    \(\epsilon\): here \(\lVert c \rVert\) is at least 1e-6, the floor of TensorFlow Lite's op.

    With `exact`, the squares and the outputs lie on a grid, so that equal inputs on a grid give equal
    outputs in every engine (see `beex_keras.layers.grid`). With `square_bits` 0 large numbers keep exact
    sums too: the mean is that of inputs on a coarser grid, and \(c\) is scaled to a largest magnitude
    of which float32 adds the squares, rounded to whole numbers, without loss.

    Shapes: (B, T, D) → (B, T, D). Weights: 2·D. Tokens do not mix, so padding needs no mask.

    Args:
        exact: compute on a grid; the inputs must lie on one, or be put on one by `input_bits`.
        input_bits: the grid that inputs are put on first, if `exact`; None leaves them.
        square_bits: the grid of the squares, if `exact`; finer for smaller inputs, 0 for those of any size.

    Example:
        >>> beex.layers.LayerNorm()(tf.constant([[[1.0, 3.0]]])).numpy().round(3)
        array([[[-1.,  1.]]], dtype=float32)
    """

    _FLOOR, _EPSILON = 1e-6, 1e-5

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
            return self._on_grid(inputs)
        centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        gain = self.gamma * inputs.shape[-1] ** 0.5
        return tf.math.l2_normalize(centred, axis=-1) * gain + self.beta

    def _on_grid(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.input_bits is not None:
            inputs = on_grid(inputs, self.input_bits)
        share, terms = 1.0 / inputs.shape[-1], inputs
        if not self.square_bits and self.input_bits is None:
            terms = on_grid(inputs, SUM_BITS)
        centred = inputs - tf.reduce_sum(terms, axis=-1, keepdims=True) * share
        if not self.square_bits:
            centred = centred * _factor(centred)
        squares = on_grid(centred * centred, self.square_bits)
        variance = tf.reduce_sum(squares, axis=-1, keepdims=True) * share
        # A division and not a product with rsqrt, which no standard rounds; the addition keeps
        # TensorFlow's optimizer from turning the two into one.
        normal = centred / (tf.sqrt(variance + self._EPSILON) + self._FLOOR)
        return on_grid(normal * self.gamma + self.beta, CHANNEL_BITS)
