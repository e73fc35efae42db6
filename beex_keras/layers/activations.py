r"""The non-linearities between the matrices of a block, by the names that a configuration gives.

Each comes in two forms. The usual one is TensorFlow's, and no two engines agree on its last bit. The exact
one takes only operations that IEEE 754 rounds alike everywhere, in one order: an odd rational function,

\[
R(x) = v\,\frac{(p_2 w + p_1) w + p_0}{(w + q_1) w + q_0}, \qquad
v = \max(\min(x, l), -l), \quad w = v^2
\]

whose coefficients were fitted for the least largest error. Source: our reading.
"""

from collections.abc import Callable
from typing import NamedTuple

from beex_keras.backend import tf

Activation = Callable[[tf.Tensor], tf.Tensor]

ACTIVATIONS: dict[str | None, Activation] = {
    None: tf.identity,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    # Its approximation by a tanh, which every engine has.
    "gelu": lambda z: tf.nn.gelu(z, approximate=True),
}


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
def exact_sigmoid(x: tf.Tensor) -> tf.Tensor:
    y = HALF_TANH(x) + 0.5
    return y, lambda dy: dy * y * (1.0 - y)


@tf.custom_gradient
def exact_tanh(x: tf.Tensor) -> tf.Tensor:
    y = TANH(x)
    return y, lambda dy: dy * (1.0 - y * y)


@tf.custom_gradient
def exact_gelu(x: tf.Tensor) -> tf.Tensor:
    gate, half = GELU_GATE(x), 0.5 * x

    def grad(dy: tf.Tensor) -> tf.Tensor:
        limited = GELU_GATE.limited(x)  # beyond, the gate is constant
        slope = 0.3989422804 + 0.0535161122 * (limited * limited)
        return dy * (0.5 + 0.5 * gate + limited * (1.0 - gate * gate) * slope)

    return half * gate + half, grad


EXACT: dict[str | None, Activation] = {
    None: tf.identity,
    "sigmoid": exact_sigmoid,
    "tanh": exact_tanh,
    "gelu": exact_gelu,
}
