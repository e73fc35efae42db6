"""One file a block: texts that are finished leave the batch."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import GELU, MODES, random_ids, shake, tiny_config

from beex_keras import exits, export, runtime
from beex_keras.errors import BeexError
from beex_keras.export import metadata
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import KerasRunner, LCERunner, SegmentRunner
from beex_keras.runtime.graph import Graph
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

ROWS = 90


KINDS = {**MODES, "gelu": {**MODES["weights-only"], **GELU}}


def build(kind: str, seed: int = 1) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(seed)
    vocabulary = (*SPECIAL_TOKENS, *(f"word{n}" for n in range(45)))
    config = tiny_config(max_length=30, num_segments=1, **KINDS[kind])
    preprocessor = TextPreprocessor(vocabulary, 30)
    model = BEExformerClassifier(config, preprocessor, policy=exits.Confidence(0.4))
    return shake(model, seed)


def rows() -> np.ndarray:
    ids = random_ids(ROWS, 30)
    for row, real in enumerate(np.random.default_rng(0).integers(1, 31, ROWS)):
        ids[row, real:] = 0
    return ids


@pytest.fixture(scope="module", params=KINDS)
def converted(request) -> tuple[BEExformerClassifier, list[bytes]]:
    model = build(request.param)
    return model, export.convert_segments(model)


POLICIES = (
    exits.FractionalEntropy(0.05),
    exits.FractionalEntropy(0.05, direction="above"),
    exits.Entropy(1.2),
    exits.Confidence(0.45),
    exits.Patience(1),
    exits.FixedDepth(2),
    exits.FixedDepth(9),
)


@pytest.mark.parametrize("count", [ROWS, 3])
def test_decisions_are_those_of_keras(converted, count):
    model, files = converted
    segments, keras = SegmentRunner(files), KerasRunner(model)
    ids = rows()[:count]
    np.testing.assert_allclose(segments.exit_logits(ids), keras.exit_logits(ids), rtol=0, atol=1e-5)
    for policy in POLICIES:
        found, expected = segments.decide(ids, policy), keras.decide(ids, policy)
        np.testing.assert_array_equal(found.exits, expected.exits)
        np.testing.assert_allclose(found.logits, expected.logits, rtol=0, atol=1e-5)


def test_finished_texts_leave_the_batch(converted, monkeypatch):
    segments = SegmentRunner(converted[1])
    run, texts = Graph.run, dict.fromkeys((1, 2, 3), 0)

    def counting(self, *inputs):
        texts[self.metadata.segment] += len(inputs[0])
        return run(self, *inputs)

    monkeypatch.setattr(Graph, "run", counting)
    found = segments.decide(rows()).exits
    assert len(set(found)) > 1
    assert texts == {block: int((found >= block - 1).sum()) for block in (1, 2, 3)}


@pytest.mark.parametrize("policy", [exits.Confidence(0.4), exits.FixedDepth(2)])
def test_all_forms_of_a_file_decide_alike(converted, policy, monkeypatch):
    model, files = converted
    monkeypatch.setattr(model, "policy", policy)
    ids = rows()
    expected = KerasRunner(model).decide(ids)
    runners = [
        LCERunner(export.convert(model)),
        LCERunner(export.convert(model, exit="all-outputs")),
    ]
    for engine in (*runners, SegmentRunner(files)):
        for count in (ROWS, 5):  # in batches by length, and one by one
            found = engine.decide(ids[:count], policy)
            np.testing.assert_array_equal(found.exits, expected.exits[:count])
            np.testing.assert_allclose(found.logits, expected.logits[:count], rtol=0, atol=1e-5)


# === Files ===


@pytest.fixture(scope="module")
def model() -> BEExformerClassifier:
    return build("weights-only")


def test_directory_of_segments(model, tmp_path):
    figures = export.export_file(model, tmp_path / "parts", exit="segments")
    names = [path.name for path in sorted((tmp_path / "parts").iterdir())]
    assert names == ["block_1.tflite", "block_2.tflite", "block_3.tflite"]
    assert figures["total"] == sum(path.stat().st_size for path in (tmp_path / "parts").iterdir())
    loaded = runtime.load(tmp_path / "parts")
    assert isinstance(loaded, SegmentRunner)
    (prediction,) = loaded.classify(["word1 word2"])
    (expected,) = KerasRunner(model).classify(["word1 word2"])
    assert (prediction.label, prediction.exit) == (expected.label, expected.exit)
    export.export_file(model, tmp_path / "parts", exit="segments")  # in place of the old ones
    vocabularies = [
        metadata.read(path.read_bytes()).preprocessor is not None
        for path in sorted((tmp_path / "parts").iterdir())
    ]
    assert vocabularies == [True, False, False]


def test_mistakes_with_segments(model, tmp_path):
    files, others = (
        export.convert_segments(model),
        export.convert_segments(build("weights-only", 2)),
    )
    with pytest.raises(BeexError, match="has 2 of the 3 segments"):
        SegmentRunner(files[:2])
    for wrong in ([files[0], others[1], files[2]], [files[0], files[2], files[1]]):
        with pytest.raises(BeexError, match="mixes segments of different models"):
            SegmentRunner(wrong)
    with pytest.raises(BeexError, match="one block of a model in segments"):
        LCERunner(files[1])
    export.export_file(model, tmp_path / "parts", exit="segments")
    (tmp_path / "parts" / "block_2.tflite").unlink()
    with pytest.raises(BeexError, match=r"There is no segment at .*block_2\.tflite"):
        runtime.load(tmp_path / "parts")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("mine")
    with pytest.raises(BeexError, match="holds something else"):
        export.export_file(model, tmp_path / "full", exit="segments")
    assert (tmp_path / "full" / "precious.txt").read_text() == "mine"
    with pytest.raises(BeexError, match="only of a file that exits by itself"):
        export.export_file(model, tmp_path / "new", exit="segments", threshold_input=True)
