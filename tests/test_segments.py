"""One file a block: texts that are finished leave the batch."""

import functools

import numpy as np
import pytest
from conftest import GELU, POLICIES, built, converted, random_ids

from beex_keras import exits, export, runtime
from beex_keras.errors import BeexError
from beex_keras.export.tflite import metadata
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import Decisions, KerasRunner, LCERunner, SegmentRunner
from beex_keras.runtime.graph import Graph
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

ROWS = 90


def rows() -> np.ndarray:
    ids = random_ids(ROWS, 12)
    for row, real in enumerate(np.random.default_rng(0).integers(1, 13, ROWS)):
        ids[row, real:] = 0
    return ids


KINDS = {
    "weights-only": ("weights-only", {"num_segments": 2}),
    "fully-binary": ("fully-binary", {"num_segments": 2}),
    "float": ("float", {"num_segments": 2}),
    "gelu": ("weights-only", {"num_segments": 2, "num_blocks": 2, **GELU}),
}


@pytest.fixture(
    params=[
        "weights-only",
        "fully-binary",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("float", "gelu")),
    ]
)
def kind(request) -> str:
    return request.param


@functools.cache
def logits_of_keras(kind: str) -> np.ndarray:
    mode, changes = KINDS[kind]
    return built(mode, **changes)(rows()).numpy()


@functools.cache
def own_policy(kind: str) -> exits.ExitPolicy:
    """Half of the texts leave at the first exit."""
    scores = exits.Confidence().scores(logits_of_keras(kind))
    return exits.Confidence(float(np.median(scores[:, 0])))


def file(kind: str, exit: str, policy: exits.ExitPolicy | None = None) -> bytes | list[bytes]:
    mode, changes = KINDS[kind]
    return converted(mode, exit, policy or own_policy(kind), **changes)


def check(found: Decisions, kind: str, policy: exits.ExitPolicy) -> None:
    """Compares what was found of the first texts with Keras."""
    count = len(found.exits)
    exit_logits = logits_of_keras(kind)[:count]
    expected = policy.choose(exit_logits)
    np.testing.assert_array_equal(found.exits, expected)
    at_exits = exit_logits[np.arange(count), expected]
    np.testing.assert_allclose(found.logits, at_exits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [ROWS, 3])
def test_decisions_are_those_of_keras(kind, count):
    segments, ids = SegmentRunner(file(kind, "segments")), rows()[:count]
    expected = logits_of_keras(kind)[:count]
    np.testing.assert_allclose(segments.exit_logits(ids), expected, rtol=0, atol=1e-5)
    for policy in (*POLICIES, exits.Confidence(0.45), exits.FixedDepth(9)):
        check(segments.decide(ids, policy), kind, policy)


def test_finished_texts_leave_the_batch(kind, monkeypatch):
    files = file(kind, "segments")
    segments, numbers = SegmentRunner(files), range(1, len(files) + 1)
    run, texts = Graph.run, dict.fromkeys(numbers, 0)

    def counting(self, *inputs):
        texts[self.metadata.segment] += len(inputs[0])
        return run(self, *inputs)

    monkeypatch.setattr(Graph, "run", counting)
    found = segments.decide(rows()).exits
    assert len(set(found)) > 1
    assert texts == {block: int((found >= block - 1).sum()) for block in numbers}


@pytest.mark.parametrize(
    "policy",
    [None, pytest.param(exits.FixedDepth(2), marks=pytest.mark.slow)],
)
def test_all_forms_of_a_file_decide_alike(kind, policy):
    ids, policy = rows(), policy or own_policy(kind)
    for engine in (
        LCERunner(file(kind, "in-graph", policy)),
        LCERunner(file(kind, "all-outputs")),
        SegmentRunner(file(kind, "segments")),
    ):
        for count in (ROWS, 5):  # in batches by length, and one by one
            check(engine.decide(ids[:count], policy), kind, policy)


# === Files ===


@pytest.fixture
def model(frozen_once, monkeypatch) -> BEExformerClassifier:
    """With a vocabulary."""
    model = built("weights-only", num_segments=2)
    words = (*SPECIAL_TOKENS, *(f"word{n}" for n in range(45)))
    monkeypatch.setattr(model, "preprocessor", TextPreprocessor(words, 12))
    return model


def test_directory_of_segments(model, tmp_path):
    figures = export.export_file(model, tmp_path / "parts", exit="segments")
    names = [path.name for path in sorted((tmp_path / "parts").iterdir())]
    assert names == ["block_1.tflite", "block_2.tflite", "block_3.tflite"]
    assert figures["total"] == sum(path.stat().st_size for path in (tmp_path / "parts").iterdir())
    loaded = runtime.load(tmp_path / "parts")
    assert isinstance(loaded, SegmentRunner)
    (prediction,) = loaded.classify(["word1 word2"], ["word3"])
    (expected,) = KerasRunner(model).classify(["word1 word2"], ["word3"])
    assert (prediction.label, prediction.exit) == (expected.label, expected.exit)
    export.export_file(model, tmp_path / "parts", exit="segments")  # in place of the old ones
    vocabularies = [
        metadata.read(path.read_bytes()).preprocessor is not None
        for path in sorted((tmp_path / "parts").iterdir())
    ]
    assert vocabularies == [True, False, False]


def test_mistakes_with_segments(model, tmp_path):
    files, others = (file(kind, "segments") for kind in ("weights-only", "float"))
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
    with pytest.raises(BeexError, match="which is not ours"):
        export.export_file(model, tmp_path / "full", exit="segments")
    assert (tmp_path / "full" / "precious.txt").read_text() == "mine"
    with pytest.raises(BeexError, match="only of a file that exits by itself"):
        export.export_file(model, tmp_path / "new", exit="segments", threshold_input=True)
