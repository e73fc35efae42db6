"""How good a runner is on a task, whatever its engine."""

import numpy as np

from beex_keras.data import Split, Task
from beex_keras.errors import BeexError
from beex_keras.evaluation import Evaluation, evaluate, evaluate_exits
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.evaluation.scores import answers
from beex_keras.exits import ExitPolicy
from beex_keras.runtime.runner import Runner


def evaluate_runner(
    runner: Runner, task: Task, split: Split, policy: ExitPolicy | None = None
) -> Evaluation:
    """Evaluates a model on one split of a task, with a policy in place of its own if given.

    A model that exits by itself has no figures for each exit, because it computes only the exit taken.

    Raises:
        BeexError: as `known_labels`; or the policy does not fit the model; or the model exits by itself
            with another policy.

    Example:
        >>> task = beex.load_task("reviews.csv", text_column="review", label_column="stars")
        >>> beex.runtime.evaluate_runner(beex.load("sst2-micro"), task, task.test).metric
        'accuracy'
    """
    labels, scale = known_labels(runner, task, split), runner.value_scale
    costs, rule = relative_costs(runner.config), policy or runner.policy
    if not runner.exits_by_itself:
        return evaluate(split_logits(runner, split), labels, rule, costs, task.metric, scale)
    found = runner.decide(runner.encode(split.texts, split.pairs), rule)
    predicted = answers(found.logits, scale)
    return evaluate_exits(predicted, found.exits, len(costs), labels, costs, task.metric)


def known_labels(runner: Runner, task: Task, split: Split) -> np.ndarray:
    """Returns a split's labels (B,) as class numbers of the model, or the targets of a regression.

    Raises:
        BeexError: the task has a label that the model does not know, or is of another kind.
    """
    known = runner.labels
    if task.is_regression != runner.config.is_regression:
        kind, answer = (
            ("a regression", "a class") if task.is_regression else ("no regression", "a number")
        )
        other = f"The task '{task.name}' is {kind}, and the model answers {answer}"
        raise BeexError(f"{other}; evaluate it on the task it was trained on.")
    if task.is_regression:
        return split.labels
    for label in task.labels:
        if label not in known:
            other = f"The task has the label '{label}' but the model knows {', '.join(known)}"
            raise BeexError(f"{other}; evaluate it on the task it was trained on.")
    return np.array([known.index(label) for label in task.labels])[split.labels]


def split_logits(runner: Runner, split: Split) -> np.ndarray:
    """The logits of every exit (B, N, C) for a split's texts."""
    return runner.exit_logits(runner.encode(split.texts, split.pairs))
