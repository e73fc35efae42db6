r"""What two teachers answer together: a weighted mean, whose weights validation data choose.

Of classes it is the mean of log-probabilities, \((1 - w) \log p + w \log q\), of a regression that of values. The
weight \(w\) is the one of 0, 0.1, …, 1 with the smallest loss: the cross-entropy, or the mean squared error.

Source: the logarithmic opinion pool (Genest and Zidek, 1986, "Combining Probability Distributions"). The two
teachers err on different texts: the twin has learned words and their order from few labels, and the embeddings
of its encoder what that was trained for.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from beex_keras.data import Task
from beex_keras.numpy_ops import log_softmax
from beex_keras.training.unlabelled import Answer

_WEIGHTS = np.linspace(0, 1, 11)


class Mixture:
    """The answers of two teachers as those of one.

    Args:
        task: its validation split chooses the weight, when the first answer is asked for.
        first: the answers of one teacher.
        second: makes those of the other.
        say: is told the weight.
    """

    def __init__(
        self,
        task: Task,
        first: Answer,
        second: Callable[[], Answer],
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.task, self.first, self._second, self._say = task, first, second, say

    @cached_property
    def second(self) -> Answer:
        return self._second()

    @cached_property
    def weight(self) -> float:
        """That of the second teacher."""
        split = self.task.validation
        parts = self.first(split.texts, split.pairs), self.second(split.texts, split.pairs)
        losses = [self._loss(self._mean(*parts, weight)) for weight in _WEIGHTS]
        weight = float(_WEIGHTS[int(np.argmin(losses))])
        self._say(
            f"answers of MiniLM's embeddings have the weight {weight:.1f}, those of the twin {1 - weight:.1f}"
        )
        return weight

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        """The logits (n, C) of texts, or standardized values (n, 1)."""
        weight = self.weight
        first = self.first(texts, pairs) if weight < 1 else self.second(texts, pairs)
        return self._mean(first, self.second(texts, pairs) if weight > 0 else first, weight)

    def _mean(self, first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
        if not self.task.is_regression:
            first, second = log_softmax(first), log_softmax(second)
        return (1 - weight) * first + weight * second

    def _loss(self, logits: np.ndarray) -> float:
        labels, scale = self.task.validation.labels, self.task.value_scale
        if scale is not None:
            return float(np.mean((logits[:, 0] - scale.standardize(labels)) ** 2))
        return float(-np.mean(log_softmax(logits)[np.arange(len(labels)), labels]))
