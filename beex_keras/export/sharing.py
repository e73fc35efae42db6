"""Passes that store what is the same once.

The converter gives each tensor a buffer of its own, computed ones included, and repeats constants
that occur in several layers.
"""

from typing import Any

import numpy as np

from beex_keras.export import flatbuffer


def merge_constants(model: Any) -> None:
    """Leaves one tensor a graph of constants with the same type, shape and content."""
    for graph in model.subgraphs:
        kept: dict[Any, int] = {}
        place: dict[int, int] = {}
        ports = {*flatbuffer.indices(graph.inputs), *flatbuffer.indices(graph.outputs)}
        for index, tensor in enumerate(graph.tensors):
            content = _content(model, tensor)
            if content and index not in ports and _is_plain(tensor):
                key = (tensor.type, tuple(map(int, tensor.shape)), content)
                place[index] = kept.setdefault(key, index)
        for operator in graph.operators:
            operator.inputs = [place.get(i, i) for i in flatbuffer.indices(operator.inputs)]
    flatbuffer.drop_unused(model)


def share_buffers(model: Any) -> None:
    """Leaves one buffer of each content, and for all computed tensors the empty buffer 0."""
    kept = {b"": 0}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = kept.setdefault(_content(model, tensor), tensor.buffer)
    flatbuffer.drop_unused(model)


def _content(model: Any, tensor: Any) -> bytes:
    data = model.buffers[tensor.buffer].data
    return b"" if data is None else np.asarray(data, np.uint8).tobytes()


def _is_plain(tensor: Any) -> bool:
    """Whether type, shape and content say all about a constant."""
    quantized = tensor.quantization is not None and tensor.quantization.scale is not None
    return not (quantized or tensor.sparsity is not None or tensor.shape is None)
