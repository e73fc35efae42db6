"""Passes that leave out what is repeated or says nothing.

The converter gives each tensor a buffer and a quantization of its own, empty ones included.
"""

from typing import Any

import numpy as np

from beex_keras.export import flatbuffer


def share_buffers(model: Any) -> None:
    """Leaves one buffer of each content, and for all computed tensors the empty buffer 0."""
    kept = {b"": 0}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            content = b"" if data is None else np.asarray(data, np.uint8).tobytes()
            tensor.buffer = kept.setdefault(content, tensor.buffer)
    flatbuffer.drop_unused(model)


def drop_empty_quantization(model: Any) -> None:
    """Drops quantizations without a scale, which mean the same as none."""
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            quantization = tensor.quantization
            if quantization is None or quantization.details is not None:
                continue
            if quantization.scale is None or len(quantization.scale) == 0:
                tensor.quantization = None
