"""Baselines that a trained model is compared with.

They are the majority class, TF-IDF with a linear model, and a linear model on the embeddings of a frozen
MiniLM.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from baselines import frozen
from baselines.linear import best_linear, require_sklearn
from beex_keras.data import Split, Task
from beex_keras.errors import BeexError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Baseline = Callable[[Task], np.ndarray]
"""A function of a task that answers its test texts, (B,)."""


def of(task: Task, frozen_minilm: bool = False) -> dict[str, Baseline]:
    """The baselines of a task by name; with the embeddings of MiniLM if asked for."""
    found: dict[str, Baseline] = {
        "majority class": majority_predictions,
        "TF-IDF + logistic regression": tfidf_predictions,
    }
    if task.is_regression:
        found = {"mean": mean_predictions, "TF-IDF + ridge": tfidf_predictions}
    if frozen_minilm:
        found[frozen.name_of(task)] = frozen.predictions
        if task.is_regression and task.is_pair:
            found["frozen MiniLM, cosine"] = frozen.cosine_predictions
    return found


def mean_predictions(task: Task) -> np.ndarray:
    """The mean of the training targets for every test text, (B,)."""
    return np.full(len(task.test), task.train.labels.mean())


def majority_predictions(task: Task) -> np.ndarray:
    """The most frequent label of the training split for every test text, (B,)."""
    return np.full(len(task.test), np.bincount(task.train.labels).argmax())


def tfidf_predictions(task: Task) -> np.ndarray:
    """Labels of the test texts (B,), or targets, by `tfidf_model`; errors as there."""
    if not task.is_regression and len(np.unique(task.train.labels)) < 2:
        return majority_predictions(task)
    return tfidf_model(task).predict(_texts(task.test))


def tfidf_model(task: Task) -> "Pipeline":
    """Fits logistic regression, or ridge, on TF-IDF: a scikit-learn pipeline from texts to answers.

    Features are the TF-IDF, with logarithmic counts, of all one- and two-word sequences; the two
    texts of a pair are joined into one. `best_linear` chooses the penalty. Nothing is random.

    Raises:
        BeexError: scikit-learn is missing, or the training texts hold no words.
    """
    require_sklearn()
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    # Words of one letter count too: "I" and "a" tell questions and opinions apart.
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"
    )
    try:
        train = vectorizer.fit_transform(_texts(task.train))
    except ValueError:
        raise BeexError(
            f"The training texts of {task.name} hold no words; check the text column."
        ) from None
    validation = vectorizer.transform(_texts(task.validation))
    return make_pipeline(vectorizer, best_linear(task, train, validation, (0.3, 1.0, 3.0, 10.0)))


def _texts(split: Split) -> Sequence[str]:
    if split.pairs is None:
        return split.texts
    return [" [SEP] ".join(pair) for pair in zip(split.texts, split.pairs, strict=True)]
