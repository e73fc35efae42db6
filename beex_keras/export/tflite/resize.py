"""A converted graph for other numbers of texts and tokens, without converting again.

Interpreters fix the shapes that a file was converted for, and Larq Compute Engine's cannot change
them. A host that groups texts by length, and texts of like length to batches, needs the same graph
with other shapes; the weights, but for the table of positions, do not depend on them.
"""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Operation, indices

Axes = frozenset[int]
"""The axes of a tensor that count tokens."""


class Resizer:
    """Follows the axes of texts and tokens through a file of batch 1 and length T.

    The first axis of every computed tensor counts texts. Which ones count tokens follows from the
    input's second axis, op by op.

    Args:
        model: a parsed file that `convert` or `convert_segments` made; it is changed by `resized`.
        length: T.

    Attributes:
        batchable: whether the graph can take more than one text: not if it decides for itself where
            to exit, and not if its only attention head was converted to products of one text.

    Raises:
        BeexError: the file has an op that none of our models has.
    """

    def __init__(self, model: Any, length: int) -> None:
        self.model = model
        self.length = length
        self.batchable = True
        self._axes: dict[int, Axes] = {}  # of every tensor that depends on an input
        self._tables: dict[int, int] = {}  # the axis of what is unpacked from a constant of T rows
        self._producers = {
            id(tensor): o for o in flatbuffer.operations(model) for tensor in o.outputs
        }
        self._shapes = {
            id(tensor): [int(size) for size in tensor.shape if tensor.shape is not None]
            for graph in model.subgraphs
            for tensor in graph.tensors
            if tensor.shape is not None
        }
        self._reshapes: list[Operation] = []
        self._sliced: list[tuple[Operation, int, int, np.ndarray]] = []
        main = model.subgraphs[0]
        for place in indices(main.inputs):
            tensor = main.tensors[place]
            # The threshold, one number, is the only input that does not count tokens.
            self._axes[id(tensor)] = Axes({1} if len(self._shape(tensor)) > 1 else ())
        self._follow(main)
        # An index of the only exit there is counts no texts.
        if any(id(main.tensors[place]) not in self._axes for place in indices(main.outputs)):
            self.batchable = False
        for graph in model.subgraphs:
            for tensor in graph.tensors:
                if self.axes(tensor) & {0}:
                    self.batchable = False

    def axes(self, tensor: Any) -> Axes:
        """The axes of a tensor that count tokens."""
        return self._axes.get(id(tensor), Axes())

    def resized(self, batch: int, length: int) -> bytes:
        """The file for `batch` texts of up to `length` tokens, without its metadata.

        Raises:
            BeexError: `length` is beyond T, or the graph takes one text at a time.
        """
        if not 1 <= length <= self.length:
            raise BeexError(f"length={length} must lie between 1 and the file's {self.length}.")
        if batch > 1 and not self.batchable:
            raise BeexError(
                "The file takes one text at a time; convert it to segments for batches."
            )
        model = self.model
        num_buffers = len(model.buffers)
        num_tensors = [len(graph.tensors) for graph in model.subgraphs]
        metadata = model.metadata
        restore: list[Callable[[], None]] = []
        try:
            for graph in model.subgraphs:
                for tensor in graph.tensors:
                    if id(tensor) in self._axes or id(tensor) in self._tables:
                        tensor.shape = self._resized_shape(tensor, batch, length)
            for operation in self._reshapes:
                new_shape = np.array(operation.outputs[0].shape, np.int32)
                self._replace(operation, 1, new_shape, restore)
            for operation, place, axis, value in self._sliced:
                shorter = np.take(value, np.arange(length), axis=axis)
                self._replace(operation, place, shorter, restore)
            model.metadata = []
            return flatbuffer.pack(model)
        finally:
            for undo in restore:
                undo()
            model.metadata = metadata
            del model.buffers[num_buffers:]
            for graph, count in zip(model.subgraphs, num_tensors, strict=True):
                del graph.tensors[count:]

    def _resized_shape(self, tensor: Any, batch: int, length: int) -> list[int]:
        shape = list(self._shape(tensor))
        if id(tensor) in self._tables:
            shape[self._tables[id(tensor)]] = length
            return shape
        for axis in self.axes(tensor):
            shape[axis] = length
        if shape:
            shape[0] *= batch
        return shape

    def _replace(
        self, operation: Operation, place: int, value: np.ndarray, restore: list[Callable[[], None]]
    ) -> None:
        """Gives an operator another constant for as long as `restore` is not called."""
        operator, before = operation.operator, operation.operator.inputs
        tensor = operation.inputs[place]
        after = indices(before)
        after[place] = flatbuffer.add_constant(
            self.model, operation.graph, flatbuffer.text(tensor.name), value
        )
        operation.graph.tensors[after[place]].quantization = tensor.quantization
        operator.inputs = after
        restore.append(lambda: setattr(operator, "inputs", before))

    def _follow(self, graph: Any) -> None:
        """Finds the axes of all that a graph computes from those of its inputs."""
        for operation in flatbuffer.graph_operations(self.model, graph):
            branches = flatbuffer.branches(self.model, operation)
            if branches:
                self.batchable = False
                for branch in branches:
                    for outer, inner in zip(
                        operation.inputs[1:], indices(branch.inputs), strict=True
                    ):
                        self._axes[id(branch.tensors[inner])] = self.axes(outer)
                    self._follow(branch)
            elif any(id(tensor) in self._axes for tensor in operation.inputs):
                if operation.name == "RESHAPE":
                    self._reshapes.append(operation)
                counts_tokens = any(self.axes(tensor) for tensor in operation.inputs)
                rule = _RULES.get(operation.name, Resizer._elementwise)
                for tensor in operation.outputs:
                    self._axes[id(tensor)] = Axes(rule(self, operation) if counts_tokens else ())

    # === How an op's output axes follow from its input axes ===

    def _elementwise(self, operation: Operation) -> Iterable[int]:
        """Operands are aligned at their last axes; a constant of T rows is to be cut."""
        (output,) = operation.outputs
        rank = len(self._shape(output))
        if any(
            len(self._shape(tensor)) > rank for tensor in operation.inputs if tensor is not None
        ):
            raise self._unknown(operation)
        found = {
            axis + rank - len(self._shape(tensor))
            for tensor in operation.inputs
            if tensor is not None
            for axis in self.axes(tensor)
        }
        for place, tensor in enumerate(operation.inputs):
            if tensor is None or id(tensor) in self._axes:
                continue
            shape = self._shape(tensor)
            for axis, size in enumerate(shape):
                if axis + rank - len(shape) in found and size == self.length:
                    self._cut(operation, place, axis)
        return found

    def _cut(self, operation: Operation, place: int, axis: int) -> None:
        """Notes that a constant, or the constant that an operand is unpacked from, has T rows."""
        unpack = self._producers.get(id(operation.inputs[place]))
        if unpack is not None and unpack.name == "DEQUANTIZE":
            self._tables[id(operation.inputs[place])] = axis
            operation, place = unpack, 0
        self._sliced.append((operation, place, axis, self._constant(operation, place)))

    def _reshape(self, operation: Operation) -> Iterable[int]:
        """An axis is found again by the number of elements in front of one step along it."""
        source, target = self._shape(operation.inputs[0]), self._shape(operation.outputs[0])
        for axis in self.axes(operation.inputs[0]):
            places = [
                place
                for place, size in enumerate(target)
                if size == self.length and prod(target[:place]) == prod(source[:axis])
            ]
            if not places:
                raise self._unknown(operation)
            yield places[0]

    def _transpose(self, operation: Operation) -> Iterable[int]:
        order = list(self._constant(operation, 1))
        return (order.index(axis) for axis in self.axes(operation.inputs[0]))

    def _reduction(self, operation: Operation) -> Iterable[int]:
        tensor = operation.inputs[0]
        rank = len(self._shape(tensor))
        gone = {int(axis) % rank for axis in self._constant(operation, 1).ravel()}
        left = [axis for axis in range(rank) if axis not in gone]
        kept = operation.operator.builtinOptions.keepDims
        return (
            axis if kept else left.index(axis) for axis in self.axes(tensor) if axis not in gone
        )

    def _look_up(self, operation: Operation) -> Iterable[int]:
        return self.axes(operation.inputs[1])

    def _fully_connected(self, operation: Operation) -> Iterable[int]:
        rank, left = len(self._shape(operation.outputs[0])), self._shape(operation.inputs[0])
        shift = rank - len(left)
        for axis in self.axes(operation.inputs[0]):
            if axis < len(left) - 1:
                yield axis + shift
        if 0 in self.axes(operation.inputs[1]):
            yield rank - 1
        if self.axes(operation.inputs[1]):
            self.batchable = False

    def _batch_matmul(self, operation: Operation) -> Iterable[int]:
        left, right = operation.inputs
        options, rank = operation.operator.builtinOptions, len(self._shape(left))
        rows, columns = (
            (rank - 1 if options.adjX else rank - 2),
            (rank - 2 if options.adjY else rank - 1),
        )
        if rows in self.axes(left):
            yield rank - 2
        if columns in self.axes(right):
            yield rank - 1

    def _shape(self, tensor: Any) -> list[int]:
        return self._shapes.get(id(tensor), [])

    def _constant(self, operation: Operation, place: int) -> np.ndarray:
        value = flatbuffer.constant(self.model, operation.inputs[place])
        if value is None:
            raise self._unknown(operation)
        return value

    def _unknown(self, operation: Operation) -> BeexError:
        return BeexError(
            f"The op {operation.name} at {operation.label} is none that a graph of another length "
            "can be made with; convert the model for that length."
        )


_RULES: dict[str, Callable[[Resizer, Operation], Iterable[int]]] = {
    "RESHAPE": Resizer._reshape,
    "TRANSPOSE": Resizer._transpose,
    "MEAN": Resizer._reduction,
    "SUM": Resizer._reduction,
    "REDUCE_MAX": Resizer._reduction,
    "GATHER": Resizer._look_up,
    "FULLY_CONNECTED": Resizer._fully_connected,
    "LceBconv2d": Resizer._fully_connected,
    "BATCH_MATMUL": Resizer._batch_matmul,
}
"""The ops that do more than compute each element of their output from those at the same place."""
