"""A pass that stores real constants as 16-bit integers where that loses nothing."""

from typing import Any

import numpy as np

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Links, Operation, indices

_SMALLEST = 1024
"""Elements from which on the smaller constant outweighs the op that reads it."""

_BITS = range(4, 25)
_LIMIT = np.iinfo(np.int16).max


def pack_reals(model: Any) -> None:
    """Stores float32 constants of elementwise ops as int16, for DEQUANTIZE to multiply with a scale.

    Only constants that are whole multiples of a power of two, as the table of positions is: the
    product is then exactly the number that was there.
    """

    def packed(operation: Operation, links: Links) -> list[Any]:
        operator, graph, classes = operation.operator, operation.graph, flatbuffer.schema()
        operators = [operator]
        for place, tensor in enumerate(operation.inputs):
            value = flatbuffer.constant(model, tensor)
            bits = None if value is None else fitting_bits(value)
            if value is None or bits is None:
                continue
            words = np.round(value.astype(np.float64) * 2.0**bits).astype(np.int16)
            name = flatbuffer.text(tensor.name)
            packed = flatbuffer.add_constant(model, graph, name, words)
            quantization = classes.QuantizationParametersT()
            quantization.scale = np.array([2.0**-bits], np.float32)
            quantization.zeroPoint = np.array([0], np.int64)
            graph.tensors[packed].quantization = quantization
            real = flatbuffer.add_tensor(graph, name, value.shape, np.float32)
            options = classes.DequantizeOptionsT()
            unpack = flatbuffer.new_operator(model, "DEQUANTIZE", [packed], [real], options, 2)
            operators.insert(-1, unpack)
            operator.inputs = indices(operator.inputs)
            operator.inputs[place] = real
        return operators

    flatbuffer.rewrite(model, packed, "ADD", "MUL", "SUB")


def fitting_bits(value: np.ndarray) -> int | None:
    """The fewest bits b for which all values are multiples of 2^-b within int16; None if none fit."""
    if value.dtype != np.float32 or value.size < _SMALLEST:
        return None
    for bits in _BITS:
        scaled = value.astype(np.float64) * 2.0**bits
        if np.abs(scaled).max() > _LIMIT:
            return None
        if np.array_equal(scaled, np.round(scaled)):
            return bits
    return None
