"""Chooses the threshold of an exit policy on validation data."""

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from beex_keras import exits, tasks
from beex_keras.errors import BeexError
from beex_keras.evaluation.reliability import expected_loss, scaled_probabilities
from beex_keras.evaluation.scores import answers, correlation, ranks
from beex_keras.exits import ExitPolicy
from beex_keras.tasks import ClassificationTask, RegressionTask, TargetScaler

_MAX_POINTS = 512

_MIN_TOLERANCE = 0.0005
"""The smallest tolerance of a classifier, whose expected loss is never zero: 0.05 points."""


@dataclasses.dataclass(frozen=True)
class Curve:
    """The trade-off of one policy: a point for every threshold tried, from full depth to exit 1.

    Attributes:
        thresholds: (P,)
        accuracy: (P,) share of samples classified correctly at the exit taken, weighted as in `calibrate`;
            for a regression, the metric that `calibrate` uses instead.
        loss: (P,) estimated loss of accuracy relative to full depth, see `calibrate`.
        error: (P,) standard error of that estimate.
        cost: (P,) mean cost relative to full depth.
        depth: (P,) mean number of blocks executed.
    """

    thresholds: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray
    error: np.ndarray
    cost: np.ndarray
    depth: np.ndarray


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A policy with its calibrated threshold, and the curve that the threshold was chosen from.

    Attributes:
        policy: the calibrated policy.
        curve: all points tried.
        index: the chosen point of the curve.
        full_depth_accuracy: accuracy of the last exit on the same data.
        tolerance: largest loss of accuracy that was allowed, weighted as in `calibrate`.
        margin: number of standard errors that were added to the loss.
        num_samples: size of the validation data.
        metric: the metric of the task, see `calibrate`.
    """

    policy: ExitPolicy
    curve: Curve
    index: int
    full_depth_accuracy: float
    tolerance: float
    margin: float
    num_samples: int
    metric: str = "accuracy"

    @property
    def accuracy(self) -> float:
        return float(self.curve.accuracy[self.index])

    @property
    def loss(self) -> float:
        return float(self.curve.loss[self.index])

    @property
    def cost(self) -> float:
        return float(self.curve.cost[self.index])

    @property
    def depth(self) -> float:
        return float(self.curve.depth[self.index])

    def to_dict(self) -> dict[str, Any]:
        """The figures without the curve, for JSON."""
        return {
            "policy": exits.serialize(self.policy),
            "validation_accuracy": self.accuracy,
            "validation_full_depth_accuracy": self.full_depth_accuracy,
            "validation_estimated_loss": self.loss,
            "validation_cost": self.cost,
            "validation_mean_depth": self.depth,
            "validation_samples": self.num_samples,
            "tolerance": self.tolerance,
            "margin": self.margin,
        }


def calibrate(
    policy: ExitPolicy,
    exit_logits: np.ndarray,
    labels: np.ndarray,
    costs: np.ndarray | None = None,
    tolerance: float = 0.0,
    margin: float = 0.0,
    metric: str = "accuracy",
    value_scale: TargetScaler | None = None,
) -> Calibration:
    r"""Chooses the cheapest threshold up to which accuracy is within a tolerance of full depth.

    A text loses the probability that its answer at full depth is right, minus the probability that its answer
    at the exit taken is right. Both are probabilities of the last exit, at the temperature that suits the
    labels. The function uses the expectation of this loss given the confidence at the exit
    (`reliability.expected_loss`), which it estimates from all texts, not only from the few whose answers
    differ. It tries thresholds from full depth on, each a little cheaper than the one before, as long as

    \[
    \mathrm{mean}(\mathrm{lost}) + \mathrm{margin} \cdot
    \frac{\operatorname{sd}(\mathrm{lost})}{\sqrt{B}} \leq \mathrm{tolerance}
    \]

    Among the thresholds before the first that violates this bound, the function chooses the one with the least
    mean cost, and among equal costs the one with the smallest loss. If hundreds of thresholds are tried
    on few texts, some seem good by chance. So the function does not trust a threshold beyond a bad one, and a
    larger margin makes it rarer that other texts lose more than the tolerance. Thresholds lie half-way
    between neighbouring scores, so the last bit of a score does not decide an exit.

    For the metric "matthews" each class has the same weight: a right answer counts \(B / (C \cdot
    \text{texts of its class})\), and accuracy is the mean recall \(r\). With plain accuracy, an exit that only
    answers the most frequent class would often be as good as any other. The tolerance has the unit of the
    correlation, as has the informedness \((C r - 1)/(C - 1)\): for two classes it is the correlation of
    answers that give each class as often as it occurs. The tolerance of the mean recall is therefore smaller
    by the factor \((C - 1)/C\).

    For a classifier a tolerance below 0.05 points counts as 0.05 points, because an expected loss is never zero.

    For a regression the metric replaces accuracy: Pearson's or Spearman's correlation, or minus the mean
    absolute error in standard deviations of the targets. The loss of a text is then the loss of its
    influence on the correlation, by the delta method, or the increase of its error.

    Args:
        policy: the policy for which to choose a threshold; its own threshold does not matter.
        exit_logits: logits (B, N, C) of validation data; never use the data on which results are reported.
        labels: class numbers (B,), or targets of a regression in the user's units.
        costs: (N,) cost of leaving at each exit relative to full depth; i/N if None.
        tolerance: largest loss of accuracy, or of the correlation, that is allowed, such as 0.005 for half a
            point.
        margin: number of standard errors that are added to the loss.
        metric: the metric of the task: "accuracy", "matthews" or "f1"; for a regression "pearson",
            "spearman" or "mean_absolute_error".
        value_scale: scale of a regression's answers; its logits are the answers if None.

    Raises:
        BeexError: no samples, or shapes, labels, policy or metric that do not fit.

    Source: fixed-sequence testing as in "Learn then Test" (Angelopoulos et al., 2021), of the difference in
    quality between the exit taken and the last one, as for exits by Jazbec et al. (2024). The informedness is
    Youden's index (1950), and for more classes that of Powers (2011). The standard error in place of an exact
    test gives no guarantee on few texts. The standard error, the probabilities in place of labels, and the
    weights are our reading.

    Example:
        >>> logits = [[[0, 3], [0, 4]], [[1, 0], [0, 2]], [[5, 0], [6, 0]]]
        >>> labels = np.array([1, 1, 0])
        >>> found = beex.calibrate(beex.Confidence(), np.array(logits, np.float32), labels)
        >>> found.accuracy, found.full_depth_accuracy, found.depth < 2
        (1.0, 1.0, True)
    """
    exit_logits, labels = np.asarray(exit_logits, np.float32), np.asarray(labels)
    if exit_logits.ndim != 3 or len(exit_logits) != len(labels) or not len(labels):
        needs = "Calibration needs exit logits (B, N, C) and B labels, B > 0"
        raise BeexError(f"{needs}, but got shapes {exit_logits.shape} and {labels.shape}.")
    num_exits, num_outputs = exit_logits.shape[1:]
    problem_type = tasks.problem_type(num_outputs)
    exits.check(policy, problem_type)
    known = (RegressionTask if problem_type == "regression" else ClassificationTask).metrics
    if metric not in known:
        problem = f"The metric '{metric}' does not fit {problem_type}"
        raise BeexError(f"{problem}; choose one of {', '.join(known)}.")
    if costs is None:
        costs = np.arange(1, num_exits + 1) / num_exits
    answered = answers(exit_logits, value_scale)
    rows = np.arange(len(labels))
    if problem_type == "regression":
        _, shares = _regression_quality(labels, answered[:, -1], metric)
        judge = partial(_judge_values, labels, answered, metric=metric, shares=shares)
        allowed = tolerance
    else:
        labels = _class_numbers(labels, num_outputs)
        weights = _class_weights(labels, metric, num_outputs)
        tolerance *= _recall_per_correlation(labels, metric)
        probabilities = scaled_probabilities(exit_logits[:, -1], labels)
        worth = (probabilities * weights)[rows[:, np.newaxis], answered]
        expected = expected_loss(exit_logits, answered, worth)
        judge = partial(_judge_classes, labels, answered, weights=weights, expected=expected)
        allowed = max(tolerance, _MIN_TOLERANCE)
    full_depth, _ = judge(np.full(len(rows), num_exits - 1))
    scores = np.asarray(policy.scores(exit_logits))
    points = []
    for threshold in _candidates(policy, scores):
        taken = policy.exit_index(scores, threshold)
        found, lost = judge(taken)
        error = lost.std() / np.sqrt(len(rows))
        points.append((threshold, found, lost.mean(), error, costs[taken].mean(), taken.mean() + 1))
    points.sort(key=lambda point: -point[-1])
    curve = Curve(*(np.array(column) for column in zip(*points, strict=True)))
    # The slack absorbs rounding where the same texts are lost.
    breaks = curve.loss + margin * curve.error > allowed + 1e-9
    # Some policies leave early at any threshold: then only the one with the deepest exits is trusted.
    trusted = max(1, int(breaks.argmax())) if breaks.any() else len(points)
    best = min(range(trusted), key=lambda i: (curve.cost[i], curve.loss[i]))
    chosen = policy.with_threshold(float(curve.thresholds[best]))
    return Calibration(chosen, curve, best, full_depth, tolerance, margin, len(labels), metric)


def _class_numbers(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """The labels as integers; raises `BeexError` if one is no class."""
    unknown = labels[~np.isin(labels, np.arange(num_classes))]
    if len(unknown):
        fix = f"give whole numbers from 0 to {num_classes - 1}"
        raise BeexError(f"The label {unknown[0]} is no class number; {fix}.")
    return labels.astype(np.int64)


def _judge_classes(
    labels: np.ndarray,
    answered: np.ndarray,
    taken: np.ndarray,
    weights: np.ndarray,
    expected: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Accuracy of the answers (B, N) at the exits taken (B,), and the loss of each text there (B,)."""
    rows = np.arange(len(labels))
    given = answered[rows, taken]
    return float(((labels == given) * weights[given]).mean()), expected[rows, taken]


def _judge_values(
    labels: np.ndarray, answered: np.ndarray, taken: np.ndarray, metric: str, shares: np.ndarray
) -> tuple[float, np.ndarray]:
    """As `_judge_classes`, for a regression; `shares` (B,) are those of the texts at full depth."""
    found, own = _regression_quality(labels, answered[np.arange(len(labels)), taken], metric)
    return found, shares - own


def _regression_quality(
    labels: np.ndarray, answered: np.ndarray, metric: str
) -> tuple[float, np.ndarray]:
    """A metric of answers (B,), larger for better ones, and each sample's share in it (B,), with the same mean."""
    if metric == "mean_absolute_error":
        shares = -np.abs(labels - answered) / (labels.std() or 1.0)
        return float(shares.mean()), shares
    columns = labels, answered
    if metric == "spearman":
        columns = ranks(labels), ranks(answered)
    found, influence = correlation(*columns)
    return found, found + influence


def _class_weights(labels: np.ndarray, metric: str, num_classes: int) -> np.ndarray:
    """The weight of a right answer of each class, 1 on average over the labels: (C,)."""
    counts = np.bincount(labels, minlength=num_classes)
    if metric != "matthews":
        return np.ones(len(counts))
    return np.where(counts, len(labels) / (np.maximum(counts, 1) * np.count_nonzero(counts)), 0.0)


def _recall_per_correlation(labels: np.ndarray, metric: str) -> float:
    """The loss of mean recall that equals a loss of 1 of the correlation; 1 for every other metric."""
    classes = len(np.unique(labels))
    return (classes - 1) / classes if metric == "matthews" and classes > 1 else 1.0


def _candidates(policy: ExitPolicy, scores: np.ndarray) -> np.ndarray:
    """Thresholds that give every distinct set of exits, thinned to quantiles if too many."""
    if policy.integer_threshold:
        return np.arange(1.0, scores.shape[1] + 1)
    values = np.unique(scores[np.abs(scores) < 1e8])
    if len(values) > _MAX_POINTS:
        values = np.quantile(values, np.linspace(0, 1, _MAX_POINTS))
    if not len(values):
        values = np.zeros(1)
    edges = [values[0] - 1e-3], (values[1:] + values[:-1]) / 2, [values[-1] + 1e-3]
    return np.unique(np.float32(np.concatenate(edges)).astype(float))
