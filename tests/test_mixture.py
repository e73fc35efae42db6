"""Two teachers' answers, weighted by validation data."""

import numpy as np
import pytest

from beex_keras.data import Split, Task
from beex_keras.training import frozen
from beex_keras.training.mixture import Mixture

TEXTS = [f"text {number}" for number in range(200)]


def classes(labels: np.ndarray) -> Task:
    split = Split(TEXTS, None, labels.astype(np.int32))
    return Task("toy", ("a", "b", "c"), split, split, split, "accuracy", "")


def numbers(targets: np.ndarray) -> Task:
    split = Split(TEXTS, None, targets)
    return Task("toy", ("value",), split, split, split, "pearson", "")


def answering(logits: np.ndarray):
    def answer(texts, pairs):
        assert pairs is None
        return logits[[TEXTS.index(text) for text in texts]]

    return answer


def test_log_probabilities_are_averaged_by_the_weight_of_the_smallest_cross_entropy():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 200)
    one, other = (2 * np.eye(3)[labels] + random.normal(size=(200, 3)) for _ in range(2))
    found = Mixture(classes(labels), answering(one), lambda: answering(other))
    p, q = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (one, other))
    entropies = {}
    for weight in np.arange(11) / 10:
        pool = p ** (1 - weight) * q**weight
        pool /= pool.sum(axis=1, keepdims=True)
        entropies[weight] = -np.log(pool[range(200), labels]).mean()
    best = min(entropies, key=entropies.get)
    assert found.weight == pytest.approx(best) and 0 < best < 1
    expected = (1 - best) * np.log(p) + best * np.log(q)
    np.testing.assert_allclose(found(TEXTS[3:9], None), expected[3:9], rtol=1e-6)


def test_values_are_averaged_by_the_weight_of_the_smallest_squared_error():
    random = np.random.default_rng(1)
    targets = random.normal(3, 2, 200)
    task = numbers(targets)
    z = task.value_scale.standardize(targets)[:, None]
    one, other = z + random.normal(size=(200, 1)), z + random.normal(size=(200, 1)) / 2
    said = []
    found = Mixture(task, answering(one), lambda: answering(other), said.append)
    # Independent errors of variances 1 and 1/4: the best weights are 1/5 and 4/5.
    assert found.weight == pytest.approx(0.8, abs=0.11)
    expected = (1 - found.weight) * one + found.weight * other
    np.testing.assert_allclose(found(TEXTS[:5], None), expected[:5])
    assert len(said) == 1 and f"weight {found.weight:.1f}" in said[0]


@pytest.mark.parametrize("better", [0, 1])
def test_a_teacher_that_knows_nothing_is_not_asked(better):
    labels = np.arange(200) % 3
    good = answering(10.0 * np.eye(3)[labels])
    wrong = answering(10.0 * np.eye(3)[(labels + 1) % 3])
    task = classes(labels)
    found = Mixture(task, *((good, lambda: wrong), (wrong, lambda: good))[better])
    assert found.weight == better
    unasked = lambda texts, pairs: pytest.fail("asked")  # noqa: E731
    if better:
        found.first = unasked
    else:
        found.second = unasked
    assert (found(TEXTS, None).argmax(axis=1) == labels).all()


def test_the_second_teacher_is_made_when_it_is_needed():
    Mixture(classes(np.arange(200) % 3), answering(np.eye(3)), lambda: pytest.fail("made"))


# === MiniLM as it is ===


def embed_first_letters(texts):
    return np.array([np.eye(4)["abcd".index(text[0])] for text in texts])


def test_a_class_that_training_lacks_is_improbable(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(frozen, "Embedder", lambda: embed_first_letters)
    split = Split(["a1", "a2", "c1", "c2"] * 5, None, np.array([0, 0, 2, 2] * 5, np.int32))
    task = Task("toy", ("x", "y", "z"), split, split, split, "accuracy", "")
    found = frozen.FrozenMiniLM.fit(task).logits(["a9", "c9"], None)
    assert frozen.FrozenMiniLM.fit(task) is frozen.FrozenMiniLM.fit(
        task
    )  # its embeddings take long
    assert found.shape == (2, 3) and found.argmax(axis=1).tolist() == [0, 2]
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-4)
    assert (np.exp(found[:, 1]) < 1e-5).all()


def test_values_are_standardized(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(frozen, "Embedder", lambda: embed_first_letters)
    pairs = [("a", "b"), ("a", "a"), ("c", "d"), ("b", "b")] * 10
    first, second = map(list, zip(*pairs, strict=True))
    split = Split(first, second, np.array([1.0, 5.0, 1.5, 4.5] * 10))
    task = Task("toy", ("value",), split, split, split, "pearson", "")
    model = frozen.FrozenMiniLM.fit(task)
    expected = task.value_scale.standardize(model.predict(split))
    np.testing.assert_allclose(model.logits(first, second)[:, 0], expected, rtol=1e-5)
    assert np.corrcoef(expected, split.labels)[0, 1] > 0.99
