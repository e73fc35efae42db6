"""The plain feed-forward network, to measure what the SLFN is worth."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.activations import ACTIVATIONS, EXACT
from beex_keras.layers.grid import CHANNEL_BITS, on_grid
from beex_keras.layers.linear import BinaryLinear
from beex_keras.layers.parts import build_part
from beex_keras.layers.recorded import RecordedLayer
from beex_keras.precision import WEIGHTS_ONLY, Precision


@tf.keras.utils.register_keras_serializable("beex_keras")
class FeedForwardNetwork(RecordedLayer):
    r"""\(\mathrm{FFN}(x) = W_2\,\mathrm{GELU}(W_1 x)\), a transformer's usual second half of a block.

    The GELU is its approximation by a tanh, which every engine has. The inner width is
    2·`hidden_width`, so that the matrices hold as many weights as the SLFN's. In fully binary mode
    \(W_2\) reads signs, and the binarization is itself the non-linearity, with the bias of \(W_1\)
    as its threshold. With 8-bit activations the GELU is the exact one, and the output lies on a grid
    (see `beex_keras.layers.grid`).

    Shapes: (B, T, D) → (B, T, D). Weights: 4·D·`hidden_width` latent, 2·`hidden_width` + D biases
    and as many scales if binary. Tokens do not mix, so padding needs no mask.

    Source: Vaswani et al., NeurIPS 2017, with the GELU of BERT; for comparison with the paper's
    SLFN.

    Example:
        >>> beex.layers.FeedForwardNetwork(width=8, hidden_width=16)(tf.ones((1, 5, 8))).shape.as_list()
        [1, 5, 8]
    """

    def __init__(
        self, width: int, hidden_width: int, precision: Precision = WEIGHTS_ONLY, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.is_fully_binary, self.is_exact = precision.is_fully_binary, precision.is_exact
        self.up = BinaryLinear(2 * hidden_width, precision, name="up")
        self.down = BinaryLinear(width, precision, name="down")

    def build(self, input_shape: tf.TensorShape) -> None:
        build_part(self.up, None, None, input_shape[-1])
        build_part(self.down, None, None, self.up.units)
        super().build(input_shape)

    def linears(self) -> dict[str, BinaryLinear]:
        """The matrices by name."""
        return {layer.name: layer for layer in (self.up, self.down)}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        hidden = self.up(inputs)
        if self.is_fully_binary:
            return self.down(hidden)
        if not self.is_exact:
            return self.down(ACTIVATIONS["gelu"](hidden))
        return on_grid(self.down(EXACT["gelu"](hidden)), CHANNEL_BITS)
