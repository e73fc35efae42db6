"""Scores of a model at each exit and with its policy, and the FLOPs that the policy saves."""

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras import tasks
from beex_keras.errors import BeexError
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.exits import ExitPolicy, check
from beex_keras.tasks import ClassificationTask, RegressionTask, TargetScaler

if TYPE_CHECKING:
    from beex_keras.data import Split, Task
    from beex_keras.runtime import Runner

OF_NUMBERS = RegressionTask.metrics

_SCIKIT_LEARN = {"matthews": "matthews_corrcoef", "f1": "f1_score"}
"""Metrics that scikit-learn computes, and its functions."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Figures over one set of samples.

    Attributes:
        num_samples: samples evaluated.
        metric: the metric of the scores, one of `ClassificationTask.metrics` or `RegressionTask.metrics`.
        exit_scores: the metric at each exit, if all samples left there (N,); empty where only the
            exit taken was computed.
        score: the metric at the exits the policy chose.
        mean_depth: mean number of blocks executed.
        exit_shares: share of the samples that left at each exit (N,).
        flops_saved: share of full depth's FLOPs not executed.
        further_scores: other metrics of a regression at the exits chosen, by name.
    """

    num_samples: int
    metric: str
    exit_scores: list[float]
    score: float
    mean_depth: float
    exit_shares: list[float]
    flops_saved: float
    further_scores: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def full_depth_score(self) -> float | None:
        return self.exit_scores[-1] if self.exit_scores else None

    def to_dict(self) -> dict[str, Any]:
        values = {**dataclasses.asdict(self), "full_depth_score": self.full_depth_score}
        if not self.further_scores:
            del values["further_scores"]
        return values

    def rows(self) -> list[dict[str, Any]]:
        """A table for people: one row for each exit, and one for the policy."""
        exits = itertools.zip_longest(self.exit_scores, self.exit_shares)
        rows: list[dict[str, Any]] = [
            {"exit": number, self.metric: value, "share leaving": share}
            for number, (value, share) in enumerate(exits, start=1)
        ]
        policy = {"exit": "policy", self.metric: self.score, **self.further_scores}
        saved = {"mean depth": self.mean_depth, "FLOPs saved": self.flops_saved}
        return [*rows, {**policy, **saved}]


def evaluate(
    exit_logits: np.ndarray,
    labels: np.ndarray,
    policy: ExitPolicy,
    costs: np.ndarray | None = None,
    metric: str = "accuracy",
    value_scale: TargetScaler | None = None,
) -> Evaluation:
    """Computes accuracy at each exit and with the policy, mean depth, exit shares and FLOPs saved.

    Args:
        exit_logits: (B, N, C).
        labels: class numbers (B,), or targets of a regression (C = 1) in the user's units.
        policy: the policy that chooses the exits.
        costs: (N,) cost of leaving at each exit relative to full depth; i/N if None.
        metric: "accuracy", "matthews" (binary or multi-class) or "f1" (of class 1); for a regression
            "pearson", "spearman" or "mean_absolute_error".
        value_scale: scale of a regression's answers; its logits are the answers if None.

    Raises:
        BeexError: as `score`, or the policy does not fit.

    Example:
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> found = beex.evaluation.evaluate(logits, np.array([1, 1]), beex.Confidence(0.8))
        >>> found.exit_scores, found.score, found.mean_depth
        ([0.5, 1.0], 1.0, 1.5)
    """
    check(policy, tasks.problem_type(exit_logits.shape[2]))
    taken = np.asarray(policy.choose(exit_logits))
    predictions = answers(exit_logits, value_scale)
    chosen = predictions[np.arange(len(labels)), taken]
    found = evaluate_exits(chosen, taken, predictions.shape[1], labels, costs, metric)
    exit_scores = [score(labels, column, metric) for column in predictions.T]
    return dataclasses.replace(found, exit_scores=exit_scores)


def evaluate_exits(
    predictions: np.ndarray,
    exits: np.ndarray,
    num_exits: int,
    labels: np.ndarray,
    costs: np.ndarray | None = None,
    metric: str = "accuracy",
) -> Evaluation:
    """Evaluates as `evaluate` does, for a model that computes only the exits taken.

    `predictions` are class numbers (B,), or values; `exits` are counted from 0 (B,), `num_exits` is N.

    Example:
        >>> predictions, exits, labels = np.array([1, 0]), np.array([0, 1]), np.array([1, 1])
        >>> found = beex.evaluation.evaluate_exits(predictions, exits, 2, labels)
        >>> found.score, found.mean_depth
        (0.5, 1.5)
    """
    further = [name for name in OF_NUMBERS if metric in OF_NUMBERS and name != metric]
    if costs is None:
        costs = np.arange(1, num_exits + 1) / num_exits
    return Evaluation(
        num_samples=len(labels),
        metric=metric,
        exit_scores=[],
        score=score(labels, predictions, metric),
        mean_depth=float(exits.mean() + 1),
        exit_shares=(np.bincount(exits, minlength=num_exits) / len(labels)).tolist(),
        flops_saved=float(1 - costs[exits].mean()),
        further_scores={name: score(labels, predictions, name) for name in further},
    )


def answers(logits: np.ndarray, value_scale: TargetScaler | None = None) -> np.ndarray:
    """Turns logits (..., C) into class numbers (...), or for a regression (C = 1) into its values."""
    if logits.shape[-1] == 1:
        return RegressionTask(value_scale or TargetScaler()).decode(logits)
    return logits.argmax(axis=-1)


# === A runner on a task ===


def evaluate_runner(
    runner: "Runner", task: "Task", split: "Split", policy: ExitPolicy | None = None
) -> Evaluation:
    """Evaluates a model on one split of a task, with a policy in place of its own if given.

    A model that exits by itself has no figures for each exit, because it computes only the exit taken.

    Raises:
        BeexError: as `split_labels`; or the policy does not fit the model; or the model exits by itself
            with another policy.

    Example:
        >>> task = beex.load_task("reviews.csv", text_column="review", label_column="stars")
        >>> beex.evaluation.evaluate_runner(beex.load("sst2-micro"), task, task.test).metric
        'accuracy'
    """
    labels, costs = split_labels(runner, task, split), relative_costs(runner.config)
    policy = policy or runner.policy
    if not runner.exits_by_itself:
        logits = split_logits(runner, split)
        return evaluate(logits, labels, policy, costs, task.metric, runner.task.scaler)
    found = runner.decide(runner.encode(split.inputs()), policy)
    predicted = runner.task.decode(found.logits)
    return evaluate_exits(predicted, found.exits, len(costs), labels, costs, task.metric)


def split_labels(runner: "Runner", task: "Task", split: "Split") -> np.ndarray:
    """A split's labels (B,) as class numbers of the model, or the targets of a regression.

    Raises:
        BeexError: the model does not know one of the task's labels, or is of another problem type.
    """
    fix = "evaluate it on the task it was trained on"
    if task.problem_type != runner.task.problem_type:
        other = f"The task '{task.name}' is a {task.problem_type}"
        raise BeexError(f"{other}, and the model a {runner.task.problem_type}; {fix}.")
    if task.problem_type == "regression":
        return split.labels
    for label in task.labels:
        if label not in runner.labels:
            known = ", ".join(runner.labels)
            raise BeexError(f"The task has the label '{label}' but the model knows {known}; {fix}.")
    return np.array([runner.labels.index(label) for label in task.labels])[split.labels]


def split_logits(runner: "Runner", split: "Split") -> np.ndarray:
    """The logits of every exit (B, N, C) for a split's texts."""
    return runner.exit_logits(runner.encode(split.inputs()))


# === Metrics ===


def score(labels: np.ndarray, predictions: np.ndarray, metric: str = "accuracy") -> float:
    """Computes a metric of predicted class numbers, or values of a regression, and `labels`, both (B,).

    A correlation with a constant is 0.

    Raises:
        BeexError: an unknown metric, or one whose library is missing.

    Example:
        >>> beex.evaluation.score(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
        0.75
        >>> from beex_keras.evaluation import score
        >>> round(score(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 9.0]), "spearman"), 3)
        1.0
    """
    if metric == "accuracy":
        return float(np.mean(labels == predictions))
    if metric == "pearson":
        return correlation(labels, predictions)[0]
    if metric == "spearman":
        return correlation(ranks(labels), ranks(predictions))[0]
    if metric == "mean_absolute_error":
        return float(np.mean(np.abs(labels - predictions)))
    if metric not in _SCIKIT_LEARN:
        known = ", ".join((*ClassificationTask.metrics, *RegressionTask.metrics))
        raise BeexError(f"Unknown metric '{metric}'; choose one of {known}.")
    try:
        from sklearn import metrics
    except ModuleNotFoundError:
        needs = f"The metric '{metric}' needs scikit-learn"
        raise BeexError(f"{needs}; pip install 'beex-keras[baselines]'.") from None
    return float(getattr(metrics, _SCIKIT_LEARN[metric])(labels, predictions))


def standard_error(value: float, count: int, metric: str = "accuracy") -> float:
    r"""Computes the standard error of a score on `count` texts.

    It is \(\sqrt{a (1 - a) / n}\) of an accuracy \(a\), \((1 - r^2) / \sqrt{n}\) of a correlation \(r\), and
    \(e \sqrt{(\pi / 2 - 1) / n}\) of the mean absolute value \(e\) of normal errors. Other metrics have that of
    an accuracy, which is an approximation.

    Example:
        >>> from beex_keras.evaluation.scores import standard_error
        >>> round(standard_error(0.9, 400), 4)
        0.015
    """
    if metric == "mean_absolute_error":
        return abs(value) * math.sqrt((math.pi / 2 - 1) / count)
    if metric in OF_NUMBERS:
        return (1.0 - value * value) / math.sqrt(count)
    # Rounding can take a mean recall beyond 1.
    return math.sqrt(value * max(1.0 - value, 0.0) / count)


def correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, np.ndarray]:
    r"""Pearson's \(r\) of two columns (B,), and each sample's influence on it (B,).

    \[
    r = \mathrm{mean}(a b), \qquad \psi = a b - \tfrac{r}{2} (a^2 + b^2)
    \]

    \(a\) and \(b\) are the standardized columns. The standard error of \(r\), and of the difference of two
    correlations, is \(\operatorname{sd}(\psi) / \sqrt{B}\). Both results are 0 if a column is constant.

    Source: the delta method.

    Example:
        >>> from beex_keras.evaluation.scores import correlation
        >>> r, influence = correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
        >>> round(r, 6), influence.round(6).tolist()
        (1.0, [0.0, 0.0, 0.0])
    """
    a, b = (np.asarray(column, np.float64) for column in (first, second))
    a, b = a - a.mean(), b - b.mean()
    spread = np.sqrt(np.mean(a * a) * np.mean(b * b))
    if not spread > 0:
        return 0.0, np.zeros(len(a))
    a, b = a / np.sqrt(np.mean(a * a)), b / np.sqrt(np.mean(b * b))
    r = float(np.clip(np.mean(a * b), -1, 1))
    return r, a * b - r / 2 * (a * a + b * b)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 of values (B,); equal values share the mean of their ranks.

    Example:
        >>> from beex_keras.evaluation.scores import ranks
        >>> ranks(np.array([0.5, 0.1, 0.5])).tolist()
        [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]
