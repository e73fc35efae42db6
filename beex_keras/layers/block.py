"""One transformer block of the BEExformer."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.attention import MultiHeadAttention
from beex_keras.layers.dropout import Dropout
from beex_keras.layers.ffn import FeedForwardNetwork
from beex_keras.layers.grid import SQUARE_BITS
from beex_keras.layers.linear import BinaryLinear
from beex_keras.layers.normalization import LayerNorm
from beex_keras.layers.parts import ModelPart, build_part
from beex_keras.layers.slfn import SelectiveLearnForgetNetwork
from beex_keras.precision import WEIGHTS_ONLY, Precision


@tf.keras.utils.register_keras_serializable("beex_keras")
class BEExformerBlock(ModelPart):
    r"""Attention and the SLFN, each with a residual connection that is normalized after the sum.

    \[
    x \leftarrow \operatorname{LN}(x + \operatorname{Drop}(\operatorname{MHA}(x))), \qquad
    x \leftarrow \operatorname{LN}(x + \operatorname{Drop}(\operatorname{SLFN}(x)))
    \]

    Masking: as `MultiHeadAttention`. Shapes: (B, T, D) → (B, T, D). Weights: those of the two
    networks and 4·D of the normalizations. With ``network="ffn"`` a plain `FeedForwardNetwork` of as
    many weights stands in the SLFN's place, under its own name.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        norm = precision.is_exact, None, 0 if precision.activations == 8 else SQUARE_BITS
        self.attention = MultiHeadAttention(width, num_heads, precision, name="attention")
        self.attention_dropout = Dropout(dropout, name="attention_dropout")
        self.attention_norm = LayerNorm(*norm, name="attention_norm")
        # Each under its own name, by which saved weights are found again.
        if network == "slfn":
            activations = gate_activation, content_activation
            self.slfn = SelectiveLearnForgetNetwork(
                width, hidden_width, *activations, precision, gate_width, name="slfn"
            )
        else:
            self.ffn = FeedForwardNetwork(width, hidden_width, precision, name="ffn")
        self.slfn_dropout = Dropout(dropout, name="slfn_dropout")
        self.slfn_norm = LayerNorm(*norm, name="slfn_norm")

    def build(self, input_shape: tf.TensorShape) -> None:
        # In the order of `call`, in which random weights and the seeds of dropout are drawn.
        attention = self.attention, self.attention_dropout, self.attention_norm
        for part in (*attention, self.network(), self.slfn_dropout, self.slfn_norm):
            build_part(part, *input_shape)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return input_shape

    def network(self) -> SelectiveLearnForgetNetwork | FeedForwardNetwork:
        """What stands behind attention.

        A method and not a property: Keras looks for weights to save in every attribute, and would
        find these under this name.
        """
        return self.slfn if hasattr(self, "slfn") else self.ffn

    def linears(self) -> dict[str, BinaryLinear]:
        """The matrices by name, such as "attention/query" and "slfn/gate_in"."""
        return {
            f"{part.name}/{name}": linear
            for part in (self.attention, self.network())
            for name, linear in part.linears().items()
        }

    def call(
        self, inputs: tf.Tensor, padding_mask: tf.Tensor | None = None, training: bool | None = None
    ) -> tf.Tensor:
        attended = self.attention(inputs, padding_mask=padding_mask)
        x = self.attention_norm(inputs + self.attention_dropout(attended, training=training))
        return self.slfn_norm(x + self.slfn_dropout(self.network()(x), training=training))
