"""The weights of a Keras classifier in the order of its files, and the signs of its binary matrices."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.layers import BinaryLinear, BinaryTokenEmbedding
from beex_keras.layers.binarization import latent_mean
from beex_keras.layers.fixed_point import ATTENTION_BITS, WEIGHT_BITS
from beex_keras.models import BEExformerClassifier, BEExformerConfig, topology

EMBEDDING, POSITION = "embedding/token", "embedding/position"
FLOATS, CHANNELS, TABLE, MATRIX = "floats", "channels", "table", "matrix"

CONVOLUTION, PRODUCT, LOOK_UP = "LceBconv2d", "FULLY_CONNECTED", "GATHER"
"""The ops of a ``.tflite`` file that read such a matrix: with signs, with real inputs, and by its rows."""


@dataclasses.dataclass(frozen=True)
class BinaryMatrix:
    """A binarized matrix.

    Attributes:
        signs: ±1, (inputs, outputs); for the embedding (vocabulary, width).
        scale: the real scale of each output, or of each column of the embedding.
        reader: the op that reads it in a ``.tflite`` file.
    """

    signs: np.ndarray
    scale: np.ndarray
    reader: str


@dataclasses.dataclass(frozen=True)
class Weight:
    """A variable of a classifier, and the values that a file stores for it.

    Attributes:
        name: such as "block_1/attention/query/bias".
        layout: `CHANNELS`, one float32 a channel; `TABLE` or `MATRIX`, which may be binary or int8; or
            `FLOATS`, which is always float32.
        variable: the Keras variable.
        stored: computes the file's values: signs for a binary weight; of shape (inputs, outputs) for
            the kernel of a linear layer.
        latent_scale: the spread of a binary weight's latent values; None for a real weight.
    """

    name: str
    layout: str
    variable: tf.Variable
    stored: Callable[[], np.ndarray]
    latent_scale: float | None = None


def matrix_shapes(
    config: BEExformerConfig, blocks: Collection[int] | None = None
) -> dict[str, tuple[int, ...]]:
    """Returns the (inputs, outputs) of each matrix that the configuration binarizes, by name.

    `blocks`, counted from 1, limits the result to these blocks; the embedding belongs to block 1.
    """
    blocks = range(1, config.num_blocks + 1) if blocks is None else blocks
    shapes: dict[str, tuple[int, ...]] = {}
    if config.embedding_bits == 1 and 1 in blocks:
        shapes[EMBEDDING] = (config.vocabulary_size, config.width)
    if config.precision.is_binary:
        for number in blocks:
            shapes |= {f"block_{number}/{m.name}": m.shape for m in topology.matrices(config)}
    return shapes


def binary_matrices(classifier: BEExformerClassifier) -> dict[str, BinaryMatrix]:
    """Binarizes the classifier's latent weights, by the names of `matrix_shapes`.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=1)
        >>> matrices = beex.export.binary_matrices(beex.BEExformerClassifier(config))
        >>> np.unique(matrices["block_1/attention/query"].signs)
        array([-1.,  1.], dtype=float32)
    """
    layers: dict[str, Any] = {EMBEDDING: classifier.backbone.embedding.token}
    for number, block in enumerate(classifier.backbone.blocks, start=1):
        layers |= {f"block_{number}/{name}": layer for name, layer in block.linears().items()}
    found = {name: _matrix(layer) for name, layer in layers.items()}
    return {name: matrix for name, matrix in found.items() if matrix is not None}


def model_matrices(model: tf.keras.Model) -> dict[str, BinaryMatrix]:
    """The signs of all `BinaryLinear` and `BinaryTokenEmbedding` layers of a Keras model.

    Their names are those of their weights, such as "attention/query".
    """
    found: dict[str, BinaryMatrix] = {}
    for layer in model.submodules:
        matrix = _matrix(layer)
        if matrix is not None:
            name = layer.weights[0].name.removesuffix(":0").removesuffix("/matmul/kernel")
            name = name.removesuffix("/table")
            found[f"{name}_{len(found)}" if name in found else name] = matrix
    return found


def _matrix(layer: Any) -> BinaryMatrix | None:
    """The matrix of a binary layer; None of any other."""
    if isinstance(layer, BinaryTokenEmbedding) and layer.table_quantizer is not None:
        signs = _signs(layer.table_quantizer, layer.table)
        return BinaryMatrix(signs, layer.scale.numpy(), LOOK_UP)
    if isinstance(layer, BinaryLinear) and layer.precision.is_binary:
        signs = _signs(layer.matmul.kernel_quantizer, layer.kernel)[0, 0]
        reader = CONVOLUTION if layer.precision.is_fully_binary else PRODUCT
        return BinaryMatrix(signs, np.asarray(layer.to_fixed_point(layer.alpha)), reader)
    return None


def file_weights(classifier: BEExformerClassifier) -> Iterator[Weight]:
    """Yields all weights in the order of a ``.beex`` file."""
    backbone = classifier.backbone
    for stage, weights in topology.stages(classifier.config):
        place, _, number = stage.partition("_")
        for weight in weights:
            name = f"{stage}/{weight.name}"
            if place == "exit":
                dense = classifier.heads[int(number) - 1].dense
                yield Weight(f"{stage}/kernel", FLOATS, dense.kernel, dense.kernel.numpy)
                yield Weight(f"{stage}/bias", CHANNELS, dense.bias, dense.bias.numpy)
            elif weight.kind == topology.MATRIX:
                linears = backbone.blocks[int(number) - 1].linears()
                yield from _linear_weights(name, linears[weight.name])
            elif weight.kind == topology.NORM:
                owner = backbone.blocks[int(number) - 1] if number else backbone.embedding
                norm = getattr(owner, weight.name)
                yield Weight(f"{name}/gamma", CHANNELS, norm.gamma, norm.gamma.numpy)
                yield Weight(f"{name}/beta", CHANNELS, norm.beta, norm.beta.numpy)
            elif weight.kind == topology.TABLE:
                yield from _table_weights(name, backbone.embedding.token)
            else:
                table = getattr(backbone.embedding, weight.name)
                used = backbone.embedding.positions if name == POSITION else table
                yield Weight(name, FLOATS, table, used.numpy)


def _table_weights(name: str, layer: Any) -> Iterator[Weight]:
    table, quantizer = layer.table, layer.table_quantizer
    if quantizer is None:
        yield Weight(name, TABLE, table, table.numpy)
    else:
        latent_scale = layer.precision.embedding_latent_scale
        yield Weight(name, TABLE, table, partial(_signs, quantizer, table), latent_scale)
        yield Weight(f"{name}/scale", CHANNELS, layer.scale, layer.scale.numpy)


def _linear_weights(name: str, layer: Any) -> Iterator[Weight]:
    def channels(part: str, variable: tf.Variable) -> Weight:
        return Weight(f"{name}/{part}", CHANNELS, variable, layer.to_fixed_point(variable).numpy)

    kernel, precision = layer.kernel, layer.precision
    if precision.is_binary:
        signs = partial(_signs, layer.matmul.kernel_quantizer, kernel)
        yield Weight(name, MATRIX, kernel, lambda: signs()[0, 0], precision.latent_scale)
        yield channels("scale", layer.alpha)
    else:
        yield Weight(f"{name}/kernel", MATRIX, kernel, lambda: kernel.numpy()[0, 0])
    yield channels("bias", layer.bias)


def _signs(quantizer: Callable[[tf.Tensor], tf.Tensor], latent: tf.Variable) -> np.ndarray:
    return np.asarray(quantizer(tf.constant(latent.numpy())))


def latent_values(negative: np.ndarray, latent_scale: float) -> np.ndarray:
    """Returns latent values with these signs and the mean magnitude of a new model's."""
    mean = latent_mean(latent_scale)
    return np.where(negative, -mean, mean).astype(np.float32)


def check_attention_range(classifier: BEExformerClassifier, length: int) -> None:
    """Raises `BeexError` if some signs could overflow the integers of the engine's attention."""
    for number, block in enumerate(classifier.backbone.blocks, start=1):
        attention, limits = block.attention, {}
        for linear in (attention.query, attention.key, attention.value):
            scale, bias = (
                np.abs(linear.to_fixed_point(values)) for values in (linear.alpha, linear.bias)
            )
            limits[linear.name] = (linear.units * scale + bias) * 2.0**ATTENTION_BITS
        scores = (limits["query"] * limits["key"]).reshape(attention.num_heads, -1).sum(axis=1)
        context = length * limits["value"] * 2.0**WEIGHT_BITS
        if max(map(np.max, limits.values())) > 32767 or max(scores.max(), context.max()) >= 2**31:
            problem = (
                f"The scales of block_{number}/attention are too large for the engine's integers"
            )
            raise BeexError(f"{problem}; convert the model to .tflite.")
