"""What pre-training puts on an encoder to predict tokens, and throws away afterwards."""

import tensorflow as tf

from beex_keras.layers.embedding import BinaryTokenEmbedding
from beex_keras.layers.normalization import LayerNorm


class MaskedTokenHead(tf.keras.layers.Layer):
    r"""Logits of all tokens, \(E\,\operatorname{LN}(\operatorname{gelu}(W x + a)) + b\).

    \(E\) is the token table as the embedding uses it, \(\operatorname{sign}(E) \odot s\) if it is
    binary, and learns from here too; all else is real.

    Shapes: (n, D) → (n, V). Weights of its own: D² + 3·D + V.

    Args:
        token: the embedding's layer with the token table.

    Source: BERT's code; the paper has no pre-training.

    Example:
        >>> token = beex.layers.BinaryTokenEmbedding(vocabulary_size=10, width=4)
        >>> token.build((1, 3))
        >>> beex.layers.MaskedTokenHead(token)(tf.ones((2, 4))).shape.as_list()
        [2, 10]
    """

    def __init__(self, token: BinaryTokenEmbedding, name: str | None = None) -> None:
        super().__init__(name=name)
        self.token = token
        self.transform = tf.keras.layers.Dense(token.width, tf.nn.gelu, name="transform")
        self.normalization = LayerNorm(name="normalization")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.bias = self.add_weight(
            name="bias", shape=(self.token.vocabulary_size,), initializer="zeros"
        )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.token.products(self.normalization(self.transform(inputs))) + self.bias
