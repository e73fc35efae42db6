"""The auxiliary classifier behind each block."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.dropout import Dropout
from beex_keras.layers.parts import ModelPart, build_part


@tf.keras.utils.register_keras_serializable("beex_keras")
class ExitHead(ModelPart):
    r"""Mean of the real tokens, then a real-valued linear layer: (B, T, D) → logits (B, C).

    Masking: `padding_mask` (B, T), true at real tokens; padded rows take no part in the mean, so
    they never change a logit. A row without any real token pools to zero.

    Weights: D·C + C.

    Example:
        >>> beex.layers.ExitHead(num_classes=3)(tf.ones((1, 5, 8))).shape.as_list()
        [1, 3]
    """

    def __init__(self, num_classes: int, dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropout = Dropout(dropout, name="dropout")
        self.dense = tf.keras.layers.Dense(num_classes, name="logits")

    def build(self, input_shape: tf.TensorShape) -> None:
        for part in (self.dropout, self.dense):
            build_part(part, None, input_shape[-1])
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([input_shape[0], self.dense.units])

    def call(
        self, inputs: tf.Tensor, padding_mask: tf.Tensor | None = None, training: bool | None = None
    ) -> tf.Tensor:
        if padding_mask is None:
            pooled = tf.reduce_mean(inputs, axis=1)
        else:
            real = tf.expand_dims(tf.cast(padding_mask, inputs.dtype), -1)
            count = tf.maximum(tf.reduce_sum(real, axis=1), 1.0)
            pooled = tf.reduce_sum(inputs * real, axis=1) / count
        return self.dense(self.dropout(pooled, training=training))
