"""Leaving a regression where its answer changes little any more."""

import numpy as np
import pytest
import tensorflow as tf
from answered_numbers import logits_of, recent_changes, targets_of
from conftest import built, random_ids, tiny_config

from beex_keras import BeexError, Change, Patience, calibrate
from beex_keras import exits as exit_policies
from beex_keras.evaluation import evaluate
from beex_keras.export import beex as beex_format
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import KerasRunner

RULE = Change(1.4)
NUMBER = {"num_classes": 1, "num_segments": 2}
IDS = random_ids(24, 12)


def test_an_exit_is_left_where_the_answer_changed_little():
    logits = np.array([[[0.0], [1.0], [1.05]], [[2.0], [1.95], [0.0]], [[0.0], [1.0], [2.0]]])
    # From exit 2 on the scores are 3 and 1.55, 2.05 and 2.975, 3 and 2.5.
    assert Change(2.4).choose(logits.astype(np.float32)).tolist() == [2, 1, 2]
    assert Change(1.5).choose(logits.astype(np.float32)).tolist() == [2, 2, 2]
    np.testing.assert_allclose(RULE.scores(logits)[:, 1:], recent_changes(logits), rtol=1e-6)
    assert Change(1e8).choose(logits.astype(np.float32)).tolist() == [1, 1, 1]


def test_the_rule_is_that_of_single_steps_and_of_tensors():
    logits = logits_of(50)
    changes, taken = recent_changes(logits).tolist(), set()
    for epsilon in (1.4, 2.3):
        expected = [next((i + 1 for i, c in enumerate(row) if c < epsilon), 3) for row in changes]
        rule = Change(epsilon)
        assert rule.choose(logits).tolist() == rule.choose(tf.constant(logits)).numpy().tolist()
        assert rule.choose(logits).tolist() == expected
        taken |= set(expected)
    assert taken == {1, 2, 3}


@pytest.mark.parametrize("name", ["entropy", "confidence", "fractional_entropy"])
def test_policies_of_classes_say_why_they_do_not_go_with_a_number(name):
    policy = exit_policies.get(name)
    for refuse in (
        lambda: BEExformerClassifier(tiny_config(num_classes=1), policy=policy),
        lambda: KerasRunner(built(**NUMBER)).decide(IDS, policy),
        lambda: calibrate(policy, logits_of(9), targets_of(9), metric="pearson"),
        lambda: evaluate(logits_of(9), targets_of(9), policy, metric="pearson"),
        lambda: beex_format.rewrite(beex_format.convert(built(**NUMBER)), policy=policy),
    ):
        with pytest.raises(BeexError, match=f"'{name}' reads the probabilities of classes"):
            refuse()


def test_change_says_why_it_does_not_go_with_classes():
    with pytest.raises(BeexError, match="'change' reads the change of a number"):
        BEExformerClassifier(tiny_config(), policy=RULE)


def test_patience_counts_exits():
    assert set(Patience(2).choose(logits_of(9)).tolist()) == {2}
