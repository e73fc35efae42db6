"""The same file for other numbers of texts and tokens."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import built, converted, random_ids

from beex_keras.errors import BeexError
from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.resize import Resizer

SIZES = {
    "usual": {},
    "pairs": {"num_segments": 2, "num_blocks": 2},
    # Sizes that are equal must not be confused.
    "as wide as long": {"width": 12, "hidden_width": 12, "num_heads": 2},
    "heads as deep as long": {"width": 36, "num_heads": 3},
    "as many heads as tokens": {"width": 24, "num_heads": 12},
    "heads of depth 1": {"num_heads": 12},
    "one head": {"num_heads": 1},
}


def rows(length: int) -> np.ndarray:
    ids = random_ids(3, length)
    ids[0, 3:] = 0
    ids[:, 2] = 3
    return ids


def predict(data: bytes, ids: np.ndarray) -> np.ndarray:
    """All rows at once."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    return Interpreter(data).interpreter.predict([ids])[0]


@pytest.mark.parametrize(
    ("mode", "size"),
    [
        ("fully-binary", "usual"),
        ("w1a8", "pairs"),
        ("float", "as wide as long"),
        ("weights-only", "heads as deep as long"),
        ("w1a8", "as many heads as tokens"),
        ("weights-only", "heads of depth 1"),
        ("float", "one head"),
    ],
)
def test_values_are_those_of_keras(mode, size):
    changes = {"num_blocks": 1, **SIZES[size]}
    model, data = built(mode, **changes), converted(mode, "all-outputs", **changes)
    resizer = Resizer(flatbuffer.parse(data), 12)
    assert resizer.batchable == (size != "one head")
    whole = resizer.resized(1, 12)
    for length in (5, 12):
        ids = rows(length)
        expected = model(ids)
        for batch in (1, 3) if resizer.batchable else (1,):
            data = resizer.resized(batch, length)
            parts = [predict(data, ids[start : start + batch]) for start in range(0, 3, batch)]
            np.testing.assert_allclose(np.concatenate(parts), expected, rtol=0, atol=1e-5)
    assert resizer.resized(1, 12) == whole  # nothing of the other sizes is left


def test_a_file_that_exits_by_itself_takes_one_text_of_any_length():
    sizes = SIZES["pairs"]
    model, data = built("weights-only", **sizes), converted("weights-only", **sizes)
    resizer = Resizer(flatbuffer.parse(data), 12)
    ids = rows(7)
    expected = model(ids).numpy()
    taken = model.policy.choose(expected)
    data = resizer.resized(1, 7)
    logits = np.concatenate([predict(data, row[np.newaxis]) for row in ids])
    np.testing.assert_allclose(logits, expected[np.arange(3), taken], rtol=0, atol=1e-5)
    assert not resizer.batchable
    with pytest.raises(BeexError, match="one text at a time"):
        resizer.resized(2, 7)
    for length in (0, 13):
        with pytest.raises(BeexError, match="must lie between 1 and the file's 12"):
            resizer.resized(1, length)


def test_unknown_ops_are_refused():
    """A graph whose output has fewer axes than its input is none of ours."""
    from beex_keras.export.tflite import lce

    spec = tf.TensorSpec((1, 12), tf.int32, "token_ids")
    graph = tf.function(
        lambda token_ids: {"y": tf.argmax(tf.cast(token_ids, tf.float32), axis=1)},
        input_signature=[spec],
        autograph=False,
    )
    with pytest.raises(BeexError, match="ARG_MAX.*convert the model for that length"):
        Resizer(flatbuffer.parse(lce.convert_function(graph)), 12)
