"""A plan of the memory that TensorFlow Lite Micro runs a file in, kept in the file.

Its own planner gives each tensor memory of its own while an op may still read it. Each branch of a
conditional copies what it is given, so that with every exit the input of one more block stays around.
Here tensors share memory where that changes no value: a branch reads its inputs where they lie, a
RESHAPE does not move anything, and an op that goes through its input element by element (or row by row)
writes over it, if nothing reads it afterwards.

The plan is a metadata entry that TensorFlow Lite Micro looks for and other interpreters do not: an offset
into the arena for each tensor of each graph.
"""

import dataclasses
from typing import Any

import numpy as np

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import Operation, indices

NAME = "OfflineMemoryAllocation"

_VERSION = 1
_UNPLANNED = -1
_ALIGNMENT = 16

_NAMES = "ADD DIV EXP L2_NORMALIZATION LOGISTIC MUL NEG ROUND SOFTMAX SQRT SUB TANH"
_IN_PLACE = frozenset(_NAMES.split())
"""Ops that read an element, or a row, of an input of the output's shape before they write it."""


@dataclasses.dataclass(eq=False)
class _Value:
    """What one tensor holds, or several that hold the same: the last step that reads it."""

    last: int
    storage: "_Storage"


@dataclasses.dataclass(eq=False)
class _Storage:
    """Memory for one value after the other, from its first step to its last; sizes in bytes."""

    size: int
    first: int
    last: int
    offset: int = 0


def plan(model: Any) -> None:
    """Attaches a plan for every tensor that is computed; run it when nothing else changes any more.

    The unpacked weights of weights-only models are left to the planner of TensorFlow Lite Micro, since
    our ops for it can do without them.
    """
    planner = _Planner(model)
    offsets = [
        planner.offset(number, place)
        for number, graph in enumerate(model.subgraphs)
        for place in range(len(graph.tensors))
    ]
    header = [_VERSION, 0, len(offsets)]
    flatbuffer.add_metadata(model, NAME, np.array(header + offsets, "<i4").tobytes())


class _Planner:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._number = {id(graph): number for number, graph in enumerate(model.subgraphs)}
        self._step = 0
        self._values: dict[tuple[int, int], _Value] = {}
        self._in_place: list[tuple[int, list[_Value], _Value]] = []
        main = model.subgraphs[0]
        self._follow(main, [self._new(main.tensors[place]) for place in indices(main.inputs)])
        for step, sources, target in self._in_place:
            storage = next((s.storage for s in sources if s.last == step), target.storage)
            storage.last = max(storage.last, target.last)
            target.storage = storage
        _place(list({id(value.storage): value.storage for value in self._values.values()}.values()))

    def offset(self, graph: int, place: int) -> int:
        value = self._values.get((graph, place))
        return _UNPLANNED if value is None else value.storage.offset

    def _new(self, tensor: Any) -> _Value:
        step = self._step
        return _Value(step, _Storage(flatbuffer.byte_size(tensor), step, step))

    def _follow(self, graph: Any, inputs: list[_Value | None]) -> None:
        """Goes through a graph step by step, branches in the order they stand in."""
        number = self._number[id(graph)]
        for place, value in zip(indices(graph.inputs), inputs, strict=True):
            if value is not None:
                self._values[number, place] = value
        for operation in flatbuffer.graph_operations(self._model, graph):
            self._step += 1
            self._run(number, operation)
        self._step += 1
        self._read(number, graph.outputs)

    def _run(self, number: int, operation: Operation) -> None:
        """One step of a graph: notes what it reads and makes what it writes."""
        sources = self._read(number, operation.operator.inputs)
        targets = indices(operation.operator.outputs)
        if operation.name == "RESHAPE" and sources[0] is not None:
            self._values[number, targets[0]] = sources[0]
            return
        is_unpack = operation.name == flatbuffer.UNPACK
        if is_unpack and flatbuffer.constant(self._model, operation.inputs[0]) is not None:
            return
        for place, tensor in zip(targets, operation.outputs, strict=True):
            self._values[number, place] = self._new(tensor)
        if operation.name in _IN_PLACE:
            target, overwritable = self._values[number, targets[0]], _alike(operation, sources)
            self._in_place.append((self._step, overwritable, target))
        for branch in flatbuffer.branches(self._model, operation):
            self._step += 1
            self._follow(branch, sources[1:])
        self._read(number, targets)  # written when the branches are done

    def _read(self, number: int, places: Any) -> list[_Value | None]:
        """The values at these places of a graph, which live up to this step."""
        values = [self._values.get((number, place)) for place in indices(places)]
        for value in values:
            if value is not None:
                value.last = value.storage.last = self._step
        return values


def _alike(operation: Operation, sources: list[_Value | None]) -> list[_Value]:
    """The computed inputs of the output's type and shape."""
    output, *tensors = (*operation.outputs, *operation.inputs)
    kind = output.type, flatbuffer.shape(output)
    pairs = zip(tensors, sources, strict=True)
    return [s for t, s in pairs if s is not None and (t.type, flatbuffer.shape(t)) == kind]


def _place(storages: list[_Storage]) -> None:
    """Gives each its offset: the largest first, each as low as others at the same time allow."""
    placed: list[_Storage] = []
    for storage in sorted(storages, key=lambda storage: (-storage.size, storage.first)):
        storage.offset = 0
        for other in sorted(placed, key=lambda other: other.offset):
            if other.last < storage.first or storage.last < other.first:
                continue
            if storage.offset + storage.size <= other.offset:
                break
            end = other.offset + other.size
            storage.offset = max(storage.offset, -(-end // _ALIGNMENT) * _ALIGNMENT)
        placed.append(storage)
