"""Passes that put back together what the converter took apart.

It unfolds a product of batches (attention has one matrix a head) into a product for every matrix,
between SPLIT, RESHAPE, TRANSPOSE and PACK, and it computes the norm of a vector in five steps.
TensorFlow Lite has one op for either.
"""

from typing import Any

import numpy as np

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Operation, indices

_ALIGNED = {"ADD", "SUB", "MUL", "DIV", "TANH", "LOGISTIC", "RESHAPE"}
"""Ops to which a leading axis of size 1 makes no difference."""

_SMALLEST_NORM = 1e-6
"""The floor of L2_NORMALIZATION's divisor in TensorFlow Lite."""


def fuse(model: Any) -> None:
    """All passes of this module; sums may round differently, in the last bit, from before."""
    fuse_products(model)
    turn_right_factors(model)
    fuse_norms(model)
    keep_batch(model)
    skip_reshapes(model)


def fuse_products(model: Any) -> None:
    """Makes PACK(FULLY_CONNECTED of the parts of two SPLITs) one BATCH_MATMUL."""
    for graph in model.subgraphs:
        operations = flatbuffer.graph_operations(model, graph)
        producers = {id(tensor): o for o in operations for tensor in o.outputs}
        operators = []
        for operation in operations:
            fused = _batched_product(operation, producers)
            if fused is None:
                operators.append(operation.operator)
                continue
            *splits, transposed = fused
            options = flatbuffer.schema().BatchMatMulOptionsT()
            options.adjY = not transposed  # FULLY_CONNECTED multiplies with the rows of its kernel
            factors = [indices(split.operator.inputs)[1] for split in splits]
            unsqueezed = [_with_batch(split.inputs[1], producers) for split in splits]
            (product,) = operation.outputs
            if None not in unsqueezed and _takes_batch(product, operations):
                factors = [place for place in unsqueezed if place is not None]
                _give_batch(product, operations)
            product.name = flatbuffer.text(product.name).split(";")[0].rstrip("0123456789")
            operators.append(
                flatbuffer.builtin_operator(
                    model,
                    "BATCH_MATMUL",
                    options,
                    factors,
                    indices(operation.operator.outputs),
                )
            )
        graph.operators = operators
    flatbuffer.drop_unread(model)


def turn_right_factors(model: Any) -> None:
    """Lets a TRANSPOSE in front of a BATCH_MATMUL's right factor give it as the op multiplies: by rows.

    An interpreter that is given columns transposes them once more, and TensorFlow Lite Micro sets
    memory aside for that which no other op can use.
    """
    for graph in model.subgraphs:
        operations = flatbuffer.graph_operations(model, graph)
        producers = {id(tensor): o for o in operations for tensor in o.outputs}
        for operation in operations:
            if operation.name != "BATCH_MATMUL" or operation.operator.builtinOptions.adjY:
                continue
            factor = operation.inputs[1]
            transpose = producers.get(id(factor))
            if transpose is None or transpose.name != "TRANSPOSE":
                continue
            order = flatbuffer.constant(model, transpose.inputs[1])
            if order is None or len(_readers(factor, operations)) > 1:
                continue
            turned = np.array([*order[:-2], order[-1], order[-2]], np.int32)
            constant = flatbuffer.add_constant(model, graph, "permutation", turned)
            transpose.operator.inputs = [indices(transpose.operator.inputs)[0], constant]
            factor.shape = [*factor.shape[:-2], factor.shape[-1], factor.shape[-2]]
            operation.operator.builtinOptions.adjY = True
    flatbuffer.drop_unused(model)


def fuse_norms(model: Any) -> None:
    """Makes c · rsqrt(max(Σc², ε)), for ε of at most 1e-12, one L2_NORMALIZATION of c."""
    for graph in model.subgraphs:
        operations = flatbuffer.graph_operations(model, graph)
        producers = {id(tensor): o for o in operations for tensor in o.outputs}
        operators = []
        for operation in operations:
            place = _normalized_input(model, operation, producers)
            if place is None:
                operators.append(operation.operator)
                continue
            operators.append(
                flatbuffer.builtin_operator(
                    model,
                    "L2_NORMALIZATION",
                    flatbuffer.schema().L2NormOptionsT(),
                    [indices(operation.operator.inputs)[place]],
                    indices(operation.operator.outputs),
                )
            )
        graph.operators = operators
    flatbuffer.drop_unread(model)


def keep_batch(model: Any) -> None:
    """Lets FULLY_CONNECTED read and give (1, rows, channels) where a RESHAPE made it (rows, channels).

    The values are the same; the axis that counts texts stays one of its own.
    """
    for graph in model.subgraphs:
        operations = flatbuffer.graph_operations(model, graph)
        producers = {id(tensor): o for o in operations for tensor in o.outputs}
        for operation in operations:
            if operation.name != "FULLY_CONNECTED":
                continue
            (output,) = operation.outputs
            rows = operation.inputs[0]
            reshape = producers.get(id(rows))
            if (
                reshape is not None
                and reshape.name == "RESHAPE"
                and len(rows.shape) == 2
                and len(reshape.inputs[0].shape) > 2
                and reshape.inputs[0].shape[0] == 1
                and sum(tensor is rows for o in operations for tensor in o.inputs) == 1
                and _takes_batch(output, operations)
            ):
                rows.shape = [1, *rows.shape]
                _give_batch(output, operations)
                operation.operator.builtinOptions.keepNumDims = True
                shape = np.array(rows.shape, np.int32)
                constant = flatbuffer.add_constant(model, graph, "shape", shape)
                reshape.operator.inputs = [indices(reshape.operator.inputs)[0], constant]
                reshape.operator.builtinOptions = None
                reshape.operator.builtinOptionsType = 0
    flatbuffer.drop_unused(model)


def _takes_batch(tensor: Any, operations: list[Operation]) -> bool:
    """Whether a leading axis of size 1 makes no difference to whatever reads the tensor."""
    return all(
        reader.name in _ALIGNED
        and (
            reader.name == "RESHAPE"
            or len(reader.outputs[0].shape) > len(tensor.shape)
            or _takes_batch(reader.outputs[0], operations)
        )
        for reader in _readers(tensor, operations)
    )


def _give_batch(tensor: Any, operations: list[Operation]) -> None:
    """Adds a leading axis of size 1 to a tensor, and to what follows from it element by element."""
    tensor.shape = [1, *tensor.shape]
    for reader in _readers(tensor, operations):
        (output,) = reader.outputs
        if reader.name != "RESHAPE" and len(output.shape) < len(tensor.shape):
            _give_batch(output, operations)


def _readers(tensor: Any, operations: list[Operation]) -> list[Operation]:
    return [o for o in operations if any(known is tensor for known in o.inputs)]


def skip_reshapes(model: Any) -> None:
    """Takes out each RESHAPE to the shape that is there already, and joins one after another."""
    for graph in model.subgraphs:
        operations = flatbuffer.graph_operations(model, graph)
        producers = {id(tensor): o for o in operations for tensor in o.outputs}
        outputs = set(indices(graph.outputs))
        renamed: dict[int, int] = {}
        kept = []
        for operation in operations:
            operator = operation.operator
            operator.inputs = [renamed.get(i, i) for i in indices(operator.inputs)]
            if operation.name == "RESHAPE":
                before = producers.get(id(graph.tensors[operator.inputs[0]]))
                if before is not None and before.name == "RESHAPE":
                    operator.inputs = [before.operator.inputs[0], *operator.inputs[1:]]
                source, target = graph.tensors[operator.inputs[0]], operation.outputs[0]
                if list(source.shape) == list(target.shape) and operator.outputs[0] not in outputs:
                    renamed[int(operator.outputs[0])] = int(operator.inputs[0])
                    continue
            kept.append(operator)
        graph.operators = kept
    flatbuffer.drop_unread(model)


def _batched_product(
    pack: Operation, producers: dict[int, Operation]
) -> tuple[Operation, Operation, bool] | None:
    """The SPLITs of the left and the right factor, and whether the right one was transposed."""
    if pack.name != "PACK" or pack.operator.builtinOptions.axis != 0:
        return None
    found: set[tuple[int, int, bool]] = set()
    splits: list[Operation] = []
    for number, tensor in enumerate(pack.inputs):
        product = producers.get(id(tensor))
        if product is None or product.name != "FULLY_CONNECTED" or product.inputs[2:] != (None,):
            return None
        left = _part(product.inputs[0], number, producers)
        kernel = producers.get(id(product.inputs[1]))
        transposed = kernel is not None and kernel.name == "TRANSPOSE"
        right = _part(
            kernel.inputs[0] if kernel is not None and transposed else product.inputs[1],
            number,
            producers,
        )
        if left is None or right is None:
            return None
        rows, columns = right.outputs[0].shape[-2:]
        if rows != columns:  # a column may have become a row by a RESHAPE
            transposed = list(product.inputs[1].shape) == [columns, rows]
        found.add((id(left), id(right), transposed))
        splits = [left, right]
    if len(found) != 1 or any(len(split.outputs) != len(pack.inputs) for split in splits):
        return None
    ((_, _, transposed),) = found
    return splits[0], splits[1], transposed


def _part(tensor: Any, number: int, producers: dict[int, Operation]) -> Operation | None:
    """The SPLIT whose output `number` the tensor is, perhaps reshaped."""
    producer = producers.get(id(tensor))
    if producer is not None and producer.name == "RESHAPE":
        tensor = producer.inputs[0]
        producer = producers.get(id(tensor))
    if producer is None or producer.name != "SPLIT" or number >= len(producer.outputs):
        return None
    return producer if producer.outputs[number] is tensor else None


def _with_batch(tensor: Any, producers: dict[int, Operation]) -> int | None:
    """The tensor of shape (1, …) that a RESHAPE took the leading 1 from to make this one."""
    reshape = producers.get(id(tensor))
    if reshape is None or reshape.name != "RESHAPE":
        return None
    if list(reshape.inputs[0].shape) != [1, *tensor.shape]:
        return None
    return indices(reshape.operator.inputs)[0]


def _normalized_input(
    model: Any, product: Operation, producers: dict[int, Operation]
) -> int | None:
    """Which input of the product is a vector that the other input is the inverse norm of."""
    if product.name != "MUL":
        return None
    for place, tensor in enumerate(product.inputs):
        chain = []
        other = product.inputs[1 - place]
        for name in ("RSQRT", "MAXIMUM", "SUM"):
            step = producers.get(id(other))
            if step is None or step.name != name:
                break
            chain.append(step)
            other = step.inputs[0]
        else:
            floor = flatbuffer.constant(model, chain[1].inputs[1])
            axes = flatbuffer.constant(model, chain[2].inputs[1])
            if floor is None or axes is None or not np.all(floor <= _SMALLEST_NORM**2 * 1.001):
                continue
            if not np.array_equal(axes.ravel() % len(tensor.shape), [len(tensor.shape) - 1]):
                continue
            if _is_square(producers.get(id(other)), tensor, producers):
                return place
    return None


def _is_square(square: Operation | None, tensor: Any, producers: dict[int, Operation]) -> bool:
    """Whether an op squares the tensor, or squares the difference that the tensor is."""
    if square is None:
        return False
    if square.name == "SQUARE":
        return square.inputs[0] is tensor
    if square.name == "MUL":
        return square.inputs[0] is tensor and square.inputs[1] is tensor
    difference = producers.get(id(tensor))
    return (
        square.name == "SQUARED_DIFFERENCE"
        and difference is not None
        and difference.name == "SUB"
        and all(a is b for a, b in zip(difference.inputs, square.inputs, strict=True))
    )
