"""All weights of a file, written from a classifier and read into one, in the order of its topology."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.beex import packing
from beex_keras.export.beex.parts import MOST_INT8_SCALE, Reader, Writer, check_range
from beex_keras.export.matrices import EMBEDDING, binary_matrices
from beex_keras.layers.grid import ATTENTION_BITS, WEIGHT_BITS
from beex_keras.layers.linear import latent_mean
from beex_keras.models import BEExformerClassifier, topology


def write_weights(writer: Writer, classifier: BEExformerClassifier, length: int) -> None:
    """Writes all weights of a classifier that shall read `length` tokens; errors as `Writer`."""
    if classifier.config.precision.is_fully_binary:
        for number, block in enumerate(classifier.backbone.blocks, start=1):
            _check_range(block.attention, f"block_{number}", length)
    binary = binary_matrices(classifier)
    for name, kind, layer in _layers(classifier):
        matrix = binary.get(name)
        if name == "embedding/position":
            positions = classifier.backbone.embedding.positions
            writer.put(positions.numpy()[:length], name)
        elif kind == topology.REAL:
            writer.put(layer.numpy(), name)
        elif kind == topology.NORM:
            writer.channels(layer.gamma, f"{name}/gamma")
            writer.channels(layer.beta, f"{name}/beta")
        elif kind == topology.HEAD:
            writer.put(layer.kernel.numpy(), f"{name}/kernel")
            writer.channels(layer.bias, f"{name}/bias")
        elif matrix is not None:
            writer.put(_pack(name, layer, matrix.signs < 0))
            writer.channels(matrix.scale, f"{name}/scale")
        else:
            _write_real(writer, name, layer)
        if kind == topology.MATRIX:
            writer.channels(layer.on_grid(layer.bias), f"{name}/bias")


def read_weights(reader: Reader, classifier: BEExformerClassifier) -> None:
    """Gives a classifier all weights of a file; errors as of `Reader`."""
    for name, kind, layer in _layers(classifier):
        if kind == topology.REAL:
            layer.assign(reader.reals(name, *layer.shape))
        elif kind == topology.NORM:
            for variable in (layer.gamma, layer.beta):
                variable.assign(reader.channels(name, *variable.shape))
        elif kind == topology.HEAD:
            layer.kernel.assign(reader.reals(name, *layer.kernel.shape))
            layer.bias.assign(reader.channels(name, *layer.bias.shape))
        elif kind == topology.TABLE:
            _read_table(reader, name, layer)
        else:
            _read_linear(reader, name, layer)


def _layers(classifier: BEExformerClassifier) -> Iterator[tuple[str, str, Any]]:
    """Name, kind and layer, or variable, of each part in the order of the file."""
    backbone = classifier.backbone
    for stage, parts in topology.stages(classifier.config):
        place, _, number = stage.partition("_")
        for part in parts:
            if place == "embedding":
                yield f"{stage}/{part.name}", part.kind, getattr(backbone.embedding, part.name)
            elif place == "exit":
                yield stage, part.kind, classifier.heads[int(number) - 1].dense
            else:
                block = backbone.blocks[int(number) - 1]
                linear = block.linears().get(part.name)
                layer = getattr(block, part.name) if linear is None else linear
                yield f"{stage}/{part.name}", part.kind, layer


def _pack(name: str, layer: Any, negative: np.ndarray) -> np.ndarray:
    if name == EMBEDDING:
        return packing.pack_words(negative)
    if layer.precision.is_fully_binary:
        return packing.pack_binary(negative)
    return packing.pack_real(negative)


def _write_real(writer: Writer, name: str, layer: Any) -> None:
    """A real matrix or table, as it is or in 8 bits."""
    is_table = name == EMBEDDING
    values = layer.table.numpy() if is_table else layer.kernel.numpy()[0, 0]
    if not writer.int8_weights:
        writer.put(values, name if is_table else f"{name}/kernel")
        return
    check_range(values, name, 127 * MOST_INT8_SCALE)
    weights, scale = packing.quantize_columns(values)
    writer.put(weights if is_table else packing.pack_int8(weights))
    writer.channels(scale, f"{name}/scale", MOST_INT8_SCALE)


def _check_range(attention: Any, name: str, length: int) -> None:
    """Raises if whole numbers of the engine's attention could overflow, whatever the signs."""
    limits = {}
    for linear in (attention.query, attention.key, attention.value):
        scale, bias = (np.abs(linear.on_grid(values)) for values in (linear.alpha, linear.bias))
        limits[linear.name] = (linear.units * scale + bias) * 2.0**ATTENTION_BITS
    scores = (limits["query"] * limits["key"]).reshape(attention.num_heads, -1).sum(axis=1)
    context = length * limits["value"] * 2.0**WEIGHT_BITS
    if max(map(np.max, limits.values())) > 32767 or max(scores.max(), context.max()) >= 2**31:
        problem = f"The scales of {name}/attention are too large for the engine's whole numbers"
        raise BeexError(f"{problem}; convert the model to .tflite.")


def _read_table(reader: Reader, name: str, layer: Any) -> None:
    rows, width = layer.table.shape
    if layer.table_quantizer is None:
        layer.table.assign(reader.reals(name, rows, width))
        return
    negative = packing.unpack_words(reader.array("<u8", rows, -(-width // 64)), width)
    layer.table.assign(_latent(negative, layer.precision.embedding_latent_scale))
    layer.scale.assign(reader.channels(name, width))


def _read_linear(reader: Reader, name: str, layer: Any) -> None:
    inputs, outputs = layer.kernel.shape[2:]
    precision = layer.precision
    if precision.is_binary:
        fully = precision.is_fully_binary
        words = reader.array("<u8", *packing.packed_shape(inputs, outputs, fully))
        unpack: Callable[..., np.ndarray] = packing.unpack_binary if fully else packing.unpack_real
        negative = unpack(words, inputs, outputs)
        layer.kernel.assign(_latent(negative, precision.latent_scale)[None, None])
        layer.alpha.assign(reader.channels(name, outputs))
    else:
        layer.kernel.assign(reader.reals(name, inputs, outputs)[None, None])
    layer.bias.assign(reader.channels(name, outputs))


def _latent(negative: np.ndarray, scale: float) -> np.ndarray:
    mean = latent_mean(scale)
    return np.where(negative, -mean, mean).astype(np.float32)
