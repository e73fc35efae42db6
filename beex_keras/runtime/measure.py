"""How good a runner is on a task, whatever its engine."""

import numpy as np

from beex_keras.data import Split, Task
from beex_keras.errors import BeexError
from beex_keras.evaluation import Evaluation, evaluate, evaluate_exits
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.exits import ExitPolicy
from beex_keras.runtime.runner import Runner


def evaluate_runner(
    runner: Runner, task: Task, split: Split, policy: ExitPolicy | None = None
) -> Evaluation:
    """The figures of a model on one of a task's splits, with a policy in place of its own if given.

    A model that exits by itself has none for each exit: it computes only the exit taken.

    Raises:
        BeexError: the task has a label that the model does not know, or the model exits by itself
            and by another policy.

    Example:
        >>> task = beex.load_task("reviews.csv", text_column="review", label_column="stars")
        >>> beex.runtime.evaluate_runner(beex.load("sst2-micro"), task, task.test).metric
        'accuracy'
    """
    labels = class_numbers(runner, task)[split.labels]
    costs, rule = relative_costs(runner.config), policy or runner.policy
    if not runner.exits_by_itself:
        return evaluate(split_logits(runner, split), labels, rule, costs, task.metric)
    found = runner.decide(runner.encode(split.texts, split.pairs), rule)
    predicted = found.logits.argmax(axis=1)
    return evaluate_exits(predicted, found.exits, len(costs), labels, costs, task.metric)


def class_numbers(runner: Runner, task: Task) -> np.ndarray:
    """The model's numbers of the task's classes, in the task's order.

    Raises:
        BeexError: the task has a label that the model does not know.
    """
    known = runner.labels
    for label in task.labels:
        if label not in known:
            other = f"The task has the label '{label}' but the model knows {', '.join(known)}"
            raise BeexError(f"{other}; evaluate it on the task it was trained on.")
    return np.array([known.index(label) for label in task.labels])


def split_logits(runner: Runner, split: Split) -> np.ndarray:
    """The logits of every exit (B, N, C) for a split's texts."""
    return runner.exit_logits(runner.encode(split.texts, split.pairs))
