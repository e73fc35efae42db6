"""The exported file in the interpreters of others: stock TensorFlow Lite, and TensorFlow Lite Micro."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import GELU, built, converted, random_ids

from beex_keras import exits

POLICIES = {
    "fractional entropy": exits.FractionalEntropy(0.05),
    "entropy": exits.Entropy(1.2),
    "confidence": exits.Confidence(0.4),
    "patience": exits.Patience(1),
    "fixed depth": exits.FixedDepth(2),
}

IDS = random_ids(20, 12)
IDS[:, 4] = 3
IDS[::3, 7:] = 0


def check(
    exit_logits: np.ndarray, policy: exits.ExitPolicy, logits: np.ndarray, index: np.ndarray
) -> None:
    taken = policy.choose(exit_logits)
    np.testing.assert_array_equal(index, taken)
    expected = exit_logits[np.arange(len(IDS)), taken]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize(
    ("policy", "changes"),
    [
        ("fractional entropy", {}),
        ("confidence", {**GELU, "num_blocks": 2}),
        *(pytest.param(policy, {}, marks=pytest.mark.slow) for policy in [*POLICIES][1:]),
    ],
)
def test_float_files_run_in_both(policy, changes):
    """Only a float32 twin's file has none of Larq Compute Engine's ops."""
    sizes, policy = {"num_segments": 2, **changes}, POLICIES[policy]
    expected = built("float", **sizes)(IDS).numpy()
    data = converted("float", policy=policy, **sizes)
    stock = tf.lite.Interpreter(model_content=data).get_signature_runner()
    outputs = [stock(token_ids=row[np.newaxis]) for row in IDS]
    logits, index = (
        np.concatenate([output[name] for output in outputs]) for name in ("logits", "exit_index")
    )
    check(expected, policy, logits, index)

    micro = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    interpreter = micro.Interpreter.from_bytes(data, arena_size=1_000_000)
    outputs = []
    for row in IDS:
        interpreter.set_input(row[np.newaxis], 0)
        interpreter.invoke()
        outputs.append([interpreter.get_output(place).copy() for place in (0, 1)])
    check(expected, policy, *(np.concatenate(arrays) for arrays in zip(*outputs, strict=True)))
