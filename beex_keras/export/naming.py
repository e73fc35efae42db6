"""Names that a reader of the file recognises."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from beex_keras.export import flatbuffer
from beex_keras.export.flatbuffer import text

_PREFIX = "serving_default_"


def name_tensors(model: Any, matrices: Mapping[str, Any]) -> None:
    """Gives inputs and outputs their signature's names, matrices their layer's, others a short one.

    The converter joins the names of all ops that it fused; the first one is kept.

    Args:
        model: a parsed model.
        matrices: the tensors of the binary matrices by name, from an audit of this model.
    """
    given = {id(tensor): f"{name}/kernel" for name, tensor in matrices.items()}
    for operation in flatbuffer.operations(model):
        if operation.name == flatbuffer.UNPACK and id(operation.inputs[0]) in given:
            given[id(operation.outputs[0])] = f"{given[id(operation.inputs[0])]}/signs"
    for signature in model.signatureDefs or []:
        graph = model.subgraphs[signature.subgraphIndex]
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]:
            given[id(graph.tensors[entry.tensorIndex])] = text(entry.name)
    for graph in model.subgraphs:
        seen = Counter[str]()
        for tensor in graph.tensors:
            name = given.get(id(tensor)) or _shorten(text(tensor.name))
            seen[name] += 1
            tensor.name = name if seen[name] == 1 else f"{name}_{seen[name] - 1}"


def _shorten(name: str) -> str:
    return name.split(";")[0].removeprefix(_PREFIX).removesuffix("/product")
