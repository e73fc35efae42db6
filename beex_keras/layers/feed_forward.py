r"""The network behind attention: the SLFN, or a plain feed-forward network, and their activations.

Each activation has two forms. The usual form is TensorFlow's, and no two engines agree on its last bit. The
bit-exact form takes only operations that IEEE 754 rounds alike everywhere, in one order. It is an odd rational
function,

\[
R(x) = v\,\frac{(p_2 w + p_1) w + p_0}{(w + q_1) w + q_0}, \qquad
v = \max(\min(x, l), -l), \quad w = v^2
\]

whose coefficients were fitted for the least largest error. Source: our reading.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.layers.base import BaseLayer, build_sublayer
from beex_keras.layers.fixed_point import CHANNEL_BITS, round_to_fixed_point
from beex_keras.layers.linear import BinaryLinear
from beex_keras.precision import WEIGHTS_ONLY, Precision

Activation = Callable[[tf.Tensor], tf.Tensor]

ACTIVATIONS: dict[str | None, Activation] = {
    None: tf.identity,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    # Its approximation by a tanh, which every engine has.
    "gelu": lambda z: tf.nn.gelu(z, approximate=True),
}
"""The usual activations, by the names that a configuration gives them."""


class Rational(NamedTuple):
    """The limit and the coefficients of R, from the highest power on."""

    limit: float
    above: tuple[float, float, float]
    below: tuple[float, float]

    def limited(self, x: tf.Tensor) -> tf.Tensor:
        """v, x within the limits."""
        return tf.clip_by_value(x, -self.limit, self.limit)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x = self.limited(x)
        square = x * x
        above = (square * self.above[0] + self.above[1]) * square + self.above[2]
        below = (square + self.below[0]) * square + self.below[1]
        return x * above / below


TANH = Rational(5.2, (0.0512717709, 8.10221300, 80.0058755), (34.7270648, 80.0230720))
"""Largest error 7e-5."""

HALF_TANH = Rational(10.4, (0.012817942725, 8.10221300, 320.023502), (138.9082592, 1280.369152))
"""tanh(x / 2) / 2."""

GELU_GATE = Rational(3.6, (0.10415323, 3.62817924, 16.62668386), (7.96977647, 20.85829458))
"""tanh(sqrt(2 / pi) (x + 0.044715 x^3)); largest error 2.4e-4, and of the GELU 1.2e-4 |x|."""


@tf.custom_gradient
def _sigmoid(x: tf.Tensor) -> tf.Tensor:
    y = HALF_TANH(x) + 0.5
    return y, lambda dy: dy * y * (1.0 - y)


@tf.custom_gradient
def _tanh(x: tf.Tensor) -> tf.Tensor:
    y = TANH(x)
    return y, lambda dy: dy * (1.0 - y * y)


@tf.custom_gradient
def _gelu(x: tf.Tensor) -> tf.Tensor:
    gate, half = GELU_GATE(x), 0.5 * x

    def grad(dy: tf.Tensor) -> tf.Tensor:
        limited = GELU_GATE.limited(x)  # beyond, the gate is constant
        slope = 0.3989422804 + 0.0535161122 * (limited * limited)
        return dy * (0.5 + 0.5 * gate + limited * (1.0 - gate * gate) * slope)

    return half * gate + half, grad


BIT_EXACT_ACTIVATIONS: dict[str | None, Activation] = {
    None: tf.identity,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "gelu": _gelu,
}
"""The bit-exact activations, by the same names."""

GATE_ACTIVATIONS = (None, "sigmoid")
CONTENT_ACTIVATIONS = ("tanh", "gelu")


@tf.keras.utils.register_keras_serializable("beex_keras")
class SelectiveLearnForgetNetwork(BaseLayer):
    r"""\(\mathrm{gate} \odot \mathrm{content}\), a gate that selects what to learn and what to forget.

    \[
    \mathrm{gate} = g(W_{2g}\,\sigma(W_{1g} x)), \qquad \mathrm{content} = W_{2c}\,h(W_{1c} x)
    \]

    \(g\) is the identity or, by option, a sigmoid, which makes it a true forget gate (our reading).
    \(h\) is the tanh or, by option, the GELU in its approximation by a tanh. With the GELU, a gate of 1 makes
    the network the feed-forward net of a BERT-style encoder, from which it can start.

    In fully binary mode \(W_{2\cdot}\) reads signs, and \(\operatorname{sign}(\tanh z) =
    \operatorname{sign}(\sigma(z) - \tfrac12) = \operatorname{sign}(z)\) (without the ½ a binarized
    sigmoid would be constant). So the binarization is itself the hidden non-linearity for either \(h\), with the
    bias of \(W_{1\cdot}\) as its threshold, and neither training nor a device computes another one. \(g\) is the
    piecewise linear sigmoid \(\min(\max(z/4 + \tfrac12, 0), 1)\).

    With 8-bit activations \(\sigma\), \(h\) and \(g\) are the bit-exact forms. With activations of 1 or 8 bits
    the outputs are fixed-point numbers (see `beex_keras.layers.fixed_point`).

    Shapes: (B, T, D) → (B, T, D). Weights: 2·D·(`hidden_width` + `gate_width`) latent, `hidden_width` +
    `gate_width` + 2·D biases and as many scales if binary. Tokens do not mix, so padding needs no mask.

    Args:
        width: D.
        hidden_width: hidden channels of the content.
        gate_activation: None or "sigmoid".
        content_activation: "tanh" or "gelu".
        precision, matmul_dtype: of the matrices, as in `BinaryLinear`.
        gate_width: hidden channels of the gate; `hidden_width` if None, as in the paper. Another width is our
            reading.

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
        matmul_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if gate_activation not in GATE_ACTIVATIONS:
            raise BeexError(f"gate_activation={gate_activation!r} must be None or 'sigmoid'.")
        if content_activation not in CONTENT_ACTIVATIONS:
            raise BeexError(f"content_activation={content_activation!r} must be 'tanh' or 'gelu'.")
        self.width = width
        self.hidden_width = hidden_width
        self.gate_activation = gate_activation
        self.content_activation = content_activation
        self.precision = precision
        self.gate_width = gate_width
        self.matmul_dtype = matmul_dtype
        gate = gate_width or hidden_width
        self.gate_in = BinaryLinear(gate, precision, matmul_dtype, name="gate_in")
        self.gate_out = BinaryLinear(width, precision, matmul_dtype, name="gate_out")
        self.content_in = BinaryLinear(hidden_width, precision, matmul_dtype, name="content_in")
        self.content_out = BinaryLinear(width, precision, matmul_dtype, name="content_out")

    def build(self, input_shape: tf.TensorShape) -> None:
        build_sublayer(self.gate_in, None, None, input_shape[-1])
        build_sublayer(self.content_in, None, None, input_shape[-1])
        build_sublayer(self.gate_out, None, None, self.gate_in.units)
        build_sublayer(self.content_out, None, None, self.content_in.units)
        super().build(input_shape)

    def linears(self) -> dict[str, BinaryLinear]:
        """The matrices by name."""
        layers = self.gate_in, self.gate_out, self.content_in, self.content_out
        return {layer.name: layer for layer in layers}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        gate, content = self.gate_in(inputs), self.content_in(inputs)
        if self.precision.is_fully_binary:
            gate, content = self.gate_out(gate), self.content_out(content)
            if self.gate_activation == "sigmoid":
                gate = tf.clip_by_value(0.25 * gate + 0.5, 0.0, 1.0)
            return round_to_fixed_point(gate * content, CHANNEL_BITS)
        bit_exact = self.precision.bit_exact
        activations = BIT_EXACT_ACTIVATIONS if bit_exact else ACTIVATIONS
        gate = activations["sigmoid"](gate)
        content = activations[self.content_activation](content)
        gate, content = self.gate_out(gate), self.content_out(content)
        output = activations[self.gate_activation](gate) * content
        return round_to_fixed_point(output, CHANNEL_BITS) if bit_exact else output


@tf.keras.utils.register_keras_serializable("beex_keras")
class FeedForwardNetwork(BaseLayer):
    r"""\(\mathrm{FFN}(x) = W_2\,\mathrm{GELU}(W_1 x)\), the usual network behind attention.

    It shows how much the SLFN is worth. The inner width is 2·`hidden_width`, so that the matrices hold as many
    weights as the SLFN's. The GELU is its approximation by a tanh, which every engine has, or with 8-bit
    activations the bit-exact form. In fully binary mode \(W_2\) reads signs, and the binarization is itself the
    non-linearity, with the bias of \(W_1\) as its threshold. With activations of 1 or 8 bits the outputs are
    fixed-point numbers (see `beex_keras.layers.fixed_point`).

    Shapes: (B, T, D) → (B, T, D). Weights: 4·D·`hidden_width` latent, 2·`hidden_width` + D biases
    and as many scales if binary. Tokens do not mix, so padding needs no mask.

    Args:
        width: D.
        hidden_width: half of the inner width.
        precision, matmul_dtype: of the matrices, as in `BinaryLinear`.

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
        precision: Precision = WEIGHTS_ONLY,
        matmul_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.hidden_width = hidden_width
        self.precision = precision
        self.matmul_dtype = matmul_dtype
        self.up = BinaryLinear(2 * hidden_width, precision, matmul_dtype, name="up")
        self.down = BinaryLinear(width, precision, matmul_dtype, name="down")

    def build(self, input_shape: tf.TensorShape) -> None:
        build_sublayer(self.up, None, None, input_shape[-1])
        build_sublayer(self.down, None, None, self.up.units)
        super().build(input_shape)

    def linears(self) -> dict[str, BinaryLinear]:
        """The matrices by name."""
        return {layer.name: layer for layer in (self.up, self.down)}

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        hidden = self.up(inputs)
        if self.precision.is_fully_binary:
            return self.down(hidden)
        if not self.precision.bit_exact:
            return self.down(ACTIVATIONS["gelu"](hidden))
        output = self.down(BIT_EXACT_ACTIVATIONS["gelu"](hidden))
        return round_to_fixed_point(output, CHANNEL_BITS)
