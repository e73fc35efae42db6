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

    `resized` changes the model, a parsed file that `convert` or `convert_segments` made.

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
        self._links = flatbuffer.Links(list(flatbuffer.operations(model)))
        tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
        self._shapes = {id(tensor): flatbuffer.shape(tensor) for tensor in tensors}
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
        if any(0 in self.axes(tensor) for tensor in tensors):
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
            raise BeexError("The file takes one text at a time; convert to segments for batches.")
        model = self.model
        num_buffers, metadata = len(model.buffers), model.metadata
        num_tensors = [len(graph.tensors) for graph in model.subgraphs]
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
        after, name = indices(before), flatbuffer.text(tensor.name)
        after[place] = flatbuffer.add_constant(self.model, operation.graph, name, value)
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
                    inner = [branch.tensors[place] for place in indices(branch.inputs)]
                    for given, tensor in zip(operation.inputs[1:], inner, strict=True):
                        self._axes[id(tensor)] = self.axes(given)
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
        rank = len(self._shape(operation.outputs[0]))
        shifts = [rank - len(self._shape(tensor)) for tensor in operation.inputs]
        if min(shifts) < 0:
            raise self._unknown(operation)
        operands = list(zip(operation.inputs, shifts, strict=True))
        found = {axis + shift for tensor, shift in operands for axis in self.axes(tensor)}
        for place, (tensor, shift) in enumerate(operands):
            if id(tensor) not in self._axes:
                for axis, size in enumerate(self._shape(tensor)):
                    if axis + shift in found and size == self.length:
                        self._cut(operation, place, axis)
        return found

    def _cut(self, operation: Operation, place: int, axis: int) -> None:
        """Notes that a constant, or the constant that an operand is unpacked from, has T rows."""
        unpack = self._links.producer(operation.inputs[place], "DEQUANTIZE")
        if unpack is not None:
            self._tables[id(operation.inputs[place])] = axis
            operation, place = unpack, 0
        self._sliced.append((operation, place, axis, self._constant(operation, place)))

    def _reshape(self, operation: Operation) -> Iterable[int]:
        """An axis is found again by the number of elements in front of one step along it."""
        source, target = self._shape(operation.inputs[0]), self._shape(operation.outputs[0])
        for axis in self.axes(operation.inputs[0]):
            step, places = prod(source[:axis]), range(len(target))
            found = [i for i in places if target[i] == self.length and prod(target[:i]) == step]
            if not found:
                raise self._unknown(operation)
            yield found[0]

    def _transpose(self, operation: Operation) -> Iterable[int]:
        order = list(self._constant(operation, 1))
        return (order.index(axis) for axis in self.axes(operation.inputs[0]))

    def _reduction(self, operation: Operation) -> Iterable[int]:
        tensor = operation.inputs[0]
        rank = len(self._shape(tensor))
        gone = {int(axis) % rank for axis in self._constant(operation, 1).ravel()}
        left = [axis for axis in range(rank) if axis not in gone]
        if operation.operator.builtinOptions.keepDims:
            return self.axes(tensor) - gone
        return (left.index(axis) for axis in self.axes(tensor) - gone)

    def _look_up(self, operation: Operation) -> Iterable[int]:
        return self.axes(operation.inputs[1])

    def _fully_connected(self, operation: Operation) -> Iterable[int]:
        last = len(self._shape(operation.inputs[0])) - 1
        rank = len(self._shape(operation.outputs[0]))
        yield from (axis + rank - last - 1 for axis in self.axes(operation.inputs[0]) - {last})
        if self.axes(operation.inputs[1]):
            self.batchable = False
        if 0 in self.axes(operation.inputs[1]):
            yield rank - 1

    def _batch_matmul(self, operation: Operation) -> Iterable[int]:
        left, right = operation.inputs
        options, rank = operation.operator.builtinOptions, len(self._shape(left))
        if rank - (1 if options.adjX else 2) in self.axes(left):
            yield rank - 2
        if rank - (2 if options.adjY else 1) in self.axes(right):
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
    "GATHER": Resizer._look_up,
    "BATCH_MATMUL": Resizer._batch_matmul,
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), Resizer._reduction),
    **dict.fromkeys(("FULLY_CONNECTED", "LceBconv2d"), Resizer._fully_connected),
}
"""The ops that do more than compute each element of their output from those at the same place."""
