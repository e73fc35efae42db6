"""From a ``.beex`` file back to a Keras classifier, to be converted, calibrated or trained further.

A file holds the signs of the latent weights and not how far each is from a flip: they come back as
far from it as a new model's are on average. What the model computes is the same.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from beex_keras.errors import BeexError
from beex_keras.export.beex_format.conversion import architecture
from beex_keras.export.beex_format.header import read_header
from beex_keras.export.beex_format.packing import BINARY_PANEL, REAL_PANEL
from beex_keras.export.beex_format.reading import read
from beex_keras.export.beex_format.weights import NETWORK_PARTS
from beex_keras.export.beex_format.writer import ALIGNMENT, PADDING, check_range, round_up
from beex_keras.layers import BinaryLinear, LayerNorm
from beex_keras.layers.linear import latent_mean
from beex_keras.models import BEExformerClassifier


def classifier(data: bytes, source: str = "The model") -> BEExformerClassifier:
    """The classifier that a file was made of; converted again it gives the same file.

    It reads as many tokens as the file does.

    Args:
        data: the file's bytes.
        source: names the file in errors.

    Raises:
        BeexError: the file is not ours or damaged, or holds weights of 8 bits or such as are not
            finite or too large.
    """
    metadata = read(data, source)
    header = read_header(data)
    if 8 in (header["weight_bits"], header["embedding_bits"]):
        raise BeexError(
            f"{source} holds weights of 8 bits, which a Keras model has not; give the run folder that "
            "it was converted from."
        )
    config = metadata.config.replace(max_length=metadata.length)
    wanted = architecture(config, metadata.length)
    if any(header[name] != np.float32(value) for name, value in wanted.items()):
        raise BeexError(f"{source} contradicts itself; convert the model again.")
    model = BEExformerClassifier(config, metadata.preprocessor, metadata.labels, metadata.policy)
    reader = _Reader(data, header["weights"], source)
    try:
        _read_embedding(reader, model)
        for block, head in zip(model.backbone.blocks, model.heads, strict=True):
            _read_block(reader, block)
            reader.reals(head.dense.kernel)
            reader.channels(head.dense.bias)
    except BeexError:
        raise
    except ValueError as error:  # the file ends before its weights do
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error
    return model


class _Reader:
    """Takes one part after the other into a model's variables; each begins at a multiple of 64."""

    def __init__(self, data: bytes, place: int, source: str) -> None:
        self._data = data
        self._place = place
        self._source = source

    def array(self, kind: str, *shape: int) -> np.ndarray:
        array = np.frombuffer(self._data, kind, int(np.prod(shape)), self._place)
        self._place += round_up(array.nbytes, ALIGNMENT)
        return array.reshape(shape)

    def reals(self, variable: tf.Variable) -> None:
        variable.assign(self._checked(self.array("<f4", *variable.shape), variable))

    def channels(self, variable: tf.Variable) -> None:
        (count,) = variable.shape
        padded = round_up(count, PADDING)
        values = self.array("<f4", padded)
        if values[count:].any():
            raise ValueError(f"The padding of {variable.name} is not zero.")
        variable.assign(self._checked(values[:count], variable))

    def _checked(self, values: np.ndarray, variable: tf.Variable) -> np.ndarray:
        name = f"{self._source}: {variable.name.partition(':')[0]}"
        check_range(values, name, advice="convert the model again")
        return values


def _read_embedding(reader: _Reader, model: BEExformerClassifier) -> None:
    embedding = model.backbone.embedding
    table = embedding.token.table
    if embedding.token.bits == 1:
        rows, width = table.shape
        negative = _bits(reader.array("<u8", rows, -(-width // 64)))[:, :width]
        table.assign(_latent(negative, embedding.token.latent_scale))
        reader.channels(embedding.token.scale)
    else:
        reader.reals(table)
    reader.reals(embedding.position)
    if embedding.num_segments > 1:
        reader.reals(embedding.segment)
    _read_norm(reader, embedding.normalization)


def _read_block(reader: _Reader, block: Any) -> None:
    attention = block.attention
    for linear in (attention.query, attention.key, attention.value, attention.project):
        _read_linear(reader, linear)
    _read_norm(reader, block.attention_norm)
    network = block.network()
    for part in NETWORK_PARTS[network.name]:
        _read_linear(reader, network.linears()[part])
    _read_norm(reader, block.slfn_norm)


def _read_norm(reader: _Reader, norm: LayerNorm) -> None:
    reader.channels(norm.gamma)
    reader.channels(norm.beta)


def _read_linear(reader: _Reader, linear: BinaryLinear) -> None:
    inputs, outputs = linear.kernel.shape[2:]
    if linear.weight_bits == 1:
        unpack = _unpack_binary if linear.activation_bits == 1 else _unpack_real
        negative = unpack(reader, inputs, outputs)
        linear.kernel.assign(_latent(negative, linear.latent_scale)[None, None])
        reader.channels(linear.alpha)
    else:
        reader.reals(linear.kernel)
    reader.channels(linear.bias)


def _unpack_binary(reader: _Reader, inputs: int, outputs: int) -> np.ndarray:
    """The inverse of `packing.pack_binary`."""
    panel = BINARY_PANEL
    words = reader.array("<u8", -(-outputs // panel), -(-inputs // 64), panel)
    rows = words.transpose(0, 2, 1).reshape(-1, words.shape[1])
    return _bits(rows)[:outputs, :inputs].T


def _unpack_real(reader: _Reader, inputs: int, outputs: int) -> np.ndarray:
    """The inverse of `packing.pack_real`."""
    panel = REAL_PANEL
    panels, groups = -(-outputs // panel), -(-inputs // 4)
    bits = _bits(reader.array("<u8", panels * groups, 1)).reshape(panels, groups, panel, 4)
    return bits.transpose(0, 2, 1, 3).reshape(panels * panel, -1)[:outputs, :inputs].T


def _bits(words: np.ndarray) -> np.ndarray:
    """uint64 (rows, w) → bool (rows, 64·w), the inverse of how the format packs them."""
    rows = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(rows, axis=1, bitorder="little").astype(bool)


def _latent(negative: np.ndarray, scale: float) -> np.ndarray:
    mean = latent_mean(scale)
    return np.where(negative, -mean, mean).astype(np.float32)
