"""The functions without variables that a model is exported as.

The embedding, each block and each exit head is traced alone and frozen, so that its weights are
constants inside it wherever it is called: within the branch of a conditional too.
"""

import dataclasses
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from typing import Any, TypeAlias

import numpy as np

from beex_keras.backend import convert_variables_to_constants_v2, tf
from beex_keras.exits import ExitPolicy, State
from beex_keras.export.description import checked_length
from beex_keras.models import BEExformerClassifier

Graph: TypeAlias = tf.types.experimental.GenericFunction
Function = Callable[..., Any]

TOKEN_IDS = "token_ids"
THRESHOLD = "threshold"
EXIT_LOGITS = "exit_logits"
LOGITS = "logits"
EXIT_INDEX = "exit_index"

_BARRIER = "barrier"
_PRODUCTS = {"MatMul", "BatchMatMulV2"}


@dataclasses.dataclass(frozen=True)
class FrozenClassifier:
    """The frozen functions of a classifier, for batch 1 and a fixed length T.

    Attributes:
        length: T.
        mask: token_ids int32 (1, T) → padding mask bool (1, T).
        embed: token_ids → x (1, T, D).
        blocks: N functions of x and the mask → x.
        heads: N functions of x and the mask → logits (1, C).
    """

    length: int
    mask: Function
    embed: Function
    blocks: tuple[Function, ...]
    heads: tuple[Function, ...]


# === The graphs ===


def freeze_classifier(
    classifier: BEExformerClassifier, length: int | None = None
) -> FrozenClassifier:
    """Freezes every part of the classifier for inference; `length` is T, as `checked_length` has it."""
    config, backbone = classifier.config, classifier.backbone
    length = checked_length(config, length)
    ids = tf.TensorSpec((1, length), tf.int32, TOKEN_IDS)
    x = tf.TensorSpec((1, length, config.width), tf.float32, "x")
    mask = tf.TensorSpec((1, length), tf.bool, "padding_mask")

    def masked(layer: tf.keras.layers.Layer) -> Function:
        return _freeze_one(lambda x, mask: layer(x, padding_mask=mask, training=False), [x, mask])

    return FrozenClassifier(
        length=length,
        mask=_freeze_one(backbone.padding_mask, [ids]),
        embed=_freeze_one(lambda ids: backbone.embedding(ids, training=False), [ids]),
        blocks=tuple(masked(block) for block in backbone.blocks),
        heads=tuple(masked(head) for head in classifier.heads),
    )


def all_exits(frozen: FrozenClassifier) -> Graph:
    """token_ids int32 (1, T) → exit_logits (1, N, C): every block runs, no control flow."""

    def forward(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        x, mask = frozen.embed(token_ids), frozen.mask(token_ids)
        logits = []
        for block, head in zip(frozen.blocks, frozen.heads, strict=True):
            x = block(x, mask)
            logits.append(head(x, mask))
        return {EXIT_LOGITS: tf.stack(logits, axis=1, name=EXIT_LOGITS)}

    return _graph(forward, _ids(frozen))


def first_exit(policy: ExitPolicy, threshold_input: bool = False) -> int:
    """The first exit, counted from 1, at which a graph that exits by itself asks the policy."""
    return 1 if threshold_input else policy.min_exit


def self_exiting(
    frozen: FrozenClassifier, policy: ExitPolicy, threshold_input: bool = False
) -> Graph:
    """token_ids int32 (1, T) → logits (1, C) and exit_index int32 (1,), of the exit taken.

    The exit, counted from 0, is the one that `policy` takes. Each block stands in the branch of a
    conditional behind the exit before it, with its weights: a block that the policy does not ask for
    does not run, and one that it can never ask for is not in the graph.

    With `threshold_input` the policy's threshold is a second input, float32 (1,), and no constant.
    """
    number = len(frozen.blocks)
    first = first_exit(policy, threshold_input)
    last = (number if threshold_input else policy.max_exit(number)) - 1

    def from_block(
        index: int, x: tf.Tensor, mask: tf.Tensor, state: State, threshold: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The outputs of a text that has reached this block."""
        x = frozen.blocks[index](x, mask)
        logits = frozen.heads[index](x, mask)

        def here() -> tuple[tf.Tensor, tf.Tensor]:
            return logits, tf.constant([index], tf.int32)  # made anew within each branch

        if index == last:
            return here()
        with tf.name_scope(f"exit_{index + 1}/policy/"):
            if index == 0:
                state = policy.initial_state(logits)
            score, state = policy.score(index, logits, state)
            stops = policy.should_exit(score, threshold)[0]
        if index + 1 < first:
            return from_block(index + 1, x, mask, state, threshold)
        return tf.cond(stops, here, lambda: from_block(index + 1, x, mask, state, threshold))

    def forward(token_ids: tf.Tensor, threshold: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        x, mask = frozen.embed(token_ids), frozen.mask(token_ids)
        logits, index = from_block(0, x, mask, (), threshold)
        return {LOGITS: tf.identity(logits), EXIT_INDEX: tf.identity(index)}

    if threshold_input:
        return _graph(forward, _ids(frozen), tf.TensorSpec((1,), tf.float32, THRESHOLD))
    return _graph(lambda token_ids: forward(token_ids), _ids(frozen))


def _graph(forward: Callable[..., dict[str, tf.Tensor]], *inputs: tf.TensorSpec) -> Graph:
    return tf.function(forward, input_signature=inputs, autograph=False)


def _ids(frozen: FrozenClassifier) -> tf.TensorSpec:
    return tf.TensorSpec((1, frozen.length), tf.int32, TOKEN_IDS)


# === Freezing ===


def freeze(function: Function, inputs: Sequence[tf.TensorSpec]) -> Callable[..., list[tf.Tensor]]:
    """`function` with everything that depends on no input computed, variables included.

    The result gives a list of tensors and can be called in any graph, within the branch of a
    conditional too: the constants are its own.
    """
    traced = tf.function(function, autograph=False).get_concrete_function(*inputs)
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    names = ([tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs))
    return _import(_protect(_fold(frozen.graph.as_graph_def())), *names)


def _freeze_one(function: Function, inputs: Sequence[tf.TensorSpec]) -> Function:
    frozen = freeze(function, inputs)
    return lambda *arguments: frozen(*arguments)[0]


def _import(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Function:
    """A function over part of a GraphDef."""
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    element = wrapped.graph.as_graph_element
    return wrapped.prune([element(name) for name in inputs], [element(name) for name in outputs])


def _fold(graph: Any) -> Any:
    """Replaces each node that depends on no input by its value.

    The converter does the same only up to a size: a large embedding table would reach the file as
    real latent weights together with the ops that binarize them.
    """
    for node in graph.node:  # without variables there is no state whose order matters
        data = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(data)
    sources = {node.name: [_node(name) for name in node.input] for node in graph.node}
    constant = {node.name for node in graph.node if node.op == "Const"}
    # A constant has one output, and holds none of the lists of tensors that recurrent layers use.
    opaque = ("Placeholder", "TensorList")
    variable = {node.name for node in graph.node if node.op.startswith(opaque)}
    inputs = (name for node in graph.node for name in node.input)
    variable |= {_node(name) for name in inputs if ":" in name and not name.endswith(":0")}
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
    bound = _constant(f"{_BARRIER}/bound", np.array(np.inf, np.float32))
    protected = type(graph)(versions=graph.versions, library=graph.library)
    protected.node.append(bound)
    for node in graph.node:
        if node.op not in _PRODUCTS or _node(node.input[1]) not in kernels:
            protected.node.add().CopyFrom(node)
            continue
        before, behind = f"{node.name}/{_BARRIER}", f"{node.name}/product"
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
    """The name of the node that gives an entry of `NodeDef.input`."""
    return tensor_name.split(":")[0]
