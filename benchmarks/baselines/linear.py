"""Linear models of scikit-learn, tuned on validation data."""

import importlib.util
from collections.abc import Sequence
from typing import Any

from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.evaluation.scores import score

OF_EMBEDDINGS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""Inverse penalties for embeddings of length 1.

Under the strongest penalty a model of pairs reads hardly anything but the cosine.
"""


def require_sklearn() -> None:
    """Raises `BeexError` unless scikit-learn is installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise BeexError("A linear model needs scikit-learn; pip install 'beex-keras[baselines]'.")


def best_linear(task: Task, train: Any, validation: Any, inverses: Sequence[float]) -> Any:
    """Fits logistic regression, or ridge for a regression, on the features (B, F) of each split.

    The inverse penalty is the best of `inverses` by the task's metric on the validation split; of
    equals the smallest. So the baseline is tuned as the model is.
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
