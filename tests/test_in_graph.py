"""Files that exit by themselves: the exit and logits of Keras, and nothing computed behind the exit."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import GELU, built, converted, random_ids

from agreement import dividing
from beex_keras import exits, export
from beex_keras.errors import BeexError
from beex_keras.export.tflite import flatbuffer, graphs
from beex_keras.export.tflite.flatbuffer import text
from beex_keras.export.tflite.graphs import FrozenClassifier
from beex_keras.export.tflite.passes import one_bit
from beex_keras.layers.linear import PointwiseConv
from beex_keras.models import BEExformerClassifier

ROWS = 40


def rows(length: int = 12) -> np.ndarray:
    """Texts of 1 to `length` tokens."""
    ids = random_ids(ROWS, length)
    for row, real in enumerate(np.linspace(1, length, ROWS).astype(int)):
        ids[row, real:] = 0
    return ids


def run(data: bytes, ids: np.ndarray, *thresholds: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits (B, C) and exits (B,) of Larq Compute Engine's interpreter."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    interpreter = Interpreter(data).interpreter
    extra = [np.array([value], np.float32) for value in thresholds]
    outputs = [interpreter.predict([row[np.newaxis], *extra]) for row in ids]
    logits, index = (np.concatenate(arrays) for arrays in zip(*outputs, strict=True))
    assert (logits.dtype, index.dtype) == (np.float32, np.int32)
    return logits, index


POLICIES = {
    "fractional entropy": exits.FractionalEntropy(),
    "fractional entropy, above": exits.FractionalEntropy(direction="above"),
    "entropy": exits.Entropy(),
    "confidence": exits.Confidence(),
    "patience": exits.Patience(1),
    "fixed depth": exits.FixedDepth(2),
}


PAIRS = {"num_segments": 2}

each_policy_and_mode = pytest.mark.parametrize(
    ("mode", "policy"),
    [
        *(("weights-only", policy) for policy in POLICIES),
        ("float", "patience"),
        ("w1a8", "confidence"),
        ("fully-binary", "fractional entropy"),
    ],
)
"""Every policy in one mode, and every mode: a policy reads logits, whatever computed them."""


# === Equal answers ===


def check(mode: str, policy: exits.ExitPolicy, **changes) -> np.ndarray:
    """Compares a file with Keras, and returns the exits taken."""
    model, ids = built(mode, **changes), rows()
    ids[::2, 1] = 3
    exit_logits = model(ids).numpy()
    policy = dividing(policy, exit_logits)
    logits, index = run(converted(mode, policy=policy, **changes), ids)
    expected = policy.choose(exit_logits)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(logits, exit_logits[np.arange(ROWS), expected], rtol=0, atol=1e-5)
    return expected


@each_policy_and_mode
def test_exit_and_logits_are_those_of_keras(mode, policy):
    expected = check(mode, POLICIES[policy], **PAIRS)
    assert policy == "fixed depth" or len(set(expected)) > 1


@pytest.mark.parametrize(
    ("mode", "changes"),
    [
        ("weights-only", {"num_blocks": 1, "num_classes": 2}),
        ("weights-only", {"num_blocks": 2, **GELU}),
        pytest.param("weights-only", {"num_blocks": 12, "num_classes": 3}, marks=pytest.mark.slow),
        pytest.param("fully-binary", {"num_blocks": 2, "num_classes": 77}, marks=pytest.mark.slow),
    ],
)
def test_depths_and_numbers_of_classes(mode, changes):
    check(mode, exits.FractionalEntropy(), **PAIRS, **changes)


@each_policy_and_mode
def test_threshold_as_an_input(mode, policy):
    model, ids = built(mode, **PAIRS), rows()
    exit_logits = model(ids).numpy()
    data = converted(mode, policy=POLICIES[policy], threshold_input=True, **PAIRS)
    other = dividing(POLICIES[policy], exit_logits)
    for rule in (other, other.with_threshold(1), other.with_threshold(3)):
        _, index = run(data, ids, rule.threshold)
        np.testing.assert_array_equal(index, rule.choose(exit_logits))


def test_threshold_input_needs_a_file_that_exits():
    with pytest.raises(BeexError, match="only of a file that exits by itself"):
        export.to_tflite(built("float", **PAIRS), exit="all-outputs", threshold_input=True)
    with pytest.raises(BeexError, match="must be 'in-graph' or 'all-outputs'"):
        export.to_tflite(built("float", **PAIRS), exit="in_graph")


# === Form ===


@pytest.fixture(scope="module", params=["weights-only", "fully-binary"])
def exported(request) -> tuple[BEExformerClassifier, bytes]:
    mode = request.param
    return built(mode, **PAIRS), converted(
        mode, policy=POLICIES["fractional entropy"], threshold_input=True, **PAIRS
    )


MICRO_OPS = {
    "ABS", "ADD", "ARG_MAX", "BATCH_MATMUL", "CAST", "CUMSUM", "DEQUANTIZE", "DIV", "EQUAL", "EXP",
    "FULLY_CONNECTED", "GATHER", "GREATER", "GREATER_EQUAL", "IF", "L2_NORMALIZATION", "LESS",
    "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM", "MEAN", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "PACK",
    "REDUCE_MAX", "RESHAPE", "ROUND", "SELECT_V2", "SOFTMAX", "SQRT", "STRIDED_SLICE", "SUB", "SUM",
    "TANH", "TRANSPOSE",
}  # fmt: skip
"""The ops of TensorFlow Lite Micro that our files use; it has no SELECT, and no CUMSUM of integers."""


def check_ops(data: bytes) -> None:
    operations = flatbuffer.operations(flatbuffer.parse(data))
    assert {operation.name for operation in operations if not operation.is_custom} <= MICRO_OPS
    for operation in operations:
        if operation.name == "CUMSUM":
            assert operation.inputs[0].type == flatbuffer.schema().TensorType.FLOAT32


@each_policy_and_mode
def test_all_ops_are_those_of_microcontrollers(mode, policy):
    check_ops(converted(mode, policy=POLICIES[policy], threshold_input=True, **PAIRS))


@pytest.mark.parametrize(
    "changes",
    [
        {**GELU, "num_blocks": 2},
        pytest.param({"network": "ffn", "num_blocks": 2}, marks=pytest.mark.slow),
    ],
)
def test_all_ops_of_other_networks_are_too(changes):
    check_ops(converted(policy=exits.Confidence(0.4), threshold_input=True, **PAIRS, **changes))


def test_inputs_outputs_and_signature(exported):
    model = flatbuffer.parse(exported[1])
    main = model.subgraphs[0]
    names = [
        [text(main.tensors[place].name) for place in places]
        for places in (main.inputs, main.outputs)
    ]
    assert names == [["token_ids", "threshold"], ["logits", "exit_index"]]
    (signature,) = model.signatureDefs
    assert [text(entry.name) for entry in signature.inputs] == names[0]
    assert [text(entry.name) for entry in signature.outputs] == names[1]


def test_graphs_and_ops_are_named(exported):
    model = flatbuffer.parse(exported[1])
    names = [text(graph.name) for graph in flatbuffer.outermost_first(model)]
    assert names == ["main", "exit_1", "block_2", "exit_2", "block_3"]
    labels = {text(graph.name): set() for graph in model.subgraphs}
    for operation in flatbuffer.operations(model):
        labels[text(operation.graph.name)].add(operation.label)
    for graph in ("block_2", "block_3"):
        assert any(label.startswith(f"{graph}/slfn/gate_out") for label in labels[graph])
    assert any(label.startswith("exit_1/policy/") for label in labels["main"])
    assert not any("cond/" in label for found in labels.values() for label in found)


def test_a_block_that_can_never_run_is_not_in_the_file():
    shallow, deep = (
        converted("weights-only", policy=exits.FixedDepth(depth), **PAIRS) for depth in (1, 3)
    )
    assert len(shallow) < 0.6 * len(deep)
    model = flatbuffer.parse(shallow)
    assert len(model.subgraphs) == 1 and "IF" not in flatbuffer.operation_counts(model)


def test_blocks_behind_the_exit_do_not_run(exported):
    """With every constant of the last branch made rubbish, earlier exits give what they gave."""
    model, data = exported
    ids = rows()
    threshold = dividing(exits.FractionalEntropy(), model(ids).numpy()).threshold
    logits, index = run(data, ids, threshold)
    poisoned = flatbuffer.parse(data)
    last = flatbuffer.nested_graphs(poisoned)[-1]
    for tensor in list(last.tensors):
        value = flatbuffer.constant(poisoned, tensor)
        if value is not None and value.dtype == np.float32:
            buffer = np.full_like(value, np.nan)
            place = flatbuffer.add_constant(poisoned, last, "poison", buffer)
            tensor.buffer = last.tensors[place].buffer
    spoiled, again = run(flatbuffer.pack(poisoned), ids, threshold)
    np.testing.assert_array_equal(again, index)
    early = index < 2
    assert 0 < early.sum() < ROWS
    np.testing.assert_array_equal(spoiled[early], logits[early])
    assert (spoiled[~early] != logits[~early]).all()


# === Audit ===


def test_audit_finds_every_matrix_in_its_branch(exported):
    model, data = exported
    report = export.audit(data, model.config, export.binary_matrices(model))
    assert len(report.matrices) == 1 + 8 * 3


def test_audit_refuses_a_branch_left_float(monkeypatch, frozen_once):
    pack = one_bit.pack_kernels

    def pack_main_only(model: Any) -> None:
        branches, model.subgraphs = model.subgraphs, model.subgraphs[:1]
        pack(model)
        model.subgraphs = branches

    monkeypatch.setattr(one_bit, "pack_kernels", pack_main_only)
    monkeypatch.setattr(flatbuffer, "drop_unused", lambda model: None)
    with pytest.raises(BeexError, match="block_2/attention/query is binary"):
        export.to_tflite(built("weights-only", **PAIRS))


@pytest.mark.slow
def test_audit_refuses_a_product_that_is_no_convolution_in_a_branch(monkeypatch):
    model = built("fully-binary", num_blocks=2)
    special = model.backbone.blocks[1].slfn.gate_out.matmul
    convolve = PointwiseConv.convolution_op

    def product(self: PointwiseConv, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, kernel[0, 0]) if self is special else convolve(self, x, kernel)

    monkeypatch.setattr(PointwiseConv, "convolution_op", product)
    with pytest.raises(BeexError, match="block_2/slfn/gate_out is binary"):
        export.to_tflite(model)


def test_audit_refuses_a_block_outside_its_branch(monkeypatch, frozen_once):
    def eager(frozen: FrozenClassifier, *_: Any) -> graphs.Graph:
        """Computes all blocks and then chooses."""

        def forward(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
            x, mask = frozen.embed(token_ids), frozen.mask(token_ids)
            first = frozen.blocks[0](x, mask)
            second = frozen.blocks[1](first, mask)
            logits, index = tf.cond(
                frozen.heads[0](first, mask)[0, 0] > 0,
                lambda: (frozen.heads[0](first, mask), tf.constant([0])),
                lambda: (frozen.heads[1](second, mask), tf.constant([1])),
            )
            return {"logits": tf.identity(logits), "exit_index": tf.identity(index)}

        spec = tf.TensorSpec((1, frozen.length), tf.int32, "token_ids")
        return tf.function(forward, input_signature=[spec], autograph=False)

    monkeypatch.setattr(graphs, "self_exiting", eager)
    with pytest.raises(BeexError, match="block_2/attention/query stands outside the branch"):
        export.to_tflite(built("weights-only", num_blocks=2, **PAIRS))


def test_audit_refuses_a_constant_outside_its_branch(exported):
    classifier, data = exported
    model = flatbuffer.parse(data)
    main = model.subgraphs[0]
    (condition,) = [o for o in flatbuffer.graph_operations(model, main) if o.name == "IF"]
    value = np.ones(classifier.config.width, np.float32)
    place = flatbuffer.add_constant(model, main, "alpha", value)
    condition.operator.inputs = [*flatbuffer.indices(condition.operator.inputs), place]
    for branch in flatbuffer.branches(model, condition):
        inner = flatbuffer.add_tensor(branch, "alpha", value.shape, np.float32)
        branch.inputs = [*flatbuffer.indices(branch.inputs), inner]
    with pytest.raises(BeexError, match="The constant alpha stands outside the branch"):
        export.audit(flatbuffer.pack(model), classifier.config)
