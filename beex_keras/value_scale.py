r"""The scale of a regression's targets: from the user's units to what a model learns, and back.

A model learns \(z = (y - \mu) / \sigma\), of the training targets' mean and standard deviation, and
answers \(y = \mu + \sigma z\), no less or more than training saw. All four numbers are float32, as files
hold them, so that every engine gives the same answer to the last bit.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from beex_keras.errors import BeexError

VALUE_LABELS = ("value",)
"""The name of a regression's one logit, in the place of the names of classes."""

_MOST = 2.0**40
"""The largest offset and scale, so that no answer overflows; the C engine refuses more."""

_LEAST = 2.0**-126
"""The smallest scale, which is the smallest float32 of full precision."""

_LEAST_SPREAD = 2.0**-16
"""The smallest ratio of scale to offset; below it, answers would show the rounding of the offset."""


@dataclasses.dataclass(frozen=True)
class ValueScale:
    """The scale of a regression's answers; it is checked when made, and then immutable.

    Attributes:
        offset: the answer for a logit of 0, in the user's units.
        scale: the difference that a logit of 1 makes, in the user's units; greater than 0.
        least, most: limits to which answers are clipped; infinite if there is no limit.

    Raises:
        BeexError: a number that is not finite, or out of range.

    Example:
        >>> stars = beex.ValueScale.of(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
        >>> stars.offset, stars.least, stars.most
        (3.0, 1.0, 5.0)
        >>> stars.values(np.array([0.0, 9.0], np.float32)).tolist()
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
                raise BeexError(f"{field.name}={value!r} of a ValueScale must be a number.")
            with np.errstate(over="ignore"):
                object.__setattr__(self, field.name, float(np.float32(value)))
        if not abs(self.offset) <= _MOST or not _LEAST <= self.scale <= _MOST:
            needs = "an offset within ±2**40 and a scale between 2**-126 and 2**40"
            raise BeexError(f"A ValueScale needs {needs}; give targets in other units.")
        if not self.least <= self.most:
            raise BeexError(f"A ValueScale needs least ≤ most, not {self.least} and {self.most}.")

    @classmethod
    def of(cls, targets: np.ndarray, clip: bool = True) -> "ValueScale":
        """The scale of training targets (B,): their mean and standard deviation, and their range.

        Args:
            targets: training targets in the user's units.
            clip: whether answers stay within the targets' range.

        Raises:
            BeexError: all targets are the same, or they vary too little or are too large for float32.
        """
        targets = np.asarray(targets, np.float64)
        most = float(np.abs(targets).max())
        if not most <= _MOST:
            raise BeexError(
                f"The targets go up to {most:g}, beyond 2**40; give them in other units."
            )
        mean, spread = float(targets.mean()), float(targets.std())
        if targets.min() == targets.max():
            same = f"Every target of the training data is {targets[0]:g}"
            raise BeexError(f"{same}; a regression needs different ones.")
        if spread < max(_LEAST_SPREAD * abs(mean), _LEAST):
            little = f"The targets vary by {spread:.3g} around {mean:g}, too little for float32"
            raise BeexError(f"{little}; subtract {mean:g} from all of them.")
        ends = (float(targets.min()), float(targets.max())) if clip else (-math.inf, math.inf)
        return cls(mean, spread, *ends)

    def standardize(self, targets: Any) -> np.ndarray:
        """Turns targets in the user's units into targets of the logits, float32 of the same shape."""
        return ((np.asarray(targets, np.float64) - self.offset) / self.scale).astype(np.float32)

    def values(self, logits: np.ndarray) -> np.ndarray:
        """Turns logits into answers in the user's units, float32 of the same shape, as the C engine
        does."""
        logits = np.asarray(logits, np.float32)
        values = np.float32(self.offset) + np.float32(self.scale) * logits
        return np.clip(values, np.float32(self.least), np.float32(self.most))

    def to_dict(self) -> dict[str, float | None]:
        """Returns a dictionary for JSON, which has no infinity, so a missing limit is None."""
        return {
            name: value if math.isfinite(value) else None
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, float | None]) -> "ValueScale":
        """The inverse of `to_dict`."""
        return cls(**{name: value for name, value in values.items() if value is not None})
