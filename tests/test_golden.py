"""Files of format 4: every later release reads them, and answers as the one that wrote them.

The arithmetic of "w1a8" is that from before its numbers lay on a grid, of "w1a8-exact" that since.
They are never made anew. A release that changes what they give breaks its users' files.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import needs_engine

import beex_keras as beex
from beex_keras.export import beex as beex_format
from beex_keras.export import size_report
from beex_keras.runtime import library

GOLDEN = Path(__file__).with_name("golden")
FILES = sorted(GOLDEN.glob("*.beex"))


def test_there_is_one_of_each_kind():
    assert [file.stem for file in FILES] == [
        "float",
        "fully-binary",
        "int8",
        "w1a8-exact",
        "w1a8",
        "weights-only",
    ]
    assert sum(file.stat().st_size for file in GOLDEN.iterdir()) < 200_000


@needs_engine
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_of_format_4_is_read_as_ever(file):
    known = json.loads(file.with_suffix(".json").read_text("utf-8"))
    runner = beex.load(file)
    texts = known["texts"]
    if known["pairs"] is not None:
        texts = list(zip(texts, known["pairs"], strict=True))
    ids = runner.encode(texts)
    assert ids.tolist() == known["ids"]
    np.testing.assert_allclose(runner.exit_logits(ids), known["logits"], rtol=0, atol=1e-4)
    answers = runner.classify(texts)
    for name, values in (("label", "labels"), ("exit", "exits"), ("truncated", "truncated")):
        assert [getattr(answer, name) for answer in answers] == known[values]


@needs_engine
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_summary_has_the_memory_that_the_engine_needs(file):
    data, engine = np.frombuffer(file.read_bytes(), np.uint8), library.load()
    model = np.zeros(engine.beex_model_bytes(), np.uint8)
    assert engine.beex_open(model.ctypes.data, data.ctypes.data, len(data)) == library.OK
    report = size_report.of_file(data.tobytes())
    assert report.file["arena"] == engine.beex_arena_size(model.ctypes.data)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_goes_on_as_the_same_file(file):
    data = file.read_bytes()
    calibration = beex_format.read(data).calibration
    assert beex_format.rewrite(data, calibration=calibration) == data
    if file.stem != "int8":  # whose Keras model had other weights
        again = beex_format.convert(beex_format.classifier(data), calibration=calibration)
        values = beex_format.read_header(data)
        assert (
            again[values["weights"] : values["metadata"]]
            == data[values["weights"] : values["metadata"]]
        )
