"""What a trained model has to beat: no model at all, and the classical one for short texts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from beex_keras.data import Split, Task
from beex_keras.errors import BeexError
from beex_keras.evaluation.scores import score

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def majority_predictions(task: Task) -> np.ndarray:
    """Training's most frequent label for every test text, (B,)."""
    return np.full(len(task.test), np.bincount(task.train.labels).argmax())


def tfidf_predictions(task: Task) -> np.ndarray:
    """Labels of the test texts (B,), by `tfidf_model`; errors as there."""
    if len(np.unique(task.train.labels)) < 2:
        return majority_predictions(task)
    return tfidf_model(task).predict(_texts(task.test))


def tfidf_model(task: Task) -> "Pipeline":
    """Logistic regression on TF-IDF of words, a scikit-learn pipeline from texts to class numbers.

    Features are the TF-IDF, with logarithmic counts, of all one- and two-word sequences; the two
    texts of a pair are joined into one. The inverse penalty C, of 0.3, 1, 3 and 10, is the best by
    the task's metric on the validation split (the smallest of equals), so the baseline is tuned as
    the model is. Nothing in it is random.

    Raises:
        BeexError: scikit-learn is missing, or the training texts hold no words.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
    except ModuleNotFoundError:
        raise BeexError(
            "The TF-IDF baseline needs scikit-learn; pip install 'beex-keras[baselines]'."
        ) from None

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

    # Solved to the end: stopped early, rounding would decide which C validation prefers.
    models = [
        LogisticRegression(C=penalty, tol=1e-6, max_iter=2000).fit(train, task.train.labels)
        for penalty in (0.3, 1.0, 3.0, 10.0)
    ]

    def quality(model: LogisticRegression) -> float:
        return score(task.validation.labels, model.predict(validation), task.metric)

    return make_pipeline(vectorizer, max(models, key=quality))


def _texts(split: Split) -> Sequence[str]:
    if split.pairs is None:
        return split.texts
    return [" [SEP] ".join(pair) for pair in zip(split.texts, split.pairs, strict=True)]
