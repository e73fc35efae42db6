"""Dropout whose random state can be saved and restored."""

import random
from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.base import BaseLayer


@tf.keras.utils.register_keras_serializable("beex_keras")
class Dropout(BaseLayer):
    """Zeroes a share `rate` of the inputs in training and scales the rest by 1 / (1 − `rate`).

    Unlike Keras' own layer, it keeps its random generator in a `tf.train.Checkpoint`, so an interrupted training
    continues with the same masks.

    Args:
        rate: share in [0, 1).
        seed: of the generator; drawn from Python's `random` if None, so that
            `tf.keras.utils.set_random_seed` fixes it.

    Example:
        >>> beex.layers.Dropout(0.5)(tf.ones(3), training=False).numpy()
        array([1., 1., 1.], dtype=float32)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed

    def build(self, input_shape: tf.TensorShape) -> None:
        seed = random.randrange(2**31) if self.seed is None else self.seed
        # Lifted out of any graph under construction: the state is a variable of its own.
        with tf.init_scope():
            self.generator = tf.random.Generator.from_seed(seed, alg="philox")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        return tf.where(self._keep(tf.shape(inputs)), inputs / (1.0 - self.rate), 0.0)

    def _keep(self, shape: tf.Tensor) -> tf.Tensor:
        """True with probability 1 − `rate`, of that shape."""
        return self.generator.uniform(shape) >= self.rate


@tf.keras.utils.register_keras_serializable("beex_keras")
class TokenDropout(Dropout):
    """Zeroes the whole vector of a share `rate` of the tokens in training, and scales nothing.

    Shapes: (B, T, D) → (B, T, D).

    Example:
        >>> tokens = beex.layers.TokenDropout(0.5, seed=1)(tf.ones((1, 6, 2)), training=True)
        >>> bool(tf.reduce_all(tokens[..., 0] == tokens[..., 1]))
        True
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if not training or self.rate == 0:
            return inputs
        kept = self._keep(tf.shape(inputs)[:2])
        return inputs * tf.cast(kept, inputs.dtype)[:, :, tf.newaxis]
