"""Probabilities of the classes from all exits: against the condition of the optimum, in float64."""

import numpy as np
import pytest

from beex_keras.evaluation.label_probabilities import label_probabilities


def drawn(texts, exits, classes, seed=0):
    """Logits of exits that say ever more of the labels, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, texts)
    known = np.linspace(0.5, 3, exits)[:, None] * np.eye(classes)[labels][:, None]
    return known + random.normal(0, 1, (texts, exits, classes)), labels


def weights_of(logits, found):
    """The weights of the exits that give these probabilities."""
    told = np.log(found) - np.log(found).mean(axis=1, keepdims=True)
    centred = logits - logits.mean(axis=2, keepdims=True)
    return np.linalg.lstsq(
        centred.transpose(0, 2, 1).reshape(told.size, -1), told.ravel(), rcond=None
    )[0]


@pytest.mark.parametrize(
    ("texts", "exits", "classes"), [(7, 2, 2), (300, 6, 3), (900, 4, 40), (50, 1, 5)]
)
def test_the_posterior_is_highest_there(texts, exits, classes):
    logits, labels = drawn(texts, exits, classes)
    found = label_probabilities(logits, labels)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    weights = weights_of(logits, found)
    gradient = np.eye(exits)[-1] - weights
    for row, label, p in zip(logits, labels, found, strict=True):
        gradient += row[:, label] - row @ p
    np.testing.assert_allclose(gradient, 0, atol=1e-4 * texts)
    scores = logits.transpose(0, 2, 1) @ weights
    np.testing.assert_allclose(
        found, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), rtol=1e-6
    )


def test_an_exit_that_is_too_sure_is_corrected():
    random = np.random.default_rng(3)
    true = random.uniform(0.5, 1, 4000)
    labels = (random.random(4000) > true).astype(int)
    logits = np.zeros((4000, 1, 2))
    logits[:, 0, 0] = 5 * np.log(true / (1 - true))
    found = label_probabilities(logits, labels)[:, 0]
    assert np.abs(found - true).max() < 0.03


def test_exits_that_know_as_much_count_alike():
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 5000)
    logits = np.zeros((5000, 2, 2))
    logits[..., 1] = 2 * labels[:, None] - 1 + random.normal(0, 1, (5000, 2))
    np.testing.assert_allclose(weights_of(logits, label_probabilities(logits, labels)), 2, atol=0.2)


def test_few_texts_leave_the_last_exit_as_it_is():
    logits, _ = drawn(1, 3, 4)
    label = logits[:, -1].argmax(axis=1)
    last = np.exp(logits[:, -1]) / np.exp(logits[:, -1]).sum()
    assert np.abs(label_probabilities(logits, label) - last).max() < 0.2


def test_extreme_logits_stay_finite():
    logits = np.array([[[0, 1e4], [1e4, 0]], [[-1e4, 0], [0, 1e4]]], np.float32)
    found = label_probabilities(logits, np.array([1, 1]))
    assert np.isfinite(found).all()
