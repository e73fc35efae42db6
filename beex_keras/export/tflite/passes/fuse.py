"""Passes that put back together what the converter took apart.

It unfolds a product of batches (attention has one matrix a head) into a product for every matrix,
between SPLIT, RESHAPE, TRANSPOSE and PACK, and it computes the norm of a vector in five steps.
TensorFlow Lite has one op for either.
"""

from typing import Any

import numpy as np

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Links, Operation, indices

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

    def fused(operation: Operation, links: Links) -> list[Any] | None:
        found = _batched_product(operation, links)
        if found is None:
            return None
        *splits, transposed = found
        options = flatbuffer.schema().BatchMatMulOptionsT()
        options.adjY = not transposed  # FULLY_CONNECTED multiplies with the rows of its kernel
        factors = [indices(split.operator.inputs)[1] for split in splits]
        unsqueezed = [_with_batch(split.inputs[1], links) for split in splits]
        (product,) = operation.outputs
        if None not in unsqueezed and _takes_batch(product, links):
            factors = [place for place in unsqueezed if place is not None]
            _give_batch(product, links)
        product.name = flatbuffer.text(product.name).split(";")[0].rstrip("0123456789")
        outputs = indices(operation.operator.outputs)
        return [flatbuffer.new_operator(model, "BATCH_MATMUL", factors, outputs, options)]

    flatbuffer.rewrite(model, fused, "PACK")


def turn_right_factors(model: Any) -> None:
    """Lets a TRANSPOSE in front of a BATCH_MATMUL's right factor give it as the op multiplies: by rows.

    An interpreter that is given columns transposes them once more, and TensorFlow Lite Micro sets
    memory aside for that which no other op can use.
    """

    def turn(operation: Operation, links: Links) -> None:
        factor = operation.inputs[1]
        transpose = links.producer(factor, "TRANSPOSE")
        if transpose is None or operation.operator.builtinOptions.adjY:
            return
        order = flatbuffer.constant(model, transpose.inputs[1])
        if order is None or len(links.readers(factor)) > 1:
            return
        turned = np.array([*order[:-2], order[-1], order[-2]], np.int32)
        _give_constant(model, transpose, "permutation", turned)
        factor.shape = [*factor.shape[:-2], factor.shape[-1], factor.shape[-2]]
        operation.operator.builtinOptions.adjY = True

    flatbuffer.rewrite(model, turn, "BATCH_MATMUL")


def fuse_norms(model: Any) -> None:
    """Makes c · rsqrt(max(Σc², ε)), for ε of at most 1e-12, one L2_NORMALIZATION of c."""

    def fused(operation: Operation, links: Links) -> list[Any] | None:
        place = _normalized_input(model, operation, links)
        if place is None:
            return None
        options = flatbuffer.schema().L2NormOptionsT()
        inputs = [indices(operation.operator.inputs)[place]]
        outputs = indices(operation.operator.outputs)
        return [flatbuffer.new_operator(model, "L2_NORMALIZATION", inputs, outputs, options)]

    flatbuffer.rewrite(model, fused, "MUL")


def keep_batch(model: Any) -> None:
    """Lets FULLY_CONNECTED read and give (1, rows, channels) where a RESHAPE made it (rows, channels).

    The values are the same; the axis that counts texts stays one of its own.
    """

    def keep(operation: Operation, links: Links) -> None:
        rows, (output,) = operation.inputs[0], operation.outputs
        reshape = links.producer(rows, "RESHAPE")
        if reshape is None or len(rows.shape) != 2 or not _takes_batch(output, links):
            return
        before = flatbuffer.shape(reshape.inputs[0])
        uses = sum(tensor is rows for o in links.operations for tensor in o.inputs)
        if len(before) > 2 and before[0] == 1 and uses == 1:
            rows.shape = [1, *rows.shape]
            _give_batch(output, links)
            operation.operator.builtinOptions.keepNumDims = True
            _give_constant(model, reshape, "shape", np.array(rows.shape, np.int32))
            reshape.operator.builtinOptions = None
            reshape.operator.builtinOptionsType = 0

    flatbuffer.rewrite(model, keep, "FULLY_CONNECTED")


def skip_reshapes(model: Any) -> None:
    """Takes out each RESHAPE to the shape that is there already, and joins one after another."""

    def source(operation: Operation, links: Links) -> int | None:
        operator, graph = operation.operator, operation.graph
        before = links.producer(graph.tensors[operator.inputs[0]], "RESHAPE")
        if before is not None:
            operator.inputs = [before.operator.inputs[0], *operator.inputs[1:]]
        place, (output,) = int(operator.inputs[0]), operation.outputs
        is_same = flatbuffer.shape(graph.tensors[place]) == flatbuffer.shape(output)
        return place if is_same and operator.outputs[0] not in indices(graph.outputs) else None

    flatbuffer.bypass(model, source, "RESHAPE")


def _give_constant(model: Any, operation: Operation, name: str, value: np.ndarray) -> None:
    """Makes a new constant the second of an op's two inputs."""
    constant = flatbuffer.add_constant(model, operation.graph, name, value)
    operation.operator.inputs = [indices(operation.operator.inputs)[0], constant]


def _takes_batch(tensor: Any, links: Links) -> bool:
    """Whether a leading axis of size 1 makes no difference to whatever reads the tensor."""
    if links.is_output(tensor):
        return False
    for reader in links.readers(tensor):
        if reader.name not in _ALIGNED:
            return False
        is_apart = reader.name == "RESHAPE" or len(reader.outputs[0].shape) > len(tensor.shape)
        if not is_apart and not _takes_batch(reader.outputs[0], links):
            return False
    return True


def _give_batch(tensor: Any, links: Links) -> None:
    """Adds a leading axis of size 1 to a tensor, and to what follows from it element by element."""
    tensor.shape = [1, *tensor.shape]
    for reader in links.readers(tensor):
        (output,) = reader.outputs
        if reader.name != "RESHAPE" and len(output.shape) < len(tensor.shape):
            _give_batch(output, links)


def _batched_product(pack: Operation, links: Links) -> tuple[Operation, Operation, bool] | None:
    """The SPLITs of the left and the right factor, and whether the right one was transposed."""
    if pack.operator.builtinOptions.axis != 0:
        return None
    found: dict[tuple[int, int, bool], tuple[Operation, Operation, bool]] = {}
    for number, tensor in enumerate(pack.inputs):
        product = links.producer(tensor, "FULLY_CONNECTED")
        if product is None or product.inputs[2:] != (None,):
            return None
        transpose = links.producer(product.inputs[1], "TRANSPOSE")
        transposed = transpose is not None
        left = _part(product.inputs[0], number, links)
        right = _part(transpose.inputs[0] if transpose else product.inputs[1], number, links)
        if left is None or right is None:
            return None
        rows, columns = right.outputs[0].shape[-2:]
        if rows != columns:  # a column may have become a row by a RESHAPE
            transposed = list(product.inputs[1].shape) == [columns, rows]
        if len(left.outputs) != len(pack.inputs) or len(right.outputs) != len(pack.inputs):
            return None
        found[id(left), id(right), transposed] = left, right, transposed
    return next(iter(found.values())) if len(found) == 1 else None


def _part(tensor: Any, number: int, links: Links) -> Operation | None:
    """The SPLIT whose output `number` the tensor is, perhaps reshaped."""
    reshape = links.producer(tensor, "RESHAPE")
    tensor = tensor if reshape is None else reshape.inputs[0]
    split = links.producer(tensor, "SPLIT")
    if split is None or number >= len(split.outputs):
        return None
    return split if split.outputs[number] is tensor else None


def _with_batch(tensor: Any, links: Links) -> int | None:
    """The tensor of shape (1, …) that a RESHAPE took the leading 1 from to make this one."""
    reshape = links.producer(tensor, "RESHAPE")
    if reshape is None or list(reshape.inputs[0].shape) != [1, *tensor.shape]:
        return None
    return indices(reshape.operator.inputs)[0]


def _normalized_input(model: Any, product: Operation, links: Links) -> int | None:
    """Which input of the product is a vector that the other input is the inverse norm of."""
    for place, tensor in enumerate(product.inputs):
        root = links.producer(product.inputs[1 - place], "RSQRT")
        limit = root and links.producer(root.inputs[0], "MAXIMUM")
        total = limit and links.producer(limit.inputs[0], "SUM")
        if limit is None or total is None:
            continue
        floor = flatbuffer.constant(model, limit.inputs[1])
        axes = flatbuffer.constant(model, total.inputs[1])
        if floor is None or axes is None or not np.all(floor <= _SMALLEST_NORM**2 * 1.001):
            continue
        if not np.array_equal(axes.ravel() % len(tensor.shape), [len(tensor.shape) - 1]):
            continue
        if _is_square(links.producer(total.inputs[0]), tensor, links):
            return place
    return None


def _is_square(square: Operation | None, tensor: Any, links: Links) -> bool:
    """Whether an op squares the tensor, or squares the difference that the tensor is."""
    if square is None:
        return False
    if square.name in ("SQUARE", "MUL"):
        return all(factor is tensor for factor in square.inputs)
    difference = links.producer(tensor, "SUB")
    if square.name != "SQUARED_DIFFERENCE" or difference is None:
        return False
    return all(a is b for a, b in zip(difference.inputs, square.inputs, strict=True))
