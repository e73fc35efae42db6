"""Passes that store ±1 constants of float operators at one bit a weight.

The converter packs the filters of LceBconv2d only. A matrix that float activations are multiplied
with, or that rows are looked up in, stays float32, 32 times as large. Here it becomes int32 words,
and Larq Compute Engine's own op unpacks them where they are used: the values that the operators
compute with are the same as before.
"""

from typing import Any

import numpy as np

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Links, Operation


def pack_kernels(model: Any) -> None:
    """Packs the ±1 kernels of FULLY_CONNECTED; each is unpacked once, in front of its first reader.

    Unpacked signs live only up to the last reader, so memory grows by the largest kernel, not by
    all of them.
    """
    unpacked: dict[tuple[int, int], int] = {}  # float kernel of a graph → its unpacked signs

    def pack(operation: Operation, links: Links) -> list[Any] | None:
        operator, graph = operation.operator, operation.graph
        signs = _sign_matrix(model, operation.inputs[1])
        if signs is None:
            return None
        data, kernel, *bias = flatbuffer.indices(operator.inputs)
        key, operators = (id(graph), kernel), [operator]
        if key not in unpacked:
            name = flatbuffer.text(operation.inputs[1].name)
            words = flatbuffer.add_constant(model, graph, name, flatbuffer.pack_bits(signs))
            unpacked[key] = flatbuffer.add_tensor(graph, name, signs.shape, np.float32)
            operators.insert(0, _unpack(model, words, unpacked[key]))
        operator.inputs = [data, unpacked[key], *bias]
        return operators

    flatbuffer.rewrite(model, pack, "FULLY_CONNECTED")


def pack_tables(model: Any) -> None:
    """Packs the ±1 tables of GATHER; only the rows that were looked up are unpacked."""

    def pack(operation: Operation, links: Links) -> list[Any] | None:
        options, signs = operation.operator.builtinOptions, _sign_matrix(model, operation.inputs[0])
        if signs is None or options.axis not in (0, -2) or options.batchDims != 0:
            return None
        operator, graph, words = operation.operator, operation.graph, flatbuffer.pack_bits(signs)
        name = flatbuffer.text(operation.inputs[0].name)
        table = flatbuffer.add_constant(model, graph, name, words)
        shape = [*operation.outputs[0].shape[:-1], words.shape[-1]]
        label = f"{operation.label.split(';')[0]}/bits"
        packed_rows = flatbuffer.add_tensor(graph, label, shape, np.int32)
        unpack = _unpack(model, packed_rows, int(operator.outputs[0]))
        operator.inputs = [table, *flatbuffer.indices(operator.inputs)[1:]]
        operator.outputs = [packed_rows]
        return [operator, unpack]

    flatbuffer.rewrite(model, pack, "GATHER")


def _sign_matrix(model: Any, tensor: Any) -> np.ndarray | None:
    """The value of a constant float32 matrix of exactly ±1; None for anything else."""
    value = None if tensor is None else flatbuffer.constant(model, tensor)
    if value is None or value.dtype != np.float32 or value.ndim != 2:
        return None
    return value if flatbuffer.is_sign_matrix(value) else None


def _unpack(model: Any, words: int, signs: int) -> Any:
    return flatbuffer.new_operator(model, flatbuffer.UNPACK, [words], [signs])
