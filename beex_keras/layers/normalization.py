"""Layer normalization in the few ops that every engine has."""

from typing import Any

import tensorflow as tf


@tf.keras.utils.register_keras_serializable("beex_keras")
class LayerNorm(tf.keras.layers.Layer):
    r"""\(y = \gamma \odot (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta\) over the last axis.

    Same values as `tf.keras.layers.LayerNormalization`, but not by way of a fused batch
    normalization, which would reach the exported file as a detour of reshapes.

    Shapes: (B, T, D) → (B, T, D). Weights: 2·D. Tokens do not mix, so padding needs no mask.
    """

    def __init__(self, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tf.TensorShape) -> None:
        width = input_shape[-1]
        self.gamma = self.add_weight(name="gamma", shape=(width,), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(width,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(inputs, axis=-1, keepdims=True)
        centred = inputs - mean
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + self.epsilon) * self.gamma + self.beta

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
