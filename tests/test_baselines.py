"""The baselines on texts with known answers."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_encoder import MINILM_PACKAGE, VOCABULARY, reference

import baselines
from baselines import frozen
from beex_keras.data import Split, Task
from beex_keras.errors import BeexError
from beex_keras.evaluation import score

pytest.importorskip("sklearn")


def split(rows, pairs=None) -> Split:
    texts, labels = zip(*rows, strict=True)
    return Split(list(texts), pairs, np.array(labels, np.int32))


def task(train, test, pairs=(None, None), metric="accuracy") -> Task:
    return Task(
        name="toy",
        labels=("bad", "good"),
        train=split(train, pairs[0]),
        validation=split(train, pairs[0]),
        test=split(test, pairs[1]),
        metric=metric,
        notes="",
    )


def accuracy(predictions: Callable[[Task], np.ndarray], task: Task) -> float:
    """The accuracy of a baseline on the test split."""
    return float(np.mean(predictions(task) == task.test.labels))


WORDS = [
    ("a good film", 1),
    ("so good", 1),
    ("good fun", 1),
    ("a bad film", 0),
    ("so bad", 0),
]


def test_majority_class_is_that_of_training():
    # Training says 1; the test split holds it once in four.
    test = [("x", 1), ("y", 0), ("z", 0), ("w", 0)]
    assert accuracy(baselines.majority_predictions, task(WORDS, test)) == 0.25


def test_tfidf_learns_words():
    test = [("good film so", 1), ("film so bad", 0), ("bad", 0), ("unknown words but good", 1)]
    assert accuracy(baselines.tfidf_predictions, task(WORDS, test)) == 1.0


def test_tfidf_reads_both_texts_of_a_pair():
    same = [("film", label) for _, label in WORDS]
    firsts, seconds = [text for text, _ in WORDS], ["good", "bad"]
    toy = task(same, [("film", 1), ("film", 0)], (firsts, seconds))
    assert accuracy(baselines.tfidf_predictions, toy) == 1.0


def test_letters_are_words():
    train = [("I", 1), ("a", 0)] * 3
    assert accuracy(baselines.tfidf_predictions, task(train, [("I", 1), ("a", 0)])) == 1.0


def test_one_class_in_training():
    train = [("good", 1), ("fine", 1)]
    assert accuracy(baselines.tfidf_predictions, task(train, [("x", 1), ("y", 0)])) == 0.5


def test_predictions_are_class_numbers():
    toy = task(WORDS, [("good", 1), ("bad", 1)], metric="matthews")
    assert baselines.majority_predictions(toy).tolist() == [1, 1]
    assert baselines.tfidf_predictions(toy).tolist() == [1, 0]


def test_texts_without_words():
    with pytest.raises(BeexError, match="hold no words"):
        baselines.tfidf_predictions(task([("!", 1), ("?", 0)], [("x", 1)]))


def test_scikit_learn_is_asked_for_when_missing(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BeexError, match="scikit-learn"):
        baselines.tfidf_predictions(task(WORDS, [("x", 1)]))


# === Regression ===


def rated(pairs=None, count: int = 40) -> Task:
    """Texts whose target is how often they say "good"."""
    random = np.random.default_rng(0)
    counts = random.integers(0, 4, (3, count))
    parts = [
        Split([" ".join(["film", *["good"] * n]) for n in row], pairs, row / 2.0) for row in counts
    ]
    return Task("rated", ("value",), *parts, "pearson", "")


def test_the_mean_answers_the_same_to_all():
    task = rated()
    assert set(baselines.of(task)) == {"mean", "TF-IDF + ridge"}
    assert set(baselines.mean_predictions(task)) == {task.train.labels.mean()}
    assert score(task.test.labels, baselines.mean_predictions(task), "pearson") == 0


def test_ridge_learns_how_much_words_say():
    task = rated()
    assert score(task.test.labels, baselines.tfidf_predictions(task), "pearson") > 0.9


def test_cosine_and_features_of_embeddings(monkeypatch):
    """The target of each pair is the cosine of the two known embeddings, times five."""
    random = np.random.default_rng(0)
    angles = random.uniform(0, np.pi / 2, 90)
    known = {f"t{i}": [np.cos(a), np.sin(a)] for i, a in enumerate(angles)} | {"p": [1.0, 0.0]}

    def embed(texts):
        return np.array([known[text] for text in texts])

    monkeypatch.setattr(frozen, "Embedder", lambda: embed)
    parts = [
        Split([f"t{i}" for i in rows], ["p"] * 30, np.cos(angles[rows]) * 5)
        for rows in np.split(np.arange(90), 3)
    ]
    task = Task("pairs", ("value",), *parts, "pearson", "")
    assert "frozen MiniLM, cosine" in baselines.of(task, frozen_minilm=True)
    np.testing.assert_allclose(frozen.cosine_predictions(task), task.test.labels, atol=1e-9)
    assert score(task.test.labels, frozen.predictions(task), "pearson") > 0.98


# === The embeddings of MiniLM ===


def test_an_embedding_is_the_mean_of_the_last_layers_outputs(encoders, encoder_folder):
    tensors = load_file(encoder_folder / MINILM_PACKAGE / "model" / "model.safetensors")
    texts = ["the good film", "a really boring plot"]
    expected = []
    for text in texts:
        rows = [VOCABULARY.index(token) for token in ("[CLS]", *text.split(), "[SEP]")]
        mean = reference(tensors, rows)[-1].mean(axis=0)
        expected.append(mean / np.linalg.norm(mean))
    # The model approximates GELU; the reference has its definition.
    np.testing.assert_allclose(frozen.Embedder()(texts), expected, atol=1e-3)
