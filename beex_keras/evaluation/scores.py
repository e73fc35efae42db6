"""How good a model is at each exit and with its policy, and what the policy saves."""

import dataclasses
import itertools
import math
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.evaluation.correlation import correlation, ranks
from beex_keras.exits import ExitPolicy, check
from beex_keras.value_scale import ValueScale

OF_NUMBERS = ("pearson", "spearman", "mean_absolute_error")
"""Metrics of a regression."""

_OF_CLASSES = {"accuracy": "", "matthews": "matthews_corrcoef", "f1": "f1_score"}
"""Metrics of a classifier, and the functions of scikit-learn that compute them."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Figures over one set of samples.

    Attributes:
        num_samples: samples evaluated.
        metric: "accuracy", "matthews" or "f1", or one of `OF_NUMBERS`, the unit of the scores below.
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
        """A table for people: one row an exit, and one for the policy."""
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
    value_scale: ValueScale | None = None,
) -> Evaluation:
    """Computes accuracy at each exit and with the policy, mean depth, exit shares and FLOPs saved.

    Args:
        exit_logits: (B, N, C).
        labels: class numbers (B,), or targets of a regression (C = 1) in the user's units.
        policy: the policy that chooses the exits.
        costs: (N,) cost of leaving at each exit relative to full depth; i/N if None.
        metric: "accuracy", "matthews" (binary or multi-class) or "f1" (of class 1); for a regression one of
            `OF_NUMBERS`.
        value_scale: scale of a regression's answers; its logits are the answers if None.

    Raises:
        BeexError: as `score`, or the policy does not fit.

    Example:
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> found = beex.evaluation.evaluate(logits, np.array([1, 1]), beex.Confidence(0.8))
        >>> found.exit_scores, found.score, found.mean_depth
        ([0.5, 1.0], 1.0, 1.5)
    """
    check(policy, exit_logits.shape[2] == 1)
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


def answers(logits: np.ndarray, value_scale: ValueScale | None = None) -> np.ndarray:
    """Turns logits (..., C) into class numbers (...), or for a regression (C = 1) into its values."""
    if logits.shape[-1] == 1:
        return (value_scale or ValueScale()).values(logits[..., 0])
    return logits.argmax(axis=-1)


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
    if metric not in _OF_CLASSES:
        known = ", ".join((*_OF_CLASSES, *OF_NUMBERS))
        raise BeexError(f"Unknown metric '{metric}'; choose one of {known}.")
    try:
        from sklearn import metrics
    except ModuleNotFoundError:
        needs = f"The metric '{metric}' needs scikit-learn"
        raise BeexError(f"{needs}; pip install 'beex-keras[baselines]'.") from None
    return float(getattr(metrics, _OF_CLASSES[metric])(labels, predictions))


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
