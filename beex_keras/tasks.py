r"""The kinds of tasks: how a model's logits become answers, and labels become training targets.

A `ClassificationTask` gives each text one of its labels. A `RegressionTask` gives each text a number.

A regression learns standardized targets \(z = (y - \mu) / \sigma\), with the mean \(\mu\) and the
standard deviation \(\sigma\) of the training targets, and answers \(y = \mu + \sigma z\), clipped to the
range of the training targets. All four numbers are float32, as files hold them, so every engine gives the
same answer to the last bit.
"""

import dataclasses
import math
from typing import Any, ClassVar, TypeAlias

import numpy as np

from beex_keras.errors import BeexError

PROBLEM_TYPES = ("classification", "regression")
"""The problem types, as `--task-kind` names them."""

VALUE_LABELS = ("value",)
"""The name of a regression's one output, where a classifier has the names of its classes."""

_MAX_MAGNITUDE = 2.0**40
"""The largest offset and scale, so that no answer overflows; the C engine refuses larger ones."""

_MIN_SCALE = 2.0**-126
"""The smallest scale, which is the smallest float32 of full precision."""

_MIN_SPREAD = 2.0**-16
"""The smallest ratio of scale to offset; below it, answers would show the rounding of the offset."""


@dataclasses.dataclass(frozen=True)
class TargetScaler:
    """Standardizes a regression's targets, and turns logits back into answers.

    Attributes:
        offset: the answer for a logit of 0, in the user's units.
        scale: the difference that a logit of 1 makes, in the user's units; greater than 0.
        least, most: limits to which answers are clipped; infinite if there is no limit.

    Raises:
        BeexError: a number that is not finite, or out of range.

    Example:
        >>> stars = beex.TargetScaler.fit(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        >>> stars.offset, stars.least, stars.most
        (3.0, 1.0, 5.0)
        >>> stars.inverse_transform(np.array([0.0, 9.0], np.float32)).tolist()
        [3.0, 5.0]
    """

    offset: float = 0.0
    scale: float = 1.0
    least: float = -math.inf
    most: float = math.inf

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.generic):
                value = value.item()
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BeexError(f"{field.name}={value!r} of a TargetScaler must be a number.")
            with np.errstate(over="ignore"):
                object.__setattr__(self, field.name, float(np.float32(value)))
        if not abs(self.offset) <= _MAX_MAGNITUDE or not _MIN_SCALE <= self.scale <= _MAX_MAGNITUDE:
            needs = "an offset within ±2**40 and a scale between 2**-126 and 2**40"
            raise BeexError(f"A TargetScaler needs {needs}; give targets in other units.")
        if not self.least <= self.most:
            raise BeexError(f"A TargetScaler needs least ≤ most, not {self.least} and {self.most}.")

    @classmethod
    def fit(cls, targets: np.ndarray, clip: bool = True) -> "TargetScaler":
        """The scaler of training targets (B,), from their mean, standard deviation and range.

        Args:
            targets: training targets in the user's units.
            clip: whether answers stay within the targets' range.

        Raises:
            BeexError: all targets are the same, or they vary too little or are too large for float32.
        """
        targets = np.asarray(targets, np.float64)
        largest = float(np.abs(targets).max())
        if not largest <= _MAX_MAGNITUDE:
            raise BeexError(
                f"The targets go up to {largest:g}, beyond 2**40; give them in other units."
            )
        mean, spread = float(targets.mean()), float(targets.std())
        if targets.min() == targets.max():
            same = f"Every target of the training data is {targets[0]:g}"
            raise BeexError(f"{same}; a regression needs different ones.")
        if spread < max(_MIN_SPREAD * abs(mean), _MIN_SCALE):
            little = f"The targets vary by {spread:.3g} around {mean:g}, too little for float32"
            raise BeexError(f"{little}; subtract {mean:g} from all of them.")
        ends = (float(targets.min()), float(targets.max())) if clip else (-math.inf, math.inf)
        return cls(mean, spread, *ends)

    def transform(self, targets: Any) -> np.ndarray:
        """Standardizes targets in the user's units: float32 of the same shape."""
        return ((np.asarray(targets, np.float64) - self.offset) / self.scale).astype(np.float32)

    def inverse_transform(self, logits: np.ndarray) -> np.ndarray:
        """Turns logits into clipped answers in the user's units, as the C engine does: float32, same shape."""
        logits = np.asarray(logits, np.float32)
        values = np.float32(self.offset) + np.float32(self.scale) * logits
        return np.clip(values, np.float32(self.least), np.float32(self.most))

    def to_dict(self) -> dict[str, float | None]:
        """A dictionary for JSON, which has no infinity: a missing limit is None."""
        return {
            name: value if math.isfinite(value) else None
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, float | None]) -> "TargetScaler":
        """The inverse of `to_dict`."""
        return cls(**{name: value for name, value in values.items() if value is not None})


@dataclasses.dataclass(frozen=True)
class ClassificationTask:
    """Each text has one of several classes; a model has a logit for each class.

    Attributes:
        labels: names of the classes, in the order of the logits.
        problem_type: "classification".
        metrics: the metrics that fit the task; the first is the main one.
        scaler: None, since class numbers are not scaled.

    Example:
        >>> task = beex.tasks.ClassificationTask(("negative", "positive"))
        >>> task.encode(["positive", "negative"]).tolist()
        [1, 0]
        >>> task.decode(np.array([[0.1, 0.9]])).tolist()
        [1]
    """

    labels: tuple[str, ...]
    problem_type: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "matthews", "f1")
    scaler: ClassVar[None] = None

    @property
    def num_outputs(self) -> int:
        """The number of logits of each exit."""
        return len(self.labels)

    def encode(self, labels: Any) -> np.ndarray:
        """Turns class names into class numbers, int32 of the same shape; numbers stay as they are.

        Raises:
            BeexError: a name or a number that is not one of the classes.
        """
        array = np.asarray(labels)
        if array.dtype.kind in "UO":
            numbers = {label: number for number, label in enumerate(self.labels)}
            if unknown := sorted(set(array.tolist()) - set(numbers)):
                known = ", ".join(self.labels)
                raise BeexError(f"Unknown label '{unknown[0]}'; the model knows {known}.")
            return np.array([numbers[name] for name in array.tolist()], np.int32)
        last = self.num_outputs - 1
        if array.dtype.kind in "iu" and array.size:
            for wrong in (array.min(), array.max()):
                if not 0 <= wrong <= last:
                    fix = "count from 0, or give the names"
                    raise BeexError(f"Class numbers go from 0 to {last}, not to {wrong}; {fix}.")
        return array

    def decode(self, logits: np.ndarray) -> np.ndarray:
        """The number of the most probable class: logits (..., C) → (...)."""
        return logits.argmax(axis=-1)


@dataclasses.dataclass(frozen=True)
class RegressionTask:
    """Each text has a number; a model has one logit, which is the standardized answer.

    Attributes:
        scaler: turns logits into answers; the default returns them as they are.
        labels: the name of the one output.
        problem_type: "regression".
        metrics: the metrics that fit the task; the first is the main one.

    Example:
        >>> task = beex.tasks.RegressionTask(beex.TargetScaler(offset=3.0, scale=2.0))
        >>> task.encode([3.0, 5.0]).tolist(), task.decode(np.array([[0.0], [1.0]])).tolist()
        ([0.0, 1.0], [3.0, 5.0])
    """

    scaler: TargetScaler = dataclasses.field(default_factory=TargetScaler)
    labels: ClassVar[tuple[str, ...]] = VALUE_LABELS
    problem_type: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[str, ...]] = ("pearson", "spearman", "mean_absolute_error")
    num_outputs: ClassVar[int] = 1

    def encode(self, labels: Any) -> np.ndarray:
        """Standardizes targets: float32 of the same shape.

        Raises:
            BeexError: a target is not a finite number.
        """
        array = np.asarray(labels)
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise BeexError("The targets of a regression must be finite numbers.")
        return self.scaler.transform(array)

    def decode(self, logits: np.ndarray) -> np.ndarray:
        """The answers in the user's units: logits (..., 1) → (...)."""
        return self.scaler.inverse_transform(logits[..., 0])


TextTask: TypeAlias = ClassificationTask | RegressionTask


def problem_type(num_outputs: int) -> str:
    """The problem type of a model with so many logits: one logit is a regression's answer."""
    return RegressionTask.problem_type if num_outputs == 1 else ClassificationTask.problem_type


def make(labels: tuple[str, ...], scaler: TargetScaler | None = None) -> TextTask:
    """The task of a model whose outputs have these names."""
    if problem_type(len(labels)) == RegressionTask.problem_type:
        return RegressionTask(scaler or TargetScaler())
    return ClassificationTask(tuple(labels))
