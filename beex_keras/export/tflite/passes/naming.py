"""Names and an order that a reader of the file recognises."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.flatbuffer import indices, text

_PREFIX = "serving_default_"
_NESTING = re.compile("^(cond/)+")

_ROLES = {
    "FULLY_CONNECTED": ("", "kernel", "bias"),
    "LceBconv2d": ("", "kernel", "scale", "bias", "thresholds"),
    "GATHER": ("table", ""),
    "RESHAPE": ("", "shape"),
    "TRANSPOSE": ("", "permutation"),
    "MUL": ("scale", "scale"),
    "ADD": ("bias", "bias"),
    **dict.fromkeys(("SUM", "MEAN", "REDUCE_MAX"), ("", "axes")),
}
"""What the constants that an op reads are to it.

Many constants have the same name, which the file then holds once; the op's own tells where."""


def name_tensors(model: Any, matrices: Mapping[str, Any]) -> None:
    """Gives inputs and outputs their signature's names, matrices their layer's, others a short one.

    The converter joins the names of all ops that it fused; the first one is kept. Constants are
    called by what they are to the op that reads them, and what a branch is given is called there as
    it is outside. `matrices` are the tensors of the binary matrices by name, from an audit.
    """
    given = _given_names(model, matrices)
    for graph in flatbuffer.outermost_first(model):
        seen = Counter[str]()
        for tensor in graph.tensors:
            name = given.get(id(tensor)) or _shorten(text(tensor.name))
            seen[name] += 1
            unique = seen[name] == 1 or flatbuffer.constant(model, tensor) is not None
            tensor.name = name if unique else f"{name}_{seen[name] - 1}"
        for operation in flatbuffer.graph_operations(model, graph):
            for branch in flatbuffer.branches(model, operation):
                inputs = zip(operation.inputs[1:], indices(branch.inputs), strict=True)
                given |= {id(branch.tensors[place]): text(outer.name) for outer, place in inputs}


def _given_names(model: Any, matrices: Mapping[str, Any]) -> dict[int, str]:
    """Names of binary matrices, inputs, outputs and constants, by the ids of their tensors."""
    given = {id(tensor): f"{name}/kernel" for name, tensor in matrices.items()}
    operations = list(flatbuffer.operations(model))
    for operation in operations:
        if operation.name == flatbuffer.UNPACK and id(operation.inputs[0]) in given:
            given[id(operation.outputs[0])] = f"{given[id(operation.inputs[0])]}/signs"
    for graph in model.subgraphs:
        for entry in flatbuffer.signature_entries(model, graph):
            given[id(graph.tensors[entry.tensorIndex])] = text(entry.name)
    for operation in operations:
        for place, tensor in enumerate(operation.inputs):
            if tensor is not None and flatbuffer.constant(model, tensor) is not None:
                roles = dict(enumerate(_ROLES.get(operation.name, ())))
                given.setdefault(id(tensor), roles.get(place) or "constant")
    return given


def name_graphs(model: Any, first_exit: int = 1) -> None:
    """Calls the graphs "main" and, within it, "exit_1" or "block_2", in that "exit_2", and so on.

    They begin with the first exit that the file can take.
    """
    blocks = flatbuffer.nested_graphs(model)
    blocks[0].name = "main"
    for depth, graph in enumerate(blocks, start=first_exit):
        names = f"exit_{depth}", f"block_{depth + 1}"
        for operation in flatbuffer.graph_operations(model, graph):
            for name, branch in zip(names, flatbuffer.branches(model, operation), strict=False):
                branch.name = name


def order_signature(model: Any, inputs: list[str], outputs: list[str]) -> None:
    """Puts the inputs and outputs of the main graph into the given order of their names.

    The converter sorts them by the alphabet, or by nothing that can be relied on.
    """
    (signature,) = model.signatureDefs
    graph = model.subgraphs[signature.subgraphIndex]
    for attribute, names in (("inputs", inputs), ("outputs", outputs)):
        entries = getattr(signature, attribute)
        entries.sort(key=lambda entry: names.index(text(entry.name)))
        setattr(graph, attribute, [int(entry.tensorIndex) for entry in entries])


def _shorten(name: str) -> str:
    name = name.split(";")[0].removeprefix(_PREFIX).removesuffix("/product")
    return _NESTING.sub("", name) or name
