"""The binarized linear layer, of which attention and the feed-forward networks are made."""

from typing import Any

from beex_keras import quantizers
from beex_keras.backend import lq, tf
from beex_keras.errors import BeexError
from beex_keras.layers.base import BaseLayer, build_sublayer
from beex_keras.layers.binarization import LATENT_LIMIT, Binarizer, latent_initializer, latent_mean
from beex_keras.layers.fixed_point import CHANNEL_BITS, optimization_barrier, round_to_fixed_point
from beex_keras.precision import WEIGHTS_ONLY, Precision


class PointwiseConv(lq.layers.QuantConv2D):
    """A 1×1 `QuantConv2D`: the form of a binary matrix that Larq Compute Engine makes LceBconv2d.

    Where the inputs stay real, and in training, it multiplies as a matrix. TensorFlow's kernel for
    that is faster, and the products of ±1 are whole numbers, the same by either way.
    """

    _as_matrix = True
    _training = False

    def __init__(self, *args: Any, matmul_dtype: str = "float32", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.matmul_dtype = tf.as_dtype(matmul_dtype)

    def build(self, input_shape: tf.TensorShape) -> None:
        super().build(input_shape)
        # As a matrix it reads (B, T, K) too, which a convolution would refuse.
        self.input_spec = tf.keras.layers.InputSpec(min_ndim=3, axes={-1: input_shape[-1]})

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        self._training = bool(training)
        self._as_matrix = self.input_quantizer is None or self._training
        return super().call(inputs)

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        if not self._as_matrix:
            return super().convolution_op(inputs, kernel)
        matrix = tf.reshape(kernel, kernel.shape[-2:])  # a slice's gradient would be a copy
        if self._training and self.matmul_dtype != inputs.dtype:
            factors = (tf.cast(factor, self.matmul_dtype) for factor in (inputs, matrix))
            return tf.cast(tf.matmul(*factors), inputs.dtype)
        return tf.matmul(inputs, matrix)


@tf.keras.utils.register_keras_serializable("beex_keras")
class BinaryLinear(BaseLayer):
    r"""\(y = q(x) \cdot \operatorname{sign}(W) \odot \alpha + b\).

    \(q\) is the identity (weights-only), 8 bits a token (W1A8, see `quantizers.quantize_tokens`) or the
    sign (fully binary); \(W\) are the latent weights, \(\alpha\) is one learned real scale per output
    channel, \(b\) the bias. \(\alpha\) stands outside the product, so that a product of ±1 is a whole number and
    hence the same in every engine. In fully binary mode \(\alpha\), \(b\) and \(y\) are fixed-point numbers (see
    `beex_keras.layers.fixed_point`). With 8 bits the sums are exact, and the other operations are always rounded
    in the same order, so \(y\) has the same bits in every engine, too. With real weights the layer is the float32
    \(y = xW + b\), without \(\alpha\).

    While a model turns binary in training, `Binarizer`s mix the real matrix and inputs with the binary ones.

    Shapes: (..., K) → (..., `units`), of rank 2 or more. Weights: K·`units` latent, and `units` each for
    \(\alpha\) (binary only) and \(b\). Tokens do not mix, so padding needs no mask.

    Args:
        units: number of output channels.
        precision: bits of weights and inputs.
        matmul_dtype: dtype of the matrix product in training, "float32" or "bfloat16". Inputs, outputs, latent
            weights and every inference stay float32. ±1 is exact in bfloat16.

    Raises:
        BeexError: an unknown quantizer or `matmul_dtype`.

    Source: weights-only binarization is the paper's; \(\alpha\) per channel is our reading.

    Example:
        >>> layer = beex.layers.BinaryLinear(3)
        >>> layer(tf.ones((1, 5, 8))).shape.as_list()
        [1, 5, 3]
    """

    def __init__(
        self,
        units: int,
        precision: Precision = WEIGHTS_ONLY,
        matmul_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if matmul_dtype not in ("float32", "bfloat16"):
            raise BeexError(f"matmul_dtype={matmul_dtype!r} must be 'float32' or 'bfloat16'.")
        self.units = units
        self.precision = precision
        self.matmul_dtype = matmul_dtype
        options: dict[str, Any] = {"matmul_dtype": matmul_dtype}
        # Before the other one: Keras numbers quantizers, and an exported file has their names.
        if precision.is_fully_binary:
            options["input_quantizer"] = Binarizer(precision.quantizer)
        if precision.is_binary:
            unit = latent_mean(precision.latent_scale)
            options["kernel_quantizer"] = Binarizer(precision.quantizer, unit)
            options["kernel_constraint"] = lq.constraints.WeightClip(LATENT_LIMIT)
            options["kernel_initializer"] = latent_initializer(precision.latent_scale)
        self.matmul = PointwiseConv(units, 1, use_bias=False, name="matmul", **options)

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = input_shape[-1]
        build_sublayer(self.matmul, None, 1, None, channels)
        if self.precision.is_binary:
            # Glorot's variance, carried by the scale since the binary kernel's is 1.
            deviation = tf.keras.initializers.Constant((2.0 / (channels + self.units)) ** 0.5)
            self.alpha = self.add_weight("alpha", (self.units,), initializer=deviation)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([*input_shape[:-1], self.units])

    @property
    def kernel(self) -> tf.Variable:
        """The latent weights, (1, 1, K, units)."""
        return self.matmul.kernel

    def set_kernel_quantizer(self, quantizer: quantizers.Quantizer) -> None:
        """Another quantizer for the latent weights, (1, 1, K, units); Larq keeps it in the variable, too."""
        self.matmul.kernel_quantizer = quantizer
        self.kernel.quantizer = quantizer

    def to_fixed_point(self, weights: tf.Variable) -> tf.Tensor:
        """Scales or biases (units,) as the layer uses them: rounded to fixed point if it is fully binary."""
        if self.precision.is_fully_binary:
            return round_to_fixed_point(weights, CHANNEL_BITS)
        return weights

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        is_sequence = inputs.shape.rank == 3
        if is_sequence and inputs.shape[0] == 1 and not self.precision.is_fully_binary:
            return self._products(inputs)  # one matrix already
        shape = tf.shape(inputs)
        # One row of "pixels" for all tokens of the batch: larger matrices multiply faster.
        tokens = tf.reshape(inputs, (1, 1, -1, inputs.shape[-1]))
        outputs = self._products(tokens)
        if is_sequence:
            return tf.reshape(outputs, (shape[0], shape[1], self.units))
        outputs = tf.reshape(outputs, tf.concat([shape[:-1], [self.units]], axis=0))
        return tf.ensure_shape(outputs, [*inputs.shape[:-1], self.units])

    def _products(self, tokens: tf.Tensor) -> tf.Tensor:
        if self.precision.activations != 8:
            return self._scaled(self.matmul(tokens))
        steps, scale = quantizers.quantize_tokens(tokens)
        products = self.matmul(steps) * optimization_barrier(scale)
        return self._scaled(optimization_barrier(products))

    def _scaled(self, products: tf.Tensor) -> tf.Tensor:
        if self.precision.is_binary:
            products = products * self.to_fixed_point(self.alpha)
        return products + self.to_fixed_point(self.bias)
