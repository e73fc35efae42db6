"""Loss, metrics, scores and calibration of a regression."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from answered_numbers import logits_of, recent_changes, targets_of

from beex_keras import BeexError, Change, Confidence, SoftRoutingLoss, TargetScaler, calibrate
from beex_keras.evaluation import evaluate, score
from beex_keras.evaluation.scores import correlation, ranks
from beex_keras.metrics import ExitCorrelation, PolicyError

STARS = TargetScaler(3.2, 1.3, 1, 5)
RULE = Change(1.4)


@pytest.mark.parametrize("weights", ["uniform", "linear", "routed", "last"])
def test_the_loss_is_the_squared_error_of_every_exit(weights):
    logits, targets = logits_of(6, 3), targets_of(6).astype(np.float32)
    errors = (logits[:, :, 0] - targets[:, None]) ** 2
    share = {"uniform": np.ones(3) / 3, "linear": np.arange(1, 4) / 6, "last": np.eye(3)[2]}
    if weights == "routed":
        change = np.abs(np.diff(logits[:, :, 0], axis=1))
        second = 1 / (1 + np.exp(-(0.5 - change[:, 0]) / 0.1))
        routed = np.stack([np.zeros(6), second, 1 - second], axis=1)
        share["routed"] = 0.2 / 3 + 0.8 * routed
    expected = (errors * share[weights]).sum(axis=1).mean()
    found = SoftRoutingLoss(weights, label_smoothing=0.1)(targets, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_correlations_are_those_of_all_batches():
    logits, targets = logits_of(30), targets_of(30)
    metric = ExitCorrelation(2)
    chosen = ExitCorrelation(policy=RULE)
    error = PolicyError(RULE, scale=1.3)
    for rows in (slice(0, 11), slice(11, 30)):
        for each in (metric, chosen, error):
            each.update_state(targets[rows], tf.constant(logits[rows]))
    own = logits[np.arange(30), RULE.choose(logits), 0]
    assert float(metric.result()) == pytest.approx(np.corrcoef(targets, logits[:, 1, 0])[0, 1])
    assert float(chosen.result()) == pytest.approx(np.corrcoef(targets, own)[0, 1], rel=1e-4)
    assert float(error.result()) == pytest.approx(1.3 * np.abs(targets - own).mean(), rel=1e-4)
    metric.reset_state()
    assert float(metric.result()) == 0
    again = ExitCorrelation.from_config(json.loads(json.dumps(chosen.get_config())))
    assert again.policy == RULE and again.exit is None


def test_weights_leave_rows_out():
    logits, targets = logits_of(20), targets_of(20)
    metric, weights = ExitCorrelation(1), np.r_[np.ones(12), np.zeros(8)]
    metric.update_state(targets, tf.constant(logits), weights)
    expected = np.corrcoef(targets[:12], logits[:12, 0, 0])[0, 1]
    assert float(metric.result()) == pytest.approx(expected, rel=1e-4)


def test_scores():
    targets, found = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 9.0])
    assert score(targets, found, "pearson") == pytest.approx(np.corrcoef(targets, found)[0, 1])
    # Without ties it is 1 - 6 Σ d² / (n (n² - 1)).
    assert score(targets, found, "spearman") == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert score(targets, found, "mean_absolute_error") == pytest.approx(7 / 4)
    assert score(targets, np.ones(4), "pearson") == 0
    assert ranks(np.array([7, 7, 1, 9])).tolist() == [2.5, 2.5, 1, 4]
    with pytest.raises(BeexError, match="choose one of accuracy, matthews, f1, pearson"):
        score(targets, found, "rmse")


def test_the_influence_is_that_of_the_jackknife():
    """The standard error of what is lost at an exit, against leaving one text out at a time."""
    logits, targets = logits_of(400), targets_of(400)
    first, last = logits[:, 0, 0], logits[:, -1, 0]

    def lost(rows):
        return (
            np.corrcoef(targets[rows], last[rows])[0, 1]
            - np.corrcoef(targets[rows], first[rows])[0, 1]
        )

    without = np.array([lost(np.delete(np.arange(400), i)) for i in range(400)])
    expected = np.sqrt(399 / 400 * ((without - without.mean()) ** 2).sum())
    influence = correlation(targets, last)[1] - correlation(targets, first)[1]
    assert influence.std() / 20 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("metric", ["pearson", "spearman", "mean_absolute_error"])
def test_calibration_takes_the_cheapest_threshold_within_the_tolerance(metric):
    logits, targets = logits_of(120), STARS.offset + STARS.scale * targets_of(120)

    def good(taken):
        values = STARS.offset + STARS.scale * logits[np.arange(120), taken, 0]
        found = score(targets, np.clip(values, 1, 5), metric)
        return -found / targets.std() if metric == "mean_absolute_error" else found

    tolerance, full = 0.02, good(np.full(120, 3))
    found = calibrate(RULE, logits, targets, tolerance=tolerance, metric=metric, value_scale=STARS)
    assert found.full_depth_accuracy == pytest.approx(full, rel=1e-5)
    assert found.accuracy == pytest.approx(good(found.policy.choose(logits)), rel=1e-5)
    assert full - found.accuracy <= tolerance
    changes = np.sort(recent_changes(logits).ravel())
    depths = []
    for threshold in np.r_[0, changes + 1e-6]:
        taken = Change(float(threshold)).choose(logits)
        if full - good(taken) > tolerance:
            break
        depths.append(taken.mean())
    assert found.depth - 1 == pytest.approx(min(depths))
    careful = calibrate(
        RULE, logits, targets, tolerance=tolerance, margin=2, metric=metric, value_scale=STARS
    )
    assert careful.cost > found.cost


def test_metrics_and_models_go_together():
    with pytest.raises(BeexError, match="'accuracy' does not fit regression"):
        calibrate(RULE, logits_of(9), targets_of(9))
    with pytest.raises(BeexError, match="'pearson' does not fit classification"):
        calibrate(Confidence(), np.zeros((4, 2, 3)), np.zeros(4, int), metric="pearson")


def test_evaluation_has_all_metrics():
    logits, targets = logits_of(50), targets_of(50)
    found = evaluate(logits, targets, RULE, metric="pearson")
    chosen = logits[np.arange(50), RULE.choose(logits), 0]
    assert found.score == pytest.approx(np.corrcoef(targets, chosen)[0, 1])
    assert found.further_scores["mean_absolute_error"] == pytest.approx(
        np.abs(targets - chosen).mean()
    )
    assert {"spearman", "mean_absolute_error"} <= found.rows()[-1].keys()
    assert "further_scores" not in dataclasses.replace(found, further_scores={}).to_dict()
