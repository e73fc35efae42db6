r"""Latent weights, and quantizers that can turn binary step by step.

A model that starts from real weights would forget most of them if it took their signs at once. While it
trains, a `Binarizer` mixes the real values with the binary ones. With latent weights \(L\) of the mean
magnitude \(m\), and with inputs \(z\) of which a real model read \((h(z) - c) / s\), it gives

\[
(1 - \lambda) \, \frac{L}{m} + \lambda \operatorname{sign}(L), \qquad
(1 - \lambda) \, \frac{h(z) - c}{s} + \lambda \operatorname{sign}(z)
\]

Source: our reading, after the steps of BiT (Liu et al., NeurIPS 2022).
"""

from collections.abc import Callable
from typing import Any

from beex_keras import quantizers
from beex_keras.backend import tf

LATENT_LIMIT = 1.0
"""Latent weights are clipped to ±1: beyond it every polynomial gradient is zero."""


def latent_initializer(scale: float) -> tf.keras.initializers.Initializer:
    """Uniform latent weights in ±`scale`: random signs, all at a like distance from a flip."""
    return tf.keras.initializers.RandomUniform(-scale, scale)


def latent_mean(scale: float) -> float:
    """The mean magnitude of latent weights that start uniformly in ±`scale`."""
    return scale / 2.0


@tf.keras.utils.register_keras_serializable("beex_keras")
class Binarizer:
    r"""A quantizer that mixes in real values while \(\lambda\) is less than 1.

    It is a plain object, so Keras neither saves \(\lambda\) nor counts it among a layer's weights.

    Args:
        quantizer: name of the quantizer, from `beex_keras.quantizers.QUANTIZERS`.
        unit: magnitude of the real values; they are divided by it.

    Example:
        >>> from beex_keras.layers.binarization import Binarizer
        >>> binarizer = Binarizer("polynomial_sign", unit=0.5)
        >>> binarizer.fraction = 0.75
        >>> binarizer(tf.constant([-1.0, 0.5])).numpy()
        array([-1.25,  1.  ], dtype=float32)
    """

    precision = 1  # bits, for Larq

    def __init__(self, quantizer: str, unit: float = 1.0) -> None:
        self.name, self.unit = quantizer, unit
        self._quantizer = quantizers.get(quantizer)
        self._real: Callable[[tf.Tensor], tf.Tensor] = tf.identity
        self._fraction: tf.Variable | None = None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if self._fraction is None:
            return self._quantizer(x)
        real = (1.0 - self._fraction) * self._real(x) / self.unit
        return real + self._fraction * self._quantizer(x)

    @property
    def fraction(self) -> float:
        r"""\(\lambda\), from 0 (real) to 1 (binary).

        The first value below 1 adds \(\lambda\) to the graphs that are traced from then on, as a variable. Later
        values change it in these graphs without a new trace.
        """
        return 1.0 if self._fraction is None else float(self._fraction.numpy())

    @fraction.setter
    def fraction(self, value: float) -> None:
        if self._fraction is not None:
            self._fraction.assign(value)
        elif value != 1.0:
            self._fraction = tf.Variable(value, trainable=False, dtype=tf.float32)

    def start_from(self, real: Callable[[tf.Tensor], tf.Tensor]) -> None:
        r"""Sets the function of the inputs that \(\lambda = 0\) gives; it is the identity before."""
        self._real = real

    def finish(self) -> None:
        r"""Sets \(\lambda\) to 1 and leaves it out of the graphs that are traced from then on."""
        self.fraction = 1.0
        self._fraction = None

    def get_config(self) -> dict[str, Any]:
        return {"quantizer": self.name, "unit": self.unit}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Binarizer":
        return cls(**config)
