"""What a classifier says about a text, or why it says nothing."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from beex_keras import numpy_ops
from beex_keras.value_scale import ValueScale


@dataclasses.dataclass(frozen=True)
class Decisions:
    """The results of a model for B texts at the exits taken.

    Attributes:
        logits: logits of the exit taken, float32 (B, C); C is 1 for a regression.
        exits: the exit taken, counted from 0, int32 (B,).
    """

    logits: np.ndarray
    exits: np.ndarray


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The answer of a classifier to one text.

    Attributes:
        label: the most probable class at the exit taken.
        score: its softmax probability there.
        exit: the exit taken, counted from 1.
        probabilities: softmax probability of every label at that exit, or of the most probable ones.
        truncated: whether the text was cut, because it is longer than the model reads.

    Example:
        >>> prediction = beex.pipeline("sst2-micro")("what a lovely film")
        >>> prediction.label, prediction.exit, prediction.truncated
        ('positive', 1, False)
    """

    label: str
    score: float
    exit: int
    probabilities: dict[str, float]
    truncated: bool = False

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class ValuePrediction:
    """The answer of a regression to one text.

    Attributes:
        value: the answer at the exit taken, in the units of the training targets.
        exit: the exit taken, counted from 1.
        truncated: whether the text was cut, because it is longer than the model reads.

    Example:
        >>> beex.ValuePrediction(3.5, exit=2).to_dict()
        {'value': 3.5, 'exit': 2, 'truncated': False}
    """

    value: float
    exit: int
    truncated: bool = False

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Failure:
    """Takes the place of a prediction for a text that cannot be classified.

    Attributes:
        error: one sentence that says why, and what to do.

    Example:
        >>> beex.pipeline("sst2-micro", on_error="return")("")
        Failure(error='Text 1 is empty; remove it or fill it.')
    """

    error: str

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


Answer: TypeAlias = Prediction | ValuePrediction | Failure


def answer_fields(is_regression: bool) -> set[str]:
    """Names of all fields of the answers of a regression, or of a classifier."""
    kinds = (ValuePrediction if is_regression else Prediction, Failure)
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def value_predictions(
    scale: ValueScale, decisions: Decisions, truncated: np.ndarray
) -> Iterator[ValuePrediction]:
    """Makes the predictions of a regression with that scale, as `predictions` does for classes."""
    # As decimal numbers of so many digits that float32 tells apart.
    values = [float(str(value)) for value in scale.values(decisions.logits[:, 0])]
    exits = (decisions.exits + 1).tolist()
    for value, exit, was_cut in zip(values, exits, truncated.tolist(), strict=True):
        yield ValuePrediction(value, exit, was_cut)


def predictions(
    labels: Sequence[str],
    decisions: Decisions,
    truncated: np.ndarray,
    top_k: int | None = None,
) -> Iterator[Prediction]:
    """Makes the prediction for each text from its logits at the exit taken.

    Args:
        labels: C names.
        decisions: of B texts.
        truncated: whether each text was cut, bool (B,).
        top_k: number of the most probable labels that `probabilities` has; all labels in their order if
            None.
    """
    shares = numpy_ops.softmax(decisions.logits.astype(np.float64))
    best = decisions.logits.argmax(axis=-1).tolist()
    exits = (decisions.exits + 1).tolist()
    rows = zip(shares.tolist(), best, exits, truncated.tolist(), strict=True)
    for row, label, exit, was_cut in rows:
        probabilities = dict(zip(labels, row, strict=True))
        if top_k is not None:
            ranked = sorted(probabilities.items(), key=lambda entry: entry[1], reverse=True)
            probabilities = dict(ranked[:top_k])
        yield Prediction(labels[label], row[label], exit, probabilities, was_cut)
