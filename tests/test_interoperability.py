"""The exported file in the interpreters of others: stock TensorFlow Lite, and TensorFlow Lite Micro."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import GELU, MODES, random_ids, shake, tiny_config

from beex_keras import exits, export
from beex_keras.export import flatbuffer
from beex_keras.models import BEExformerClassifier

POLICIES = {
    "fractional entropy": exits.FractionalEntropy(0.05),
    "entropy": exits.Entropy(1.2),
    "confidence": exits.Confidence(0.4),
    "patience": exits.Patience(1),
    "fixed depth": exits.FixedDepth(2),
}

MICRO_OPS = {
    "ADD", "ARG_MAX", "BATCH_MATMUL", "CAST", "CUMSUM", "DEQUANTIZE", "DIV", "EQUAL", "EXP",
    "FULLY_CONNECTED", "GATHER", "GREATER", "GREATER_EQUAL", "IF", "L2_NORMALIZATION", "LESS",
    "LOGISTIC", "LOG_SOFTMAX", "MAXIMUM", "MEAN", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "PACK",
    "REDUCE_MAX", "RESHAPE", "ROUND", "SELECT_V2", "SOFTMAX", "SQRT", "STRIDED_SLICE", "SUB", "SUM",
    "TANH", "TRANSPOSE",
}  # fmt: skip
"""The ops of TensorFlow Lite Micro that our files use; it has no SELECT, and no CUMSUM of integers."""

IDS = random_ids(20, 12)
IDS[:, 4] = 3
IDS[::3, 7:] = 0


def build(mode: str, policy: exits.ExitPolicy, **changes) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    config = tiny_config(num_segments=2, num_blocks=3, max_length=12, **MODES[mode], **changes)
    return shake(BEExformerClassifier(config, policy=policy))


def check(model: BEExformerClassifier, logits: np.ndarray, index: np.ndarray) -> None:
    exit_logits = model.predict(IDS, verbose=0)
    taken = model.policy.choose(exit_logits).numpy()
    np.testing.assert_array_equal(index, taken)
    expected = exit_logits[np.arange(len(IDS)), taken]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize(
    ("policy", "changes"), [*((policy, {}) for policy in POLICIES), ("confidence", GELU)]
)
def test_float_files_run_in_both(policy, changes):
    """Only a float32 twin's file has none of Larq Compute Engine's ops."""
    model = build("float", POLICIES[policy], **changes)
    data = export.convert(model)
    stock = tf.lite.Interpreter(model_content=data).get_signature_runner()
    outputs = [stock(token_ids=row[np.newaxis]) for row in IDS]
    logits, index = (
        np.concatenate([output[name] for output in outputs]) for name in ("logits", "exit_index")
    )
    check(model, logits, index)

    micro = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    interpreter = micro.Interpreter.from_bytes(data, arena_size=1_000_000)
    outputs = []
    for row in IDS:
        interpreter.set_input(row[np.newaxis], 0)
        interpreter.invoke()
        outputs.append([interpreter.get_output(place).copy() for place in (0, 1)])
    check(model, *(np.concatenate(arrays) for arrays in zip(*outputs, strict=True)))


@pytest.mark.parametrize(
    ("mode", "policy", "changes"),
    [
        *((mode, policy, {}) for mode in MODES for policy in POLICIES),
        ("weights-only", "confidence", GELU),
        ("weights-only", "confidence", {"network": "ffn"}),
    ],
)
def test_all_ops_are_those_of_microcontrollers(mode, policy, changes):
    model = build(mode, POLICIES[policy], **changes)
    parsed = flatbuffer.parse(export.convert(model, threshold_input=True))
    ops = {operation.name for operation in flatbuffer.operations(parsed) if not operation.is_custom}
    assert ops <= MICRO_OPS
    for operation in flatbuffer.operations(parsed):
        if operation.name == "CUMSUM":
            assert operation.inputs[0].type == flatbuffer.schema().TensorType.FLOAT32
