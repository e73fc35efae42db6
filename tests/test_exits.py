import json

import numpy as np
import pytest
import tensorflow as tf

from beex_keras import BeexError, calibrate, exits
from beex_keras.evaluation import evaluate
from beex_keras.evaluation.reliability import expected_loss, scaled_probabilities
from beex_keras.exits import Confidence, Entropy, FixedDepth, FractionalEntropy, Patience

ALL = [
    FractionalEntropy(0.3),
    FractionalEntropy(0.3, "above"),
    Entropy(0.4),
    Confidence(0.8),
    Patience(1),
    Patience(2),
    FixedDepth(2),
]


def sample_logits(rows=200, depth=5, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    drift = np.cumsum(generator.normal(size=(rows, depth, classes)), axis=1)
    return (2 * drift).astype(np.float32)


def reference_exit(policy, logits):
    """Each rule as its paper states it, one row (N, C) at a time, in float64."""
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    h = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    labels = logits.argmax(axis=1)
    before = np.concatenate([[np.log(logits.shape[1])], h[:-1]])
    same = 0
    for i in range(len(logits)):
        same = same + 1 if i and labels[i] == labels[i - 1] else 0
        match policy:
            case FractionalEntropy(direction="below"):
                stop = before[i] <= 1e-6 or (before[i] - h[i]) / before[i] < policy.threshold
            case FractionalEntropy():
                stop = before[i] <= 1e-6 or (before[i] - h[i]) / before[i] >= policy.threshold
            case Entropy():
                stop = h[i] < policy.threshold
            case Confidence():
                stop = p[i].max() >= policy.threshold
            case Patience():
                stop = same >= policy.threshold
            case FixedDepth():
                stop = i + 1 >= policy.threshold
        if stop:
            return i
    return len(logits) - 1


@pytest.mark.parametrize("policy", ALL, ids=repr)
def test_choice_equals_the_rule_as_published(policy):
    logits = sample_logits()
    expected = [reference_exit(policy, row) for row in logits]
    assert policy.choose(logits).tolist() == expected
    assert len(set(expected)) > 1 or isinstance(policy, FixedDepth)


@pytest.mark.parametrize("policy", ALL, ids=repr)
def test_step_by_step_in_a_graph_takes_the_same_exit(policy):
    logits = sample_logits(50)

    @tf.function
    def stepwise(row):
        state = policy.initial_state(row[:, 0])
        taken = tf.constant(row.shape[1] - 1)
        open_ = tf.constant(True)
        for index in range(row.shape[1]):
            score, state = policy.score(index, row[:, index], state)
            stop = policy.should_exit(score)[0] & open_
            taken = tf.where(stop, index, taken)
            open_ = open_ & ~stop
        return taken

    taken = [int(stepwise(tf.constant(row[None]))) for row in logits]
    assert taken == policy.choose(logits).tolist()


def test_numbers_of_numpy_are_numbers():
    assert FixedDepth(np.int64(2)) == FixedDepth(2)
    assert repr(Patience(2.0)) == "Patience(k=2)"
    assert Confidence(np.float32(0.5)).get_config() == {"p": 0.5}


@pytest.mark.parametrize("policy", ALL, ids=repr)
def test_serialization_through_json(policy):
    assert exits.deserialize(json.loads(json.dumps(exits.serialize(policy)))) == policy


def test_certain_samples_leave_at_once():
    logits = np.zeros((1, 3, 2), np.float32)
    logits[:, :, 0] = 60.0
    assert FractionalEntropy(-1.0).choose(logits).tolist() == [1]


def noisy(count):
    """Logits whose last exit is mostly right."""
    logits = sample_logits(count)
    flip = np.random.default_rng(1).random(count) < 0.3
    answers = logits[:, -1].argmax(axis=1)
    return logits, np.where(flip, (answers + 1) % 3, answers)


def losses(logits, labels, taken):
    """How much less probable a right answer is expected to be at the exits taken than at full depth, by text."""
    known, rows = scaled_probabilities(logits[:, -1], labels), np.arange(len(labels))
    answers = logits.argmax(axis=2)
    return expected_loss(logits, answers, known[rows[:, None], answers])[rows, taken]


@pytest.mark.parametrize(
    "make",
    [
        lambda: exits.get("oracle"),
        lambda: exits.get("entropy", delta=1),
        lambda: Patience(0),
        lambda: FixedDepth(1.5),
        lambda: Entropy(float("nan")),
        lambda: FractionalEntropy(0.1, "sideways"),
        lambda: exits.deserialize({"tau": 1}),
    ],
)
def test_bad_policies_are_refused(make):
    with pytest.raises(BeexError):
        make()


@pytest.mark.parametrize("policy", ALL, ids=repr)
def test_calibration_takes_the_cheapest_threshold_up_to_the_first_bad_one(policy):
    logits, labels = noisy(300)
    found = calibrate(policy, logits, labels, tolerance=0.01)
    rows, predicted = np.arange(300), logits.argmax(axis=2)
    taken = found.policy.choose(logits)
    assert found.accuracy == pytest.approx((predicted[rows, taken] == labels).mean())
    assert found.full_depth_accuracy == pytest.approx((predicted[:, -1] == labels).mean())
    assert found.cost == pytest.approx((taken + 1).mean() / 5)
    lost = found.to_dict()["validation_estimated_loss"]
    assert lost == pytest.approx(np.mean(losses(logits, labels, taken)))
    good = []
    for threshold in found.curve.thresholds:
        other = policy.with_threshold(float(threshold)).choose(logits)
        good.append(np.mean(losses(logits, labels, other)) <= 0.01)
    assert (np.diff(found.curve.depth) <= 0).all() and found.curve.depth[0] == 5
    trusted = good.index(False) if False in good else len(good)
    assert found.index < trusted
    assert found.curve.cost[:trusted].min() == found.cost


@pytest.mark.parametrize("tolerance", [0.0, 0.005])
def test_calibration_of_a_policy_that_leaves_early_at_any_threshold(tolerance):
    """The second entropy is below the floor of the paper's rule, so no threshold gives the third exit."""
    logits = np.array([[[0, 30], [0, 30], [5, 0]]], np.float32)
    found = calibrate(exits.FractionalEntropy(), logits, np.array([0]), tolerance=tolerance)
    assert (found.accuracy, found.full_depth_accuracy) == (0.0, 1.0)
    assert found.depth < 3


@pytest.mark.parametrize("label", [3, -1, 0.5, np.nan])
def test_calibration_refuses_labels_that_are_no_class(label):
    with pytest.raises(BeexError, match="from 0 to 2"):
        calibrate(Confidence(), sample_logits(2), np.array([1, label]))


def test_calibration_takes_whole_numbers_of_any_type():
    logits, labels = noisy(20)
    found = calibrate(Confidence(), logits, labels.astype(float))
    assert found.policy == calibrate(Confidence(), logits, labels).policy


def test_calibration_uses_costs_and_tolerance():
    logits = sample_logits(300)
    labels = logits[:, -1].argmax(axis=1)
    strict = calibrate(FractionalEntropy(), logits, labels)
    loose = calibrate(FractionalEntropy(), logits, labels, tolerance=0.2)
    assert loose.cost < strict.cost and loose.loss <= 0.2
    free = calibrate(FixedDepth(), logits, labels, costs=np.array([5.0, 4, 3, 2, 1]), tolerance=0.9)
    assert free.policy == FixedDepth(5)


@pytest.mark.parametrize(
    "margin", [1.0, *(pytest.param(x, marks=pytest.mark.slow) for x in (0.5, 3.0))]
)
def test_calibration_leaves_room_for_chance(margin):
    logits, labels = noisy(200)
    found = calibrate(Confidence(), logits, labels, tolerance=0.02, margin=margin)
    bounds = []
    for threshold in found.curve.thresholds:
        lost = losses(logits, labels, Confidence(float(threshold)).choose(logits))
        bounds.append(np.mean(lost) + margin * np.std(lost) / 200**0.5)
    cheaper = int((found.curve.cost < found.cost).argmax())
    assert max(bounds[:cheaper]) <= 0.02 < bounds[cheaper]
    bolder = calibrate(Confidence(), logits, labels, tolerance=0.02)
    assert bolder.cost < found.cost


def test_no_tolerance_is_a_twentieth_of_a_point():
    """The first exit has all answers of the last one, and half of them are surer."""
    logits = np.zeros((2000, 2, 2), np.float32)
    logits[:, :, 0] = 8.0
    logits[::2, 0] /= 4
    found = calibrate(Confidence(), logits, np.zeros(2000, int))
    assert 0 < found.loss <= 0.0005 and found.depth == 1
    assert (
        found.policy
        == calibrate(Confidence(), logits, np.zeros(2000, int), tolerance=0.0005).policy
    )
    few = slice(0, 20)
    assert calibrate(Confidence(), logits[few], np.zeros(20, int)).depth == 2


def test_a_threshold_beyond_a_bad_one_is_not_trusted():
    """Of two groups of texts, one loses by leaving early, and the other, less sure one gains as much."""
    logits = np.zeros((40, 2, 2), np.float32)
    logits[:, 0, 1], logits[:, 1, 0] = 2.0, 2.0
    logits[20:, 0] /= 2
    labels = np.repeat([0, 1], 20)
    found = calibrate(Confidence(), logits, labels)
    assert found.curve.accuracy.tolist() == [0.5, 0.0, 0.5]
    assert found.depth == 2


def test_calibration_for_matthews_gives_each_class_the_same_weight():
    """An exit that knows the frequent class alone is right as often, and of no use."""
    balanced_accuracy_score = pytest.importorskip("sklearn.metrics").balanced_accuracy_score
    random = np.random.default_rng(0)
    labels = (random.random(400) < 0.1).astype(int)
    logits = np.zeros((400, 2, 2), np.float32)
    logits[:, 0, 0] = random.uniform(2, 3, 400)  # exit 1 is sure of class 0
    answers = np.where(random.random(400) < 0.12, 1 - labels, labels)
    logits[np.arange(400), 1, answers] = np.where(answers, 0.05, 4)
    assert calibrate(Confidence(), logits, labels, tolerance=0.01).depth == 1
    found = calibrate(Confidence(), logits, labels, metric="matthews")
    predicted = logits.argmax(axis=2)
    taken = predicted[np.arange(400), found.policy.choose(logits)]
    assert found.accuracy == pytest.approx(balanced_accuracy_score(labels, taken))
    assert found.full_depth_accuracy == pytest.approx(
        balanced_accuracy_score(labels, predicted[:, 1])
    )
    assert found.accuracy >= found.full_depth_accuracy > 0.8
    by_f1 = calibrate(Confidence(), logits, labels, metric="f1")
    assert by_f1.policy == calibrate(Confidence(), logits, labels).policy


def test_the_tolerance_for_matthews_is_one_of_the_correlation():
    """Where each class is answered as often as it occurs, the correlation loses what is tolerated."""
    matthews_corrcoef = pytest.importorskip("sklearn.metrics").matthews_corrcoef
    random, rows = np.random.default_rng(0), 100_000
    last = random.normal(0, 2, rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(-last))).astype(int)
    logits = np.zeros((rows, 2, 2), np.float32)
    logits[:, 0, 1], logits[:, 1, 1] = last + random.normal(0, 1, rows), last
    found = calibrate(Confidence(), logits, labels, tolerance=0.03, metric="matthews")
    answers = logits.argmax(axis=2)
    taken = answers[np.arange(rows), found.policy.choose(logits)]
    lost = matthews_corrcoef(labels, answers[:, 1]) - matthews_corrcoef(labels, taken)
    assert lost == pytest.approx(0.03, abs=0.005)


def test_evaluation_counts_by_hand():
    logits = np.zeros((4, 2, 2), np.float32)
    logits[0, :, 0] = 9  # certain of 0 at both exits
    logits[1, :, 1] = 9
    logits[2, 1, 1] = 9  # undecided (0) at exit 1, certain of 1 at exit 2
    logits[3, 1, 0] = 9
    result = evaluate(logits, np.array([0, 0, 1, 1]), Entropy(0.5), np.array([0.6, 1.0]))
    assert result.exit_scores == [0.25, 0.5]
    assert result.score == 0.5
    assert result.mean_depth == 1.5
    assert result.exit_shares == [0.5, 0.5]
    assert result.flops_saved == pytest.approx(0.2)
