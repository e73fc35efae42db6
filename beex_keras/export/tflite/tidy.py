"""Passes that leave out what is repeated or says nothing, and say the rest in ops all engines have.

The converter gives each tensor a buffer and a quantization of its own, empty ones included, and it
keeps the barriers that were there for it alone.
"""

from typing import Any

import numpy as np

from beex_keras.export.tflite import flatbuffer


def remove_barriers(model: Any) -> None:
    """Takes out every MINIMUM with ∞, which is the identity; see `freeze`."""
    for graph in model.subgraphs:
        renamed: dict[int, int] = {}
        kept = []
        for operation in flatbuffer.graph_operations(model, graph):
            operator = operation.operator
            operator.inputs = [renamed.get(i, i) for i in flatbuffer.indices(operator.inputs)]
            if operation.name == "MINIMUM" and _is_infinity(model, operation.inputs[1]):
                renamed[int(operator.outputs[0])] = operator.inputs[0]
            else:
                kept.append(operator)
        graph.operators = kept
        graph.outputs = [renamed.get(i, i) for i in flatbuffer.indices(graph.outputs)]
    flatbuffer.drop_unused(model)


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
    for operation in flatbuffer.operations(model):
        if operation.name == "SELECT":
            replacement = flatbuffer.builtin_operator(
                model,
                "SELECT_V2",
                flatbuffer.schema().SelectV2OptionsT(),
                flatbuffer.indices(operation.operator.inputs),
                flatbuffer.indices(operation.operator.outputs),
            )
            operators = operation.graph.operators
            operators[operators.index(operation.operator)] = replacement
    flatbuffer.drop_unused(model)


def unfold_gelu(model: Any) -> None:
    r"""Makes GELU, which TensorFlow Lite Micro lacks, six ops that it has.

    The approximation by a tanh is \(x\,\sigma(x\,(b x^2 + a))\) with \(a = 2\sqrt{2/\pi}\) and
    \(b = 0.044715\,a\), since \((1 + \tanh u) / 2 = \sigma(2u)\). A GELU by its definition stays.
    """
    slope = 2 * np.sqrt(2 / np.pi)
    for graph in model.subgraphs:
        operators = []
        for operation in flatbuffer.graph_operations(model, graph):
            if operation.name != "GELU" or not operation.operator.builtinOptions.approximate:
                operators.append(operation.operator)
                continue
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
            operators.append(_elementwise(model, "MUL", [value, x], outputs))
        graph.operators = operators
    flatbuffer.drop_unused(model)


def _elementwise(model: Any, name: str, inputs: list[int], outputs: list[int]) -> Any:
    classes = flatbuffer.schema()
    options = {"MUL": classes.MulOptionsT, "ADD": classes.AddOptionsT}
    known = options[name]() if name in options else None
    return flatbuffer.builtin_operator(model, name, known, inputs, outputs)


def _is_infinity(model: Any, tensor: Any) -> bool:
    value = flatbuffer.constant(model, tensor)
    return value is not None and value.size == 1 and bool(np.isposinf(value).all())
