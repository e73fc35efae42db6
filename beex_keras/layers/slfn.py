"""The Selective Learn-Forget Network, which takes the place of a transformer's feed-forward net."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.layers.activations import ACTIVATIONS, EXACT
from beex_keras.layers.grid import CHANNEL_BITS, on_grid
from beex_keras.layers.linear import BinaryLinear
from beex_keras.layers.parts import build_part
from beex_keras.layers.recorded import RecordedLayer
from beex_keras.precision import WEIGHTS_ONLY, Precision

GATE_ACTIVATIONS = (None, "sigmoid")
CONTENT_ACTIVATIONS = ("tanh", "gelu")


@tf.keras.utils.register_keras_serializable("beex_keras")
class SelectiveLearnForgetNetwork(RecordedLayer):
    r"""\(\mathrm{gate} \odot \mathrm{content}\), a gate that selects what to learn and what to forget.

    \[
    \mathrm{gate} = g(W_{2g}\,\sigma(W_{1g} x)), \qquad \mathrm{content} = W_{2c}\,h(W_{1c} x)
    \]

    \(g\) is the identity or, by option, a sigmoid, which makes it a true forget gate (our reading).
    \(h\) is the tanh or, by option, the GELU in its approximation by a tanh: then a gate of 1 makes
    the network the feed-forward net of a BERT-style encoder, from which it can start.

    In fully binary mode \(W_{2\cdot}\) reads signs, and \(\operatorname{sign}(\tanh z) =
    \operatorname{sign}(\sigma(z) - \tfrac12) = \operatorname{sign}(z)\) (without the ½ a binarized
    sigmoid would be constant). The binarization is then itself the hidden non-linearity, whichever
    \(h\) is, and its threshold is the bias of \(W_{1\cdot}\): nothing else is computed, in training
    or on a device. The output lies on a grid (see `beex_keras.layers.grid`), for which \(g\) is the
    piecewise linear sigmoid \(\min(\max(z/4 + \tfrac12, 0), 1)\).

    With 8-bit activations \(\sigma\), \(h\) and \(g\) are rational functions near the usual ones (see
    `beex_keras.layers.activations`), and the output lies on the grid.

    Shapes: (B, T, D) → (B, T, D). Weights: 2·D·(`hidden_width` + `gate_width`) latent, `hidden_width` +
    `gate_width` + 2·D biases and as many scales if binary. The paper's two widths are equal, as they are if
    `gate_width` is None; a different width of the gate is our reading. Tokens do not mix, so padding needs
    no mask.

    Raises:
        BeexError: there is no such activation of gate or content.

    Source: the equations of the first author's earlier SLFN work.

    Example:
        >>> layer = beex.layers.SelectiveLearnForgetNetwork(width=8, hidden_width=16)
        >>> layer(tf.ones((1, 5, 8))).shape.as_list()
        [1, 5, 8]
    """

    def __init__(
        self,
        width: int,
        hidden_width: int,
        gate_activation: str | None = None,
        content_activation: str = "tanh",
        precision: Precision = WEIGHTS_ONLY,
        gate_width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if gate_activation not in GATE_ACTIVATIONS:
            raise BeexError(f"gate_activation={gate_activation!r} must be None or 'sigmoid'.")
        if content_activation not in CONTENT_ACTIVATIONS:
            raise BeexError(f"content_activation={content_activation!r} must be 'tanh' or 'gelu'.")
        self.hidden_width = hidden_width
        self.is_fully_binary, self.is_exact = precision.is_fully_binary, precision.is_exact
        self.gate_activation = gate_activation
        self.content_activation = content_activation
        self.gate_in = BinaryLinear(gate_width or hidden_width, precision, name="gate_in")
        self.gate_out = BinaryLinear(width, precision, name="gate_out")
        self.content_in = BinaryLinear(hidden_width, precision, name="content_in")
        self.content_out = BinaryLinear(width, precision, name="content_out")

    def build(self, input_shape: tf.TensorShape) -> None:
        build_part(self.gate_in, None, None, input_shape[-1])
        build_part(self.content_in, None, None, input_shape[-1])
        build_part(self.gate_out, None, None, self.gate_in.units)
        build_part(self.content_out, None, None, self.content_in.units)
        super().build(input_shape)

    def linears(self) -> dict[str, BinaryLinear]:
        """The matrices by name."""
        layers = self.gate_in, self.gate_out, self.content_in, self.content_out
        return {layer.name: layer for layer in layers}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        gate, content = self.gate_in(inputs), self.content_in(inputs)
        if self.is_fully_binary:
            gate, content = self.gate_out(gate), self.content_out(content)
            if self.gate_activation == "sigmoid":
                gate = tf.clip_by_value(0.25 * gate + 0.5, 0.0, 1.0)
            return on_grid(gate * content, CHANNEL_BITS)
        known = EXACT if self.is_exact else ACTIVATIONS
        gate, content = known["sigmoid"](gate), known[self.content_activation](content)
        gate, content = self.gate_out(gate), self.content_out(content)
        output = known[self.gate_activation](gate) * content
        return on_grid(output, CHANNEL_BITS) if self.is_exact else output
