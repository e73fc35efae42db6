"""Passes that leave out what is repeated or says nothing, and say the rest in ops all engines have.

The converter gives each tensor a buffer and a quantization of its own, empty ones included, and it
keeps the barriers that were there for it alone.
"""

from typing import Any

import numpy as np

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Links, Operation


def remove_barriers(model: Any) -> None:
    """Takes out every MINIMUM with ∞, which is the identity; see `beex_keras.export.tflite.graphs`."""

    def source(operation: Operation, links: Links) -> int | None:
        bound = flatbuffer.constant(model, operation.inputs[1])
        is_barrier = bound is not None and bound.size == 1 and np.isposinf(bound).all()
        return operation.operator.inputs[0] if is_barrier else None

    flatbuffer.bypass(model, source, "MINIMUM")


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


def use_select_v2(model: Any) -> None:
    """Makes SELECT, which TensorFlow Lite Micro lacks, SELECT_V2, the same for equal shapes."""

    def replaced(operation: Operation, links: Links) -> list[Any]:
        options = flatbuffer.schema().SelectV2OptionsT()
        inputs = flatbuffer.indices(operation.operator.inputs)
        outputs = flatbuffer.indices(operation.operator.outputs)
        return [flatbuffer.new_operator(model, "SELECT_V2", inputs, outputs, options)]

    flatbuffer.rewrite(model, replaced, "SELECT")


def unfold_gelu(model: Any) -> None:
    r"""Makes GELU, which TensorFlow Lite Micro lacks, six ops that it has.

    The approximation by a tanh is \(x\,\sigma(x\,(b x^2 + a))\) with \(a = 2\sqrt{2/\pi}\) and
    \(b = 0.044715\,a\), since \((1 + \tanh u) / 2 = \sigma(2u)\). A GELU by its definition stays.
    """
    slope = 2 * np.sqrt(2 / np.pi)

    def unfolded(operation: Operation, links: Links) -> list[Any] | None:
        if not operation.operator.builtinOptions.approximate:
            return None
        graph, operators = operation.graph, []
        (x,) = flatbuffer.indices(operation.operator.inputs)
        (output,) = operation.outputs
        a, b = (
            flatbuffer.add_constant(model, graph, "constant", np.array(value, np.float32))
            for value in (slope, 0.044715 * slope)
        )
        value = x
        for name, *other in (("MUL", x), ("MUL", b), ("ADD", a), ("MUL", x), ("LOGISTIC",)):
            inputs = [value, *other]
            value = flatbuffer.add_tensor(graph, operation.label, output.shape, np.float32)
            operators.append(_elementwise(model, name, inputs, [value]))
        outputs = flatbuffer.indices(operation.operator.outputs)
        return [*operators, _elementwise(model, "MUL", [value, x], outputs)]

    flatbuffer.rewrite(model, unfolded, "GELU")


def _elementwise(model: Any, name: str, inputs: list[int], outputs: list[int]) -> Any:
    kind = getattr(flatbuffer.schema(), f"{name.capitalize()}OptionsT", None)
    return flatbuffer.new_operator(model, name, inputs, outputs, kind and kind())
