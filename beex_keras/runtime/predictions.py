"""The answers to a text: a predicted class, a predicted value, or a failure."""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from beex_keras import numpy_ops
from beex_keras.tasks import RegressionTask, TextTask


@dataclasses.dataclass(frozen=True)
class ExitOutputs:
    """The outputs of a model for B texts at the exits taken.

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

_KINDS = {"classification": Prediction, "regression": ValuePrediction}


def answer_fields(task: TextTask) -> set[str]:
    """Names of all fields that an answer to such a task can have."""
    kinds = (_KINDS[task.problem_type], Failure)
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def predictions(
    task: TextTask, outputs: ExitOutputs, truncated: np.ndarray, top_k: int | None = None
) -> Iterator[Prediction | ValuePrediction]:
    """Makes the prediction for each of B texts from its logits at the exit taken.

    Args:
        task: names the classes, or scales the values.
        outputs: logits and exits of B texts.
        truncated: whether each text was cut, bool (B,).
        top_k: number of the most probable labels in `Prediction.probabilities`; all labels in their
            order if None.
    """
    answers, exits = task.decode(outputs.logits), (outputs.exits + 1).tolist()
    rows = zip(answers, exits, truncated.tolist(), strict=True)
    if isinstance(task, RegressionTask):
        for value, exit, was_cut in rows:
            # The shortest decimal number that is the same float32.
            yield ValuePrediction(float(str(value)), exit, was_cut)
        return
    shares = numpy_ops.softmax(outputs.logits.astype(np.float64)).tolist()
    for row, (best, exit, was_cut) in zip(shares, rows, strict=True):
        probabilities = dict(zip(task.labels, row, strict=True))
        if top_k is not None:
            ranked = sorted(probabilities.items(), key=lambda entry: entry[1], reverse=True)
            probabilities = dict(ranked[:top_k])
        yield Prediction(task.labels[best], row[best], exit, probabilities, was_cut)
