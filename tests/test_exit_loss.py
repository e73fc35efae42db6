"""What a text is expected to lose at an exit, against scikit-learn and by hand."""

import numpy as np
import pytest

from beex_keras.evaluation.reliability import expected_loss


def drawn(count, classes=3, seed=0):
    """Logits of three exits; a sure first one has the last one's answer more often."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 3, classes))
    logits[:, 1] = logits[:, 2] + random.normal(0, 1, (count, classes))
    answers = logits.argmax(axis=2)
    return logits, answers, random.random((count, 3))


@pytest.mark.parametrize("count, classes", [(7, 2), (60, 3), (301, 5)])
def test_it_is_a_logistic_regression_of_other_answers_times_what_one_costs(count, classes):
    linear_model = pytest.importorskip("sklearn.linear_model")
    logits, answers, worth = drawn(count, classes)
    found = expected_loss(logits, answers, worth)
    for place in (0, 1):
        p = np.exp(logits[:, place])
        p = np.sort(p / p.sum(axis=1, keepdims=True))[:, -1]
        odds = np.log(p) - np.log(1 - p)
        differs = answers[:, place] != answers[:, 2]
        # One text more, as sure as the mean, is half of each kind.
        scores = np.append(odds, [odds.mean()] * 2)[:, np.newaxis] - odds.mean()
        told, weights = np.append(differs, [0, 1]), np.append(np.ones(count), [0.5, 0.5])
        line = linear_model.LogisticRegression(C=100.0, tol=1e-10, max_iter=1000)
        line.fit(scores, told, sample_weight=weights)
        other = line.predict_proba(scores[:-2])[:, 1]
        cost = (np.append((worth[:, 2] - worth[:, place])[differs], 0.5)).sum() / (
            differs.sum() + 1
        )
        np.testing.assert_allclose(found[:, place], other * cost, rtol=1e-4, atol=1e-7)
    assert (found[:, 2] == 0).all()


def test_a_sure_text_loses_less():
    logits, answers, worth = drawn(500)
    worth[:, 2] = 1
    first = expected_loss(logits, answers, worth)[:, 1]
    sure = np.sort(logits[:, 1])[:, -1] - np.sort(logits[:, 1])[:, -2]
    assert first[sure > 4].max() < first[sure < 0.5].min()


@pytest.mark.parametrize("count", [1, 5, 50])
def test_few_texts_never_say_that_nothing_is_lost(count):
    logits = np.zeros((count, 2, 2))
    logits[..., 0] = 9
    found = expected_loss(logits, np.zeros((count, 2), int), np.ones((count, 2)))
    # Half of one text in count + 1 has another answer, and costs a half.
    np.testing.assert_allclose(found[:, 0], 0.25 / (count + 1), rtol=1e-6)


def test_logits_that_are_far_apart_stay_finite():
    logits = np.zeros((4, 2, 3), np.float32)
    logits[:, :, 1] = [[900, 900], [3, 900], [-900, 900], [0, 900]]
    found = expected_loss(logits, logits.argmax(axis=2), np.full((4, 2), 0.5))
    assert np.isfinite(found).all()
