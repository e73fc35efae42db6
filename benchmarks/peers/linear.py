"""Logistic regression on embeddings: fitted by scikit-learn, computed by NumPy."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from beex_keras.data import Task


FILE = "linear.npz"


def fit(task: "Task", embed: Callable[[Sequence[str]], np.ndarray], folder: Path) -> None:
    """Writes the weights that answer best on validation data."""
    from baselines.linear import OF_EMBEDDINGS, best_linear

    train, validation = embed(task.train.texts), embed(task.validation.texts)
    best = best_linear(task, train, validation, OF_EMBEDDINGS)
    weights, bias = best.coef_.T, best.intercept_
    if weights.shape[1] == 1:  # of two classes there is one column, whose sign decides
        weights, bias = np.hstack([-weights, weights]), np.array([-bias[0], bias[0]])
    np.savez(folder / FILE, weights=weights.astype(np.float32), bias=bias.astype(np.float32))


def load(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What gives the class number of each embedding."""
    with np.load(folder / FILE) as kept:
        weights, bias = kept["weights"], kept["bias"]
    return lambda embeddings: (embeddings @ weights + bias).argmax(axis=1)
