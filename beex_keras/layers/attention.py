"""Multi-head self-attention with binarized projections."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.layers.base import BaseLayer, build_sublayer
from beex_keras.layers.fixed_point import (
    ATTENTION_BITS,
    CHANNEL_BITS,
    VALUE_BITS,
    WEIGHT_BITS,
    round_to_fixed_point,
)
from beex_keras.layers.linear import BinaryLinear
from beex_keras.precision import WEIGHTS_ONLY, Precision

_MASKED = -1e9


def power_weights(scores: tf.Tensor) -> tf.Tensor:
    r"""\(\max(0, 1 + z/64)^{64}\) in fixed point, with \(z\) the scores less their maximum: (..., T).

    It approaches \(e^z\) by operations that every engine rounds alike. The exponentials of two libraries differ.
    The weights are not normalized. Source: our reading.
    """
    power = _power(scores - tf.reduce_max(scores, axis=-1, keepdims=True))
    return round_to_fixed_point(power, WEIGHT_BITS)


@tf.custom_gradient
def _power(z: tf.Tensor) -> tf.Tensor:
    base = tf.maximum(z * (1 / 64) + 1.0, 0.0)
    power = base
    for _ in range(6):
        power = power * power

    def grad(dy: tf.Tensor) -> tf.Tensor:
        return dy * tf.math.divide_no_nan(power, base)

    return power, grad


@tf.keras.utils.register_keras_serializable("beex_keras")
class MultiHeadAttention(BaseLayer):
    r"""\(\operatorname{softmax}(QK^\top / \sqrt{d})\,V\) in `num_heads` heads, then the output map.

    The four projections are `BinaryLinear`; scores and softmax are real. With activations of 1 or 8
    bits queries, keys and values are fixed-point numbers, and `power_weights` takes the place of the softmax's
    exponential, so that all engines find the same context (see `beex_keras.layers.fixed_point`).

    Masking: `padding_mask` (B, T), true at real tokens; by default the mask that Keras propagates, such as that of
    `tf.keras.layers.Embedding(mask_zero=True)`. A padded token gets no attention from any
    token, so it never changes a real token's output; its own output row is meaningless.

    Shapes: (B, T, D) → (B, T, D), D a multiple of `num_heads`. Weights: 4·D² latent, 4·D biases
    and, if binary, 4·D scales.

    Args:
        width: D.
        num_heads: number of heads.
        precision, matmul_dtype: of the projections, as in `BinaryLinear`.

    Raises:
        BeexError: D is not a multiple of `num_heads`.

    Example:
        >>> layer = beex.layers.MultiHeadAttention(width=8, num_heads=2)
        >>> layer(tf.ones((1, 5, 8)), padding_mask=tf.ones((1, 5), tf.bool)).shape.as_list()
        [1, 5, 8]
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        precision: Precision = WEIGHTS_ONLY,
        matmul_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if width % num_heads:
            raise BeexError(f"width={width} must be a multiple of num_heads={num_heads}.")
        self.width = width
        self.num_heads = num_heads
        self.precision = precision
        self.matmul_dtype = matmul_dtype
        self.query = BinaryLinear(width, precision, matmul_dtype, name="query")
        self.key = BinaryLinear(width, precision, matmul_dtype, name="key")
        self.value = BinaryLinear(width, precision, matmul_dtype, name="value")
        self.project = BinaryLinear(width, precision, matmul_dtype, name="output")

    def build(self, input_shape: tf.TensorShape) -> None:
        for linear in self.linears().values():
            build_sublayer(linear, None, None, self.width)
        super().build(input_shape)

    def linears(self) -> dict[str, BinaryLinear]:
        """The projections by name."""
        return {layer.name: layer for layer in (self.query, self.key, self.value, self.project)}

    def call(
        self,
        inputs: tf.Tensor,
        padding_mask: tf.Tensor | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        padding_mask = mask if padding_mask is None else padding_mask
        query, key, value = self.query(inputs), self.key(inputs), self.value(inputs)
        scale = (self.width // self.num_heads) ** -0.5
        has_8_bits = self.precision.activations == 8
        if self.precision.bit_exact:
            query = round_to_fixed_point(query, ATTENTION_BITS)
            key = round_to_fixed_point(key, ATTENTION_BITS)
            value = round_to_fixed_point(value, VALUE_BITS if has_8_bits else ATTENTION_BITS)
            scores = self._scores(query, key) * scale
        else:
            # Scaling the query costs T·D multiplications, scaling the scores T²·H.
            scores = self._scores(query * scale, key)
        if padding_mask is not None:
            hidden = 1.0 - tf.cast(padding_mask, scores.dtype)
            scores = scores + tf.expand_dims(tf.expand_dims(hidden * _MASKED, 1), 1)
        if self.precision.bit_exact:
            weights = power_weights(scores)
            total = tf.reduce_sum(weights, axis=-1, keepdims=True)
            context = self._context(weights, value) / total
        else:
            context = self._context(tf.nn.softmax(scores), value)
        output = self.project(self._merge(context))
        # The outputs of a fully binary layer are fixed-point numbers already.
        return round_to_fixed_point(output, CHANNEL_BITS) if has_8_bits else output

    def _scores(self, query: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """(B, H, T, T)"""
        return tf.matmul(self._split(query), self._split(key), transpose_b=True, name="scores")

    def _context(self, weights: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        """(B, H, T, D/H)"""
        return tf.matmul(weights, self._split(value), name="context")

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        """(B, T, D) → (B, H, T, D/H)"""
        shape = tf.shape(x)
        heads = shape[0], shape[1], self.num_heads, self.width // self.num_heads
        return tf.transpose(tf.reshape(x, heads), (0, 2, 1, 3))

    def _merge(self, x: tf.Tensor) -> tf.Tensor:
        """(B, H, T, D/H) → (B, T, D)"""
        shape = tf.shape(x)
        return tf.reshape(tf.transpose(x, (0, 2, 1, 3)), (shape[0], shape[2], self.width))
