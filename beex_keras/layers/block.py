"""One transformer block of the BEExformer, and the exit behind it."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.attention import MultiHeadAttention
from beex_keras.layers.base import BaseLayer, build_sublayer
from beex_keras.layers.dropout import Dropout
from beex_keras.layers.feed_forward import FeedForwardNetwork, SelectiveLearnForgetNetwork
from beex_keras.layers.fixed_point import SQUARE_BITS
from beex_keras.layers.linear import BinaryLinear
from beex_keras.layers.normalization import LayerNorm
from beex_keras.precision import WEIGHTS_ONLY, Precision


@tf.keras.utils.register_keras_serializable("beex_keras")
class BEExformerBlock(BaseLayer):
    r"""Attention and the SLFN, each with a residual connection that is normalized after the sum.

    \[
    x \leftarrow \operatorname{LN}(x + \operatorname{Drop}(\operatorname{MHA}(x))), \qquad
    x \leftarrow \operatorname{LN}(x + \operatorname{Drop}(\operatorname{SLFN}(x)))
    \]

    Masking: as `MultiHeadAttention`. Shapes: (B, T, D) → (B, T, D). Weights: those of the two
    networks and 4·D of the normalizations.

    Args:
        width: D.
        num_heads: number of heads of the attention.
        hidden_width, gate_activation, content_activation, gate_width: as in `SelectiveLearnForgetNetwork`.
        precision, matmul_dtype: of the matrices, as in `BinaryLinear`.
        dropout: dropout rate in [0, 1).
        network: "slfn", or "ffn" for a `FeedForwardNetwork` with as many weights.

    Source: post-normalization is our reading, after the first author's earlier SLFN code.

    Example:
        >>> layer = beex.layers.BEExformerBlock(width=8, num_heads=2, hidden_width=16)
        >>> layer(tf.ones((1, 5, 8)), padding_mask=tf.ones((1, 5), tf.bool)).shape.as_list()
        [1, 5, 8]
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        hidden_width: int,
        gate_activation: str | None = None,
        content_activation: str = "tanh",
        precision: Precision = WEIGHTS_ONLY,
        dropout: float = 0.1,
        network: str = "slfn",
        gate_width: int | None = None,
        matmul_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.num_heads = num_heads
        self.hidden_width = hidden_width
        self.gate_activation = gate_activation
        self.content_activation = content_activation
        self.precision = precision
        self.dropout = dropout
        self.network = network
        self.gate_width = gate_width
        self.matmul_dtype = matmul_dtype
        square_bits = 0 if precision.activations == 8 else SQUARE_BITS
        norm: dict[str, Any] = {"exact": precision.bit_exact, "square_bits": square_bits}
        matrices: dict[str, Any] = {"precision": precision, "matmul_dtype": matmul_dtype}
        self.attention = MultiHeadAttention(width, num_heads, **matrices, name="attention")
        self.attention_dropout = Dropout(dropout, name="attention_dropout")
        self.attention_norm = LayerNorm(**norm, name="attention_norm")
        # Each under its own name, by which saved weights are found again.
        if network == "slfn":
            self.slfn = SelectiveLearnForgetNetwork(
                width,
                hidden_width,
                gate_activation,
                content_activation,
                gate_width=gate_width,
                **matrices,
                name="slfn",
            )
        else:
            self.ffn = FeedForwardNetwork(width, hidden_width, **matrices, name="ffn")
        self.slfn_dropout = Dropout(dropout, name="slfn_dropout")
        self.slfn_norm = LayerNorm(**norm, name="slfn_norm")

    def build(self, input_shape: tf.TensorShape) -> None:
        # In the order of `call`, in which random weights and the seeds of dropout are drawn.
        for layer in (
            self.attention,
            self.attention_dropout,
            self.attention_norm,
            self.feed_forward(),
            self.slfn_dropout,
            self.slfn_norm,
        ):
            build_sublayer(layer, *input_shape)
        super().build(input_shape)

    def feed_forward(self) -> SelectiveLearnForgetNetwork | FeedForwardNetwork:
        """The network behind attention.

        A method and not a property: Keras saves the weights of every attribute, and would save these twice.
        """
        return self.slfn if self.network == "slfn" else self.ffn

    def linears(self) -> dict[str, BinaryLinear]:
        """The matrices by name, such as "attention/query" and "slfn/gate_in"."""
        return {
            f"{layer.name}/{name}": linear
            for layer in (self.attention, self.feed_forward())
            for name, linear in layer.linears().items()
        }

    def call(
        self,
        inputs: tf.Tensor,
        padding_mask: tf.Tensor | None = None,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        padding_mask = mask if padding_mask is None else padding_mask
        attended = self.attention(inputs, padding_mask=padding_mask)
        x = self.attention_norm(inputs + self.attention_dropout(attended, training=training))
        return self.slfn_norm(x + self.slfn_dropout(self.feed_forward()(x), training=training))


@tf.keras.utils.register_keras_serializable("beex_keras")
class ExitHead(BaseLayer):
    r"""Mean of the real tokens, then a real-valued linear layer: (B, T, D) → logits (B, C).

    Masking: `padding_mask` (B, T), true at real tokens; by default the mask that Keras propagates. Padded
    rows take no part in the mean, so they never change a logit. The mean of a row without real tokens is zero.

    Weights: D·C + C.

    Args:
        num_classes: C.
        dropout: dropout rate in [0, 1), applied to the mean.

    Example:
        >>> beex.layers.ExitHead(num_classes=3)(tf.ones((1, 5, 8))).shape.as_list()
        [1, 3]
    """

    def __init__(self, num_classes: int, dropout: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.dropout = Dropout(dropout, name="dropout")
        self.dense = tf.keras.layers.Dense(num_classes, name="logits")

    def build(self, input_shape: tf.TensorShape) -> None:
        for layer in (self.dropout, self.dense):
            build_sublayer(layer, None, input_shape[-1])
        super().build(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dropout": self.dropout.rate}

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([input_shape[0], self.num_classes])

    def compute_mask(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> None:
        return None  # logits have no tokens

    def call(
        self,
        inputs: tf.Tensor,
        padding_mask: tf.Tensor | None = None,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        padding_mask = mask if padding_mask is None else padding_mask
        if padding_mask is None:
            pooled = tf.reduce_mean(inputs, axis=1)
        else:
            real = tf.expand_dims(tf.cast(padding_mask, inputs.dtype), -1)
            count = tf.maximum(tf.reduce_sum(real, axis=1), 1.0)
            pooled = tf.reduce_sum(inputs * real, axis=1) / count
        return self.dense(self.dropout(pooled, training=training))
