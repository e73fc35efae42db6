"""How good a model is at each exit and with its policy, and what the policy saves."""

import dataclasses
import itertools
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Figures over one set of samples.

    Attributes:
        num_samples: samples evaluated.
        metric: "accuracy", "matthews" or "f1", the unit of the scores below.
        exit_scores: the metric at each exit, if all samples left there (N,); empty where only the
            exit taken was computed.
        score: the metric at the exits the policy chose.
        mean_depth: mean number of blocks executed.
        exit_shares: share of the samples that left at each exit (N,).
        flops_saved: share of full depth's FLOPs not executed.
    """

    num_samples: int
    metric: str
    exit_scores: list[float]
    score: float
    mean_depth: float
    exit_shares: list[float]
    flops_saved: float

    @property
    def full_depth_score(self) -> float | None:
        return self.exit_scores[-1] if self.exit_scores else None

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "full_depth_score": self.full_depth_score}

    def rows(self) -> list[dict[str, Any]]:
        """A table for people: one row an exit, and one for the policy."""
        exits = itertools.zip_longest(self.exit_scores, self.exit_shares)
        rows: list[dict[str, Any]] = [
            {"exit": number, self.metric: value, "share leaving": share}
            for number, (value, share) in enumerate(exits, start=1)
        ]
        policy = {"exit": "policy", self.metric: self.score, "mean depth": self.mean_depth}
        return [*rows, {**policy, "FLOPs saved": self.flops_saved}]


def evaluate(
    exit_logits: np.ndarray,
    labels: np.ndarray,
    policy: ExitPolicy,
    costs: np.ndarray | None = None,
    metric: str = "accuracy",
) -> Evaluation:
    """Accuracy at each exit and of the policy, mean depth, exit shares and FLOPs saved.

    Args:
        exit_logits: (B, N, C).
        labels: whole numbers (B,).
        policy: chooses the exits.
        costs: (N,) cost of leaving at each exit relative to full depth; i/N if None.
        metric: "accuracy", "matthews" (binary or multi-class) or "f1" (of class 1).

    Example:
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> found = beex.evaluation.evaluate(logits, np.array([1, 1]), beex.Confidence(0.8))
        >>> found.exit_scores, found.score, found.mean_depth
        ([0.5, 1.0], 1.0, 1.5)
    """
    taken = np.asarray(policy.choose(exit_logits))
    predictions = exit_logits.argmax(axis=2)
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
    """As `evaluate`, of a model that computed the exits taken and no others.

    `predictions` are class numbers (B,), `exits` are counted from 0 (B,), `num_exits` is N.

    Example:
        >>> predictions, exits, labels = np.array([1, 0]), np.array([0, 1]), np.array([1, 1])
        >>> found = beex.evaluation.evaluate_exits(predictions, exits, 2, labels)
        >>> found.score, found.mean_depth
        (0.5, 1.5)
    """
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
    )


def score(labels: np.ndarray, predictions: np.ndarray, metric: str = "accuracy") -> float:
    """The metric of predicted class numbers against `labels`, both (B,).

    Raises:
        BeexError: an unknown metric, or one whose library is missing.

    Example:
        >>> beex.evaluation.score(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
        0.75
    """
    if metric == "accuracy":
        return float(np.mean(labels == predictions))
    functions = {"matthews": "matthews_corrcoef", "f1": "f1_score"}
    if metric not in functions:
        raise BeexError(f"Unknown metric '{metric}'; choose accuracy, matthews or f1.")
    try:
        from sklearn import metrics
    except ModuleNotFoundError:
        needs = f"The metric '{metric}' needs scikit-learn"
        raise BeexError(f"{needs}; pip install 'beex-keras[baselines]'.") from None
    return float(getattr(metrics, functions[metric])(labels, predictions))
