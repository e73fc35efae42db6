r"""Differentiable binarization on top of Larq's quantizers.

A quantizer maps a real tensor to \(\{-1, +1\}\) in the forward pass and defines the gradient
that training sees. Every quantizer is registered with Keras as ``"beex_keras>name"``.
"""

from collections.abc import Callable
from typing import Any

from beex_keras.backend import lq, tf
from beex_keras.errors import BeexError

__all__ = [
    "ELEMENTWISE",
    "QUANTIZERS",
    "MagnitudeAwareSign",
    "PolynomialSign",
    "Quantizer",
    "polynomial_sign",
    "quantize_tokens",
    "sign",
]

Quantizer = Callable[[tf.Tensor], tf.Tensor]
"""Maps real values to ±1, elementwise, and defines the gradient."""


def sign(x: tf.Tensor) -> tf.Tensor:
    r"""\(\operatorname{sign}(x) \in \{-1, +1\}\), with \(\operatorname{sign}(0) = +1\).

    Written as a selection because the Larq Compute Engine recognises this form, and because it is
    exact: sums of its values are whole numbers, equal in every engine.

    Example:
        >>> beex.quantizers.sign(tf.constant([-0.3, 0.0, 2.0])).numpy()
        array([-1.,  1.,  1.], dtype=float32)
    """
    one = tf.ones((), x.dtype)
    return tf.where(x >= 0, one, -one)


def quantize_tokens(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Quantizes each token to 8 bits: \(x \approx s q\) with whole numbers \(q\) within ±127.

    \[ s = \frac{\max_k |x_k|}{127}, \qquad q_k = \operatorname{round}(x_k / s) \]

    (..., K) → \(q\) (..., K) and \(s\) (..., 1). A product of \(q\) with ±1 is a whole number, the same
    in every engine. The gradient is that of \(x = s q\), straight through the rounding.

    Source: this is symmetric dynamic quantization with a scale for each token; its use here is our reading.

    Example:
        >>> q, s = beex.quantizers.quantize_tokens(tf.constant([[0.5, -2.0, 0.25]]))
        >>> q.numpy()
        array([[  32., -127.,   16.]], dtype=float32)
    """
    largest = largest_magnitude(x)
    # As the C engine: a token of zeros, or of next to nothing, has no steps.
    limited = tf.maximum(largest, 1e-30)
    # Never a constant, or TensorFlow would multiply by its reciprocal, which rounds otherwise.
    steps = tf.maximum(-limited, 127.0)
    return _round(x * (steps / limited)), largest / steps


def largest_magnitude(x: tf.Tensor) -> tf.Tensor:
    """Of each row: (..., K) → (..., 1); without a gradient."""
    # Not the largest of abs(x): ABS is slow in Larq Compute Engine.
    ends = tf.reduce_max(x, axis=-1, keepdims=True), tf.reduce_max(-x, axis=-1, keepdims=True)
    return tf.stop_gradient(tf.maximum(*ends))


@tf.custom_gradient
def _round(x: tf.Tensor) -> tf.Tensor:
    return tf.round(x), lambda dy: dy


@tf.custom_gradient
def polynomial_sign(x: tf.Tensor) -> tf.Tensor:
    r"""The sign of `x`, with the gradient of a piecewise polynomial; see `PolynomialSign`.

    Example:
        >>> weights = tf.constant([-0.25, 0.5, 2.0])
        >>> with tf.GradientTape() as tape:
        ...     tape.watch(weights)
        ...     signs = beex.quantizers.polynomial_sign(weights)
        >>> signs.numpy(), tape.gradient(signs, weights).numpy()
        (array([-1.,  1.,  1.], dtype=float32), array([1.5, 1. , 0. ], dtype=float32))
    """

    def grad(dy: tf.Tensor) -> tf.Tensor:
        return dy * tf.maximum(2.0 - 2.0 * tf.abs(x), 0.0)

    return sign(x), grad


@lq.utils.register_alias("beex_keras>polynomial_sign")
@tf.keras.utils.register_keras_serializable("beex_keras")
class PolynomialSign(lq.quantizers.Quantizer):
    r"""Sign binarization that backpropagates through a piecewise second-degree polynomial.

    \[
    q(w) = \begin{cases} -1 & w < 0 \\ +1 & w \geq 0 \end{cases}
    \]

    The gradient is that of

    \[
    F(w) = \begin{cases}
        -1       & w < -1 \\
        2w + w^2 & -1 \leq w < 0 \\
        2w - w^2 & 0 \leq w < 1 \\
        1        & w \geq 1
    \end{cases}
    \qquad
    \frac{\partial q}{\partial w} := \frac{\mathrm{d} F}{\mathrm{d} w} = \max(0,\, 2 - 2|w|)
    \]

    so an update sees both the sign and the magnitude of a latent weight: weights near the decision
    boundary move most, weights beyond \(\pm 1\) rest. The latent weights' scale decides which part
    of F training sees; it is `BEExformerConfig.latent_scale`.

    ![Forward and gradient](../docs/quantizer.png)

    Source: the paper's binarization-aware training; the same polynomial approximates activations in
    Bi-Real Net (Liu et al., ECCV 2018).

    Example:
        >>> beex.PolynomialSign()(tf.constant([-0.3, 0.0, 2.0])).numpy()
        array([-1.,  1.,  1.], dtype=float32)
    """

    precision = 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return polynomial_sign(inputs)


@lq.utils.register_alias("beex_keras>magnitude_aware_sign")
@tf.keras.utils.register_keras_serializable("beex_keras")
class MagnitudeAwareSign(lq.quantizers.Quantizer):
    r"""Larq's quantizer of this name with a forward pass of exactly ±1.

    \[
    q(w) = \operatorname{sign}(w), \qquad
    \frac{\partial q}{\partial w} := \overline{|w|} \cdot \mathbf{1}_{|w| \leq 1}
    \]

    \(\overline{|w|}\) is the mean magnitude of an output channel. Larq multiplies it into the forward pass
    too; here every output channel has its own learned scale after the product, which replaces that factor.

    Source: Bi-Real Net, section 3.3 (Liu et al., ECCV 2018); the division of forward and gradient
    is our reading.

    Example:
        >>> beex.quantizers.get("magnitude_aware_sign")(tf.constant([-0.3, 0.0, 2.0])).numpy()
        array([-1.,  1.,  1.], dtype=float32)
    """

    precision = 1

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return _magnitude_aware_sign(inputs)


@tf.custom_gradient
def _magnitude_aware_sign(x: tf.Tensor) -> tf.Tensor:
    def grad(dy: tf.Tensor) -> tf.Tensor:
        magnitude = tf.reduce_mean(tf.abs(x), axis=list(range(x.shape.rank - 1)))
        return dy * magnitude * tf.cast(tf.abs(x) <= 1.0, x.dtype)

    return sign(x), grad


QUANTIZERS: dict[str, type[lq.quantizers.Quantizer]] = {
    "polynomial_sign": PolynomialSign,
    "ste_sign": lq.quantizers.SteSign,
    "swish_sign": lq.quantizers.SwishSign,
    "magnitude_aware_sign": MagnitudeAwareSign,
}
"""Quantizers whose forward pass is exactly ±1, by the name that a configuration gives."""

ELEMENTWISE = frozenset(QUANTIZERS) - {"magnitude_aware_sign"}
"""Those whose gradient at a weight knows of no other weight."""


def get(name: str) -> Any:
    """A new quantizer of that name; raises `BeexError` if there is none."""
    if name not in QUANTIZERS:
        raise BeexError(f"Unknown quantizer '{name}'; choose one of {', '.join(QUANTIZERS)}.")
    return QUANTIZERS[name]()
