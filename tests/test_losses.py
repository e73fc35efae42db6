import numpy as np
import pytest
import tensorflow as tf

from beex_keras import BeexError, FractionalEntropy, SoftRoutingLoss
from beex_keras.metrics import ExitAccuracy, MeanDepth, PolicyAccuracy

LOGITS = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def cross_entropies():
    p = np.exp(LOGITS.astype(np.float64))
    p /= p.sum(axis=2, keepdims=True)
    return p, -np.log(p[np.arange(6)[:, None], np.arange(4)[None], LABELS[:, None]])


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("uniform", [0.25] * 4), ("linear", [0.1, 0.2, 0.3, 0.4]), ("last", [0, 0, 0, 1])],
)
def test_fixed_weights(weights, expected):
    _, losses = cross_entropies()
    value = SoftRoutingLoss(weights).call(LABELS, tf.constant(LOGITS))
    np.testing.assert_allclose(value, losses @ expected, rtol=1e-5)


def test_routed_weights_are_the_routing_probabilities():
    p, losses = cross_entropies()
    h = -(p * np.log(p)).sum(axis=2)
    before = np.concatenate([np.full((6, 1), np.log(3)), h[:, :-1]], axis=1)
    gate = 1 / (1 + np.exp(-(0.2 - (before - h) / before) / 0.5))
    expected = np.zeros((6, 4))
    for row in range(6):
        left = 1.0
        for i in range(4):
            leaves = 1.0 if i == 3 else gate[row, i]
            expected[row, i] = 0.3 / 4 + 0.7 * left * leaves
            left *= 1 - leaves
    np.testing.assert_allclose(expected.sum(axis=1), 1)
    loss = SoftRoutingLoss("routed", delta=0.2, temperature=0.5, floor=0.3)
    np.testing.assert_allclose(loss.exit_weights(tf.constant(LOGITS), 4), expected, rtol=1e-4)
    np.testing.assert_allclose(
        loss.call(LABELS, tf.constant(LOGITS)), (losses * expected).sum(axis=1), rtol=1e-4
    )


@pytest.mark.parametrize("weights", ["uniform", "linear", "routed"])
def test_every_exit_gets_a_gradient(weights):
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = SoftRoutingLoss(weights)(LABELS, logits)
    assert (np.abs(tape.gradient(value, logits)).sum(axis=(0, 2)) > 1e-4).all()


def test_label_smoothing_by_hand():
    p, _ = cross_entropies()
    target = np.full((6, 3), 0.1 / 3)
    target[np.arange(6), LABELS] += 0.9
    expected = -(target[:, None] * np.log(p)).sum(axis=2).mean(axis=1)
    loss = SoftRoutingLoss(label_smoothing=0.1)
    np.testing.assert_allclose(loss.call(LABELS, tf.constant(LOGITS)), expected, rtol=1e-5)


def test_serialization():
    loss = SoftRoutingLoss("routed", 0.1, 0.2, 0.3, 0.05)
    restored = tf.keras.losses.deserialize(tf.keras.losses.serialize(loss))
    assert restored.get_config() == loss.get_config()
    policy = FractionalEntropy(0.2)
    for metric in (ExitAccuracy(2), PolicyAccuracy(policy), MeanDepth(policy)):
        restored = tf.keras.metrics.deserialize(tf.keras.metrics.serialize(metric))
        assert restored.get_config() == metric.get_config()


def test_metrics_agree_with_numpy():
    policy = FractionalEntropy(0.05)
    taken = policy.choose(LOGITS)
    labels = LOGITS.argmax(axis=2)
    depth, accuracy, second = MeanDepth(policy), PolicyAccuracy(policy), ExitAccuracy(2)
    for rows in (slice(0, 4), slice(4, 6)):
        for metric in (depth, accuracy, second):
            metric.update_state(LABELS[rows], LOGITS[rows])
    assert float(depth.result()) == pytest.approx(taken.mean() + 1)
    assert float(accuracy.result()) == pytest.approx((labels[np.arange(6), taken] == LABELS).mean())
    assert float(second.result()) == pytest.approx((labels[:, 1] == LABELS).mean())


def test_bad_arguments():
    for arguments in ({"weights": "all"}, {"temperature": 0}, {"floor": 2}, {"label_smoothing": 1}):
        with pytest.raises(BeexError):
            SoftRoutingLoss(**arguments)
