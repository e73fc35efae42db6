"""The bytes of a ``.tflite`` file by their kind."""

from collections import Counter

import numpy as np

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Operation
from beex_keras.export.tflite.metadata import VOCABULARY_ENTRY


def file_sizes(data: bytes) -> dict[str, int]:
    """The bytes of a ``.tflite`` file by their kind, which add up to ``total``.

    Returns:
        binary: constants stored at one bit a weight.
        sign: constants of exactly ±1 that are stored as float32.
        real: all other real constants, as float32 or 16-bit integers with a scale.
        integer: thresholds, shapes, axes.
        vocabulary: the vocabulary, for the runtime only.
        metadata: all other metadata.
        structure: operators, tensors, names and padding.
        total: length of the file.

    Example:
        >>> with open("model.tflite", "rb") as file:
        ...     sizes = beex.export.file_sizes(file.read())
        >>> sizes["binary"] + sizes["real"] < sizes["total"]
        True
    """
    model = flatbuffer.parse(data)
    operations = list(flatbuffer.operations(model))
    unpacked = {id(o.inputs[0]) for o in operations if o.name == flatbuffer.UNPACK}
    sizes, counted = Counter[str](), set[int]()
    for operation in operations:
        for position, tensor in enumerate(operation.inputs):
            if tensor is None or tensor.buffer in counted:
                continue
            value = flatbuffer.constant(model, tensor)
            if value is not None:
                counted.add(tensor.buffer)
                sizes[_kind(operation, position, value, unpacked)] += value.nbytes
    for entry in model.metadata or []:
        name = flatbuffer.text(entry.name)
        kind = "vocabulary" if name == VOCABULARY_ENTRY else "metadata"
        sizes[kind] += len(flatbuffer.get_metadata(model, name) or b"")
    kinds = ("binary", "sign", "real", "integer", "vocabulary", "metadata")
    known = {kind: sizes[kind] for kind in kinds}
    return {**known, "structure": len(data) - sum(known.values()), "total": len(data)}


def _kind(operation: Operation, position: int, value: np.ndarray, unpacked: set[int]) -> str:
    """The kind of a constant input; `unpacked` has the ids of the tensors that LceDequantize reads."""
    packed = {"LceBconv2d": 1, flatbuffer.UNPACK: 0}
    if operation.name == "GATHER" and id(operation.outputs[0]) in unpacked:
        packed["GATHER"] = 0
    if packed.get(operation.name) == position and value.dtype == np.int32:
        return "binary"
    if flatbuffer.is_sign_matrix(value):
        return "sign"
    return "real" if value.dtype.kind == "f" or value.dtype == np.int16 else "integer"
