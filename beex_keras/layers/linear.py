"""The binarized linear layer on which everything else stands."""

from typing import Any

from beex_keras import quantizers
from beex_keras.backend import lq, tf
from beex_keras.layers.grid import CHANNEL_BITS, apart, on_grid
from beex_keras.layers.parts import build_part
from beex_keras.layers.recorded import RecordedLayer
from beex_keras.precision import WEIGHTS_ONLY, Precision

LATENT_LIMIT = 1.0
"""Latent weights are clipped to ±1: beyond it every polynomial gradient is zero."""


def latent_initializer(scale: float) -> tf.keras.initializers.Initializer:
    """Uniform latent weights in ±`scale`: random signs, all at a like distance from a flip."""
    return tf.keras.initializers.RandomUniform(-scale, scale)


def latent_mean(scale: float) -> float:
    """The mean magnitude of latent weights that start uniformly in ±`scale`."""
    return scale / 2.0


class PointwiseConv(lq.layers.QuantConv2D):
    """A 1×1 `QuantConv2D`: the form of a binary matrix that Larq Compute Engine makes LceBconv2d.

    Where the inputs stay real, and in training, it multiplies as a matrix. TensorFlow's kernel for
    that is faster, and the products of ±1 are whole numbers, the same by either way.

    Attributes:
        training_dtype: what it multiplies in while it trains; its inputs, outputs and latent
            weights stay float32.
    """

    _as_matrix = True
    _training = False
    training_dtype = tf.float32

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        # As a matrix it reads (B, T, K) too, which a convolution would refuse.
        self.input_spec = tf.keras.layers.InputSpec(min_ndim=3, axes={-1: input_shape[-1]})

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        self._training = bool(training)
        self._as_matrix = self.input_quantizer is None or self._training
        return super().call(inputs)

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if self._as_matrix:
            matrix = tf.reshape(kernel, kernel.shape[-2:])  # a slice's gradient would be a copy
            if self._training and self.training_dtype != inputs.dtype:
                factors = (tf.cast(factor, self.training_dtype) for factor in (inputs, matrix))
                return tf.cast(tf.matmul(*factors), inputs.dtype)
            return tf.matmul(inputs, matrix)
        return super().convolution_op(inputs, kernel)


@tf.keras.utils.register_keras_serializable("beex_keras")
class BinaryLinear(RecordedLayer):
    r"""\(y = q(x) \cdot \operatorname{sign}(W) \odot \alpha + b\).

    \(q\) is the identity (weights-only), 8 bits a token (W1A8, see `quantizers.quantize_tokens`) or the
    sign (fully binary); \(W\) are the latent weights,
    \(\alpha\) is one learned real scale per output channel, \(b\) the bias. \(\alpha\) stands outside
    the product so that a product of ±1 is a whole number and hence the same in every engine; in fully
    binary mode \(\alpha\) and \(b\) lie on a grid (see `beex_keras.layers.grid`), so that \(y\) is too.
    With 8 bits the sums are exact, and the other operations are rounded one after the other, always in this
    order, so \(y\) is the same in every engine, too. With real weights it is the float32 twin,
    \(y = xW + b\), without \(\alpha\).

    Shapes: (B, T, K) → (B, T, `units`). Weights: K·`units` latent, and `units` each for
    \(\alpha\) (binary only) and \(b\). Tokens do not mix, so padding needs no mask.

    Raises:
        BeexError: an unknown quantizer.

    Source: weights-only binarization is the paper's; \(\alpha\) per channel is our reading.

    Example:
        >>> layer = beex.layers.BinaryLinear(3)
        >>> layer(tf.ones((1, 5, 8))).shape.as_list()
        [1, 5, 3]
    """

    def __init__(self, units: int, precision: Precision = WEIGHTS_ONLY, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.precision = precision
        options: dict[str, Any] = {}
        # Before the other quantizer: Keras numbers them, and a file has their names.
        if precision.is_fully_binary:
            options["input_quantizer"] = quantizers.get(precision.quantizer)
        if precision.is_binary:
            options["kernel_quantizer"] = quantizers.get(precision.quantizer)
            options["kernel_constraint"] = lq.constraints.WeightClip(LATENT_LIMIT)
            options["kernel_initializer"] = latent_initializer(precision.latent_scale)
        self.matmul = PointwiseConv(units, 1, use_bias=False, name="matmul", **options)

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = input_shape[-1]
        build_part(self.matmul, None, 1, None, channels)
        if self.precision.is_binary:
            # Glorot's variance, carried by the scale since the binary kernel's is 1.
            deviation = tf.keras.initializers.Constant((2.0 / (channels + self.units)) ** 0.5)
            self.alpha = self.add_weight("alpha", (self.units,), initializer=deviation)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        super().build(input_shape)

    @property
    def kernel(self) -> tf.Variable:
        """The latent weights, (1, 1, K, units)."""
        return self.matmul.kernel

    def set_kernel_quantizer(self, quantizer: quantizers.Quantizer) -> None:
        """Another quantizer for the latent weights, (1, 1, K, units); Larq keeps it in the variable, too."""
        self.matmul.kernel_quantizer = quantizer
        self.kernel.quantizer = quantizer

    def on_grid(self, weights: tf.Variable) -> tf.Tensor:
        """Scales or biases (units,) as the layer uses them: on the grid if it is fully binary."""
        return on_grid(weights, CHANNEL_BITS) if self.precision.is_fully_binary else weights

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if inputs.shape[0] == 1 and not self.precision.is_fully_binary:
            return self._products(inputs)  # one matrix already
        shape = tf.shape(inputs)
        # One row of "pixels" for all tokens of the batch: larger matrices multiply faster.
        tokens = tf.reshape(inputs, (1, 1, -1, inputs.shape[-1]))
        outputs = self._products(tokens)
        return tf.reshape(outputs, (shape[0], shape[1], self.units))

    def _products(self, tokens: tf.Tensor) -> tf.Tensor:
        if self.precision.activations != 8:
            return self._scaled(self.matmul(tokens))
        steps, scale = quantizers.quantize_tokens(tokens)
        return self._scaled(apart(self.matmul(steps) * apart(scale)))

    def _scaled(self, products: tf.Tensor) -> tf.Tensor:
        if self.precision.is_binary:
            products = products * self.on_grid(self.alpha)
        return products + self.on_grid(self.bias)
