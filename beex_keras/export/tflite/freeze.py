"""From a Keras classifier to functions without variables, of which a graph can be composed.

Each part (embedding, block, exit) is traced alone and frozen, so that its weights are constants
inside it, wherever it is called: within the branch of a conditional too.
"""

import dataclasses
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from typing import Any

import numpy as np

from beex_keras.backend import convert_variables_to_constants_v2, tf
from beex_keras.export.description import checked_length
from beex_keras.models import BEExformerClassifier

Part = Callable[..., Any]

BARRIER = "barrier"
"""Suffix of the nodes that keep ±1 kernels apart from the scales around them; see `_protect`."""

_PRODUCTS = {"MatMul", "BatchMatMulV2"}


@dataclasses.dataclass(frozen=True)
class Parts:
    """The frozen parts of a classifier, for batch 1 and a fixed length T.

    Attributes:
        length: T.
        width: D.
        mask: token_ids int32 (1, T) → padding mask bool (1, T).
        embed: token_ids → x (1, T, D).
        blocks: N functions of x and the mask → x.
        heads: N functions of x and the mask → logits (1, C).
    """

    length: int
    width: int
    mask: Part
    embed: Part
    blocks: tuple[Part, ...]
    heads: tuple[Part, ...]


def freeze_parts(classifier: BEExformerClassifier, length: int | None = None) -> Parts:
    """Traces and freezes every part of the classifier, for inference at batch 1.

    `length` is T, checked as `checked_length` does.
    """
    config, backbone = classifier.config, classifier.backbone
    length = checked_length(config, length)
    ids = tf.TensorSpec((1, length), tf.int32, "token_ids")
    x = tf.TensorSpec((1, length, config.width), tf.float32, "x")
    mask = tf.TensorSpec((1, length), tf.bool, "padding_mask")

    def masked(layer: tf.keras.layers.Layer) -> Part:
        return freeze(lambda x, mask: layer(x, padding_mask=mask, training=False), [x, mask])

    return Parts(
        length=length,
        width=config.width,
        mask=freeze(backbone.padding_mask, [ids]),
        embed=freeze(lambda ids: backbone.embedding(ids, training=False), [ids]),
        blocks=tuple(masked(block) for block in backbone.blocks),
        heads=tuple(masked(head) for head in classifier.heads),
    )


def freeze(function: Part, inputs: Sequence[tf.TensorSpec]) -> Part:
    """`function`, which returns one tensor, with everything constant computed, variables too.

    The result can be called in any graph, within the branch of a conditional too: the constants
    are its own.
    """
    traced = tf.function(function, autograph=False).get_concrete_function(*inputs)
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    names = ([tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs))
    pruned = _import(_protect(_fold(frozen.graph.as_graph_def())), *names)
    return lambda *arguments: pruned(*arguments)[0]


def _import(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Part:
    """A function over part of a GraphDef."""
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    element = wrapped.graph.as_graph_element
    return wrapped.prune([element(name) for name in inputs], [element(name) for name in outputs])


def _fold(graph: Any) -> Any:
    """Replaces what does not depend on an input by its value.

    The converter does the same only up to a size: a large embedding table would reach the file as
    real latent weights together with the ops that binarize them.
    """
    for node in graph.node:  # without variables there is no state whose order matters
        data = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(data)
    sources = {node.name: [_node(name) for name in node.input] for node in graph.node}
    constant = {node.name for node in graph.node if node.op == "Const"}
    variable = {node.name for node in graph.node if node.op == "Placeholder"}
    for name in TopologicalSorter(sources).static_order():
        if name not in variable and any(source in variable for source in sources[name]):
            variable.add(name)
    used = {source for name in variable for source in sources[name]}
    needed = sorted(used - variable - constant)
    values = _import(graph, [], [f"{name}:0" for name in needed])() if needed else []
    known = {name: value.numpy() for name, value in zip(needed, values, strict=True)}
    folded = type(graph)(versions=graph.versions, library=graph.library)
    for node in graph.node:
        if node.name in known:
            folded.node.append(_constant(node.name, known[node.name]))
        elif node.name in variable or (node.name in constant and node.name in used):
            folded.node.add().CopyFrom(node)
    return folded


def _protect(graph: Any) -> Any:
    """Puts a barrier before and behind every product with a kernel of ±1.

    Left alone the converter multiplies a kernel by the scales that stand before and behind it, and
    it is no longer ±1. min(x, ∞) is x for it too, but nothing that it fuses across. The barriers
    are taken out of the converted file by `tidy.remove_barriers`. A 1×1 convolution needs
    none: its scales become part of LceBconv2d beside the kernel.
    """
    kernels = {node.name for node in graph.node if node.op == "Const" and _is_binary(node)}
    bound = _constant(f"{BARRIER}/bound", np.array(np.inf, np.float32))
    protected = type(graph)(versions=graph.versions, library=graph.library)
    protected.node.append(bound)
    for node in graph.node:
        if node.op not in _PRODUCTS or _node(node.input[1]) not in kernels:
            protected.node.add().CopyFrom(node)
            continue
        before, behind = f"{node.name}/{BARRIER}", f"{node.name}/product"
        for name, source in ((before, node.input[0]), (node.name, behind)):
            barrier = protected.node.add(name=name, op="Minimum")
            barrier.input.extend([source, bound.name])
            barrier.attr["T"].CopyFrom(node.attr["T"])
            if name == before:
                product = protected.node.add()
                product.CopyFrom(node)
                product.name, product.input[0] = behind, before
    return protected


def _is_binary(node: Any) -> bool:
    """Whether a Const holds a float matrix of exactly ±1."""
    tensor = node.attr["value"].tensor
    if tensor.dtype != tf.float32.as_datatype_enum or len(tensor.tensor_shape.dim) < 2:
        return False
    return bool(np.all(np.abs(tf.make_ndarray(tensor)) == 1.0))


def _constant(name: str, value: np.ndarray) -> Any:
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    return node


def _node(tensor_name: str) -> str:
    """The node behind an entry of `NodeDef.input`."""
    return tensor_name.split(":")[0]
