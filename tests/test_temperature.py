"""Temperature scaling against the condition of the optimum, and against known probabilities."""

import numpy as np
import pytest

from beex_keras.evaluation.reliability import scaled_probabilities


def drawn(texts, classes, sureness):
    """Logits, and labels that are right as often as the logits divided by `sureness` say."""
    random = np.random.default_rng(texts)
    logits = random.normal(0, 2, (texts, classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (random.random((texts, 1)) > p.cumsum(axis=1)).sum(axis=1)
    return sureness * logits, labels, p


@pytest.mark.parametrize(("texts", "classes", "sureness"), [(7, 2, 1), (300, 3, 5), (900, 40, 0.3)])
def test_the_posterior_is_highest_there(texts, classes, sureness):
    logits, labels, _ = drawn(texts, classes, sureness)
    found = scaled_probabilities(logits, labels)
    told = np.log(found) - np.log(found).mean(axis=1, keepdims=True)
    centred = logits - logits.mean(axis=1, keepdims=True)
    inverse = (told * centred).sum() / (centred**2).sum()
    np.testing.assert_allclose(told, inverse * centred, atol=1e-9)
    gradient = 1 - inverse
    for row, label, p in zip(logits, labels, found, strict=True):
        gradient += row[label] - row @ p
    assert abs(gradient) < 1e-4 * texts


@pytest.mark.parametrize("sureness", [0.2, 1, 6])
def test_probabilities_are_found_again(sureness):
    logits, labels, p = drawn(5000, 4, sureness)
    assert np.abs(scaled_probabilities(logits, labels) - p).max() < 0.03


def test_few_texts_leave_the_model_as_it_is():
    logits, labels, p = drawn(1, 4, 1)
    assert np.abs(scaled_probabilities(logits, labels) - p).max() < 0.2


def test_extreme_logits_stay_finite():
    logits = np.array([[0, 1e4], [1e4, 0]], np.float32)
    assert np.isfinite(scaled_probabilities(logits, np.array([1, 1]))).all()
