"""Thousands of damaged files: each is refused before an interpreter sees it."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, shake, tiny_config

from beex_keras import export, pipeline
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import lce_runner
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor


@pytest.fixture(scope="module")
def whole() -> list[bytes]:
    """Two intact files, of a tanh and of a GELU."""
    vocabulary = (*SPECIAL_TOKENS, *(f"word{n}" for n in range(45)))
    files = []
    for seed, activation in enumerate(("tanh", "gelu"), start=1):
        tf.keras.utils.set_random_seed(seed)
        sizes = {"num_blocks": 1, "width": 6, "hidden_width": 8, "content_activation": activation}
        config = tiny_config(**sizes, **MODES["weights-only"])
        model = BEExformerClassifier(config, TextPreprocessor(vocabulary, 12))
        files.append(export.to_tflite(shake(model, seed)))
    return files


def damaged(whole: list[bytes], generator: np.random.Generator) -> bytes:
    """One of the files with bits flipped, bytes lost, or part of the other one inside."""
    first, second = whole if generator.random() < 0.5 else whole[::-1]
    start, end = sorted(int(place) for place in generator.integers(0, len(first), 2))
    kind = generator.integers(5)
    if kind == 0:  # bits
        data = bytearray(first)
        for place in generator.integers(0, len(data), generator.integers(1, 9)):
            data[place] ^= 1 << int(generator.integers(8))
        return bytes(data)
    if kind == 1:  # the end is missing
        return first[:start]
    if kind == 2:  # the middle is missing
        return first[:start] + first[end:]
    if kind == 3:  # the middle is the other file's
        return first[:start] + second[start:end] + first[end:]
    return first[:start] + second[start:]  # the end is the other file's


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_damaged_file_is_run(whole, tmp_path, monkeypatch, count):
    path = tmp_path / "model.tflite"
    path.write_bytes(whole[0])
    assert pipeline(path)("word1 word2").label  # intact, it is

    def never(*_):
        raise AssertionError("a damaged file reached the interpreter")

    monkeypatch.setattr(lce_runner, "_load", never)
    generator = np.random.default_rng(0)
    intact, refused = set(whole), 0
    while refused < count:
        data = damaged(whole, generator)
        if data in intact:
            continue
        path.write_bytes(data)
        with pytest.raises(BeexError, match=r"is empty|not a TFLite|not written by|is damaged"):
            pipeline(path)
        refused += 1
