"""Linear models of scikit-learn, tuned on validation data."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.evaluation.scores import score

OF_EMBEDDINGS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Inverse penalties for embeddings of length 1, from one under which of a pair little but the cosine counts."""


def is_available() -> bool:
    """Whether scikit-learn is installed."""
    return importlib.util.find_spec("sklearn") is not None


def require(extra: str) -> None:
    """Raises `BeexError` unless scikit-learn is installed, which that extra of the package has."""
    if not is_available():
        raise BeexError(f"A linear model needs scikit-learn; pip install 'beex-keras[{extra}]'.")


def best_linear(task: Task, train: Any, validation: Any, inverses: Sequence[float]) -> Any:
    """A linear model of scikit-learn on features, (B, F) of each split.

    Logistic regression, or ridge for a regression. The inverse penalty is the best of `inverses` by the
    task's metric on the validation split (the smallest of equals), so the baseline is tuned as the model is.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    def model(inverse: float) -> Any:
        if task.is_regression:
            return Ridge(alpha=1 / inverse)
        # Solved to the end: stopped early, rounding would decide which C validation prefers.
        return LogisticRegression(C=inverse, tol=1e-6, max_iter=2000)

    models = [model(inverse).fit(train, task.train.labels) for inverse in inverses]
    sign = -1 if task.metric == "mean_absolute_error" else 1

    def quality(model: Any) -> float:
        return sign * score(task.validation.labels, model.predict(validation), task.metric)

    return max(models, key=quality)
