"""The weights of embedding, blocks and exits, in the order that the engine takes them in."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.audit import EMBEDDING, BinaryMatrix
from beex_keras.export.beex_format.packing import (
    pack_binary,
    pack_int8,
    pack_real,
    pack_words,
    quantize_columns,
)
from beex_keras.export.beex_format.writer import MOST_INT8_SCALE, Writer, check_range
from beex_keras.layers import BinaryLinear, LayerNorm
from beex_keras.layers.grid import ATTENTION_BITS, WEIGHT_BITS
from beex_keras.models import BEExformerClassifier

NETWORK_PARTS = {
    "slfn": ("gate_in", "content_in", "gate_out", "content_out"),
    "ffn": ("up", "down"),
}

_Matrices = Mapping[str, BinaryMatrix]


def write_embedding(
    writer: Writer, classifier: BEExformerClassifier, matrices: _Matrices, length: int
) -> None:
    embedding = classifier.backbone.embedding
    if EMBEDDING in matrices:
        writer.put(pack_words(matrices[EMBEDDING].signs < 0))
        writer.channels(embedding.token.scale, f"{EMBEDDING}/scale")
    elif writer.int8_weights:
        _write_int8(writer, embedding.token.table.numpy(), EMBEDDING, lambda table: table)
    else:
        writer.put(embedding.token.table.numpy(), EMBEDDING)
    writer.put(embedding.positions.numpy()[:length], "embedding/position")
    if embedding.num_segments > 1:
        writer.put(embedding.segment.numpy(), "embedding/segment")
    _write_norm(writer, embedding.normalization, "embedding/normalization")


def write_block(writer: Writer, block: Any, name: str, matrices: _Matrices, length: int) -> None:
    attention = block.attention
    if attention.query.activation_bits == 1:
        _check_range(attention, name, length)
    for linear in (attention.query, attention.key, attention.value, attention.project):
        _write_linear(writer, linear, f"{name}/attention/{linear.name}", matrices)
    _write_norm(writer, block.attention_norm, f"{name}/attention_norm")
    network = block.network()
    for part in NETWORK_PARTS[network.name]:
        _write_linear(writer, network.linears()[part], f"{name}/{network.name}/{part}", matrices)
    _write_norm(writer, block.slfn_norm, f"{name}/slfn_norm")


def _check_range(attention: Any, name: str, length: int) -> None:
    """Raises if whole numbers of the engine's attention could overflow, whatever the signs."""
    limits = {}
    for linear in (attention.query, attention.key, attention.value):
        scale, bias = (np.abs(linear.on_grid(values)) for values in (linear.alpha, linear.bias))
        limits[linear.name] = (attention.width * scale + bias) * 2.0**ATTENTION_BITS
    scores = (limits["query"] * limits["key"]).reshape(attention.num_heads, -1).sum(axis=1)
    context = length * limits["value"] * 2.0**WEIGHT_BITS
    if max(map(np.max, limits.values())) > 32767 or max(scores.max(), context.max()) >= 2**31:
        raise BeexError(
            f"The scales of {name}/attention are too large for the whole numbers of the engine; "
            "convert the model to .tflite."
        )


def _write_norm(writer: Writer, norm: LayerNorm, name: str) -> None:
    writer.channels(norm.gamma, f"{name}/gamma")
    writer.channels(norm.beta, f"{name}/beta")


def _write_linear(writer: Writer, linear: BinaryLinear, name: str, matrices: _Matrices) -> None:
    matrix = matrices.get(name)
    if matrix is None and writer.int8_weights:
        _write_int8(writer, linear.kernel.numpy()[0, 0], name, pack_int8)
    elif matrix is None:
        writer.put(linear.kernel.numpy()[0, 0], f"{name}/kernel")
    else:
        pack = pack_binary if linear.activation_bits == 1 else pack_real
        writer.put(pack(matrix.signs < 0))
        writer.channels(matrix.scale, f"{name}/scale")
    writer.channels(linear.on_grid(linear.bias), f"{name}/bias")


def _write_int8(
    writer: Writer, matrix: np.ndarray, name: str, pack: Callable[[np.ndarray], np.ndarray]
) -> None:
    check_range(matrix, name, 127 * MOST_INT8_SCALE)
    weights, scale = quantize_columns(matrix)
    writer.put(pack(weights))
    writer.channels(scale, f"{name}/scale", MOST_INT8_SCALE)
