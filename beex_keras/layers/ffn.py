"""The plain feed-forward network, to measure what the SLFN is worth."""

from typing import Any

import tensorflow as tf

from beex_keras.layers.linear import BinaryLinear


@tf.keras.utils.register_keras_serializable("beex_keras")
class FeedForwardNetwork(tf.keras.layers.Layer):
    r"""\(\mathrm{FFN}(x) = W_2\,\mathrm{GELU}(W_1 x)\), a transformer's usual second half of a block.

    The GELU is its approximation by a tanh, which every engine has. The inner width is
    2·`hidden_width`, so that the matrices hold as many weights as the SLFN's. In fully binary mode
    \(W_2\) reads signs, and the binarization is itself the non-linearity, with the bias of \(W_1\)
    as its threshold.

    Shapes: (B, T, D) → (B, T, D). Weights: 4·D·`hidden_width` latent, 2·`hidden_width` + D biases
    and as many scales if binary. Tokens do not mix, so padding needs no mask.

    Source: Vaswani et al., NeurIPS 2017, with the GELU of BERT; for comparison with the paper's
    SLFN.

    Example:
        >>> beex.layers.FeedForwardNetwork(width=8, hidden_width=16)(tf.ones((1, 5, 8))).shape.as_list()
        [1, 5, 8]
    """

    def __init__(
        self,
        width: int,
        hidden_width: int,
        weight_bits: int = 1,
        activation_bits: int = 32,
        quantizer: str = "polynomial_sign",
        latent_scale: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.hidden_width = hidden_width
        linear = (weight_bits, activation_bits, quantizer, latent_scale)
        self.up = BinaryLinear(2 * hidden_width, *linear, name="up")
        self.down = BinaryLinear(width, *linear, name="down")

    def linears(self) -> dict[str, BinaryLinear]:
        """The matrices by name."""
        return {layer.name: layer for layer in (self.up, self.down)}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        hidden = self.up(inputs)
        if self.up.activation_bits == 32:
            hidden = tf.nn.gelu(hidden, approximate=True)
        return self.down(hidden)

    def get_config(self) -> dict[str, Any]:
        linear = self.up
        return {
            **super().get_config(),
            "width": self.width,
            "hidden_width": self.hidden_width,
            "weight_bits": linear.weight_bits,
            "activation_bits": linear.activation_bits,
            "quantizer": linear.quantizer,
            "latent_scale": linear.latent_scale,
        }
