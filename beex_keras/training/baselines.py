"""What a trained model has to beat: no model at all, the classical one for short texts, and embeddings
of a pretrained encoder that are not trained further.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras.data import Split, Task
from beex_keras.errors import BeexError
from beex_keras.evaluation.scores import score

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

OF_EMBEDDINGS = (1.0, 10.0, 100.0, 1000.0)
"""Inverse penalties for embeddings, which have length 1 and so need less of it than counts."""

Baseline = Callable[[Task], np.ndarray]
"""A function of a task that answers its test texts, (B,)."""


def of(task: Task, frozen_minilm: bool = False) -> dict[str, Baseline]:
    """What a model has to beat on a task, by name; with embeddings of MiniLM if asked for."""
    found: dict[str, Baseline] = {
        "majority class": majority_predictions,
        "TF-IDF + logistic regression": tfidf_predictions,
    }
    if task.is_regression:
        found = {"mean": mean_predictions, "TF-IDF + ridge": tfidf_predictions}
    if frozen_minilm:
        found[minilm_name(task)] = minilm_predictions
        if task.is_regression and task.is_pair:
            found["frozen MiniLM, cosine"] = cosine_predictions
    return found


def minilm_name(task: Task) -> str:
    """What `minilm_predictions` is called on a task."""
    return "frozen MiniLM + " + ("ridge" if task.is_regression else "logistic regression")


def mean_predictions(task: Task) -> np.ndarray:
    """The mean of training's targets for every test text, (B,)."""
    return np.full(len(task.test), task.train.labels.mean())


def majority_predictions(task: Task) -> np.ndarray:
    """Training's most frequent label for every test text, (B,)."""
    return np.full(len(task.test), np.bincount(task.train.labels).argmax())


def tfidf_predictions(task: Task) -> np.ndarray:
    """Labels of the test texts (B,), or targets, by `tfidf_model`; errors as there."""
    if not task.is_regression and len(np.unique(task.train.labels)) < 2:
        return majority_predictions(task)
    return tfidf_model(task).predict(_texts(task.test))


def tfidf_model(task: Task) -> "Pipeline":
    """Logistic regression on TF-IDF of words, or ridge: a scikit-learn pipeline from texts to answers.

    Features are the TF-IDF, with logarithmic counts, of all one- and two-word sequences; the two
    texts of a pair are joined into one. The penalty is `best_linear`'s. Nothing in it is random.

    Raises:
        BeexError: scikit-learn is missing, or the training texts hold no words.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
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
    return make_pipeline(vectorizer, best_linear(task, train, validation, (0.3, 1.0, 3.0, 10.0)))


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


# === Embeddings of MiniLM, as they are ===


def minilm_predictions(task: Task) -> np.ndarray:
    """Answers to the test texts (B,), by `best_linear` on MiniLM's embeddings.

    Of a pair the features are both embeddings, their absolute difference and their product.
    """
    train, validation, test = _features(list(task.splits().values()))
    return best_linear(task, train, validation, OF_EMBEDDINGS).predict(test)


def cosine_predictions(task: Task) -> np.ndarray:
    """Targets of the test pairs (B,): the cosine of both embeddings, on the line that fits training's."""
    train, test = ((a * b).sum(axis=1) for a, b in _embedded([task.train, task.test]))
    slope, intercept = np.polyfit(train, task.train.labels, 1)
    return intercept + slope * test


def embed(texts: Sequence[str], length: int = 128) -> np.ndarray:
    """MiniLM's embeddings of texts: means over its last block's tokens, of length 1; (B, 384)."""
    from beex_keras.backend import tf
    from beex_keras.evaluation import predict_exit_logits
    from beex_keras.models import BEExformer, BEExformerConfig
    from beex_keras.text import TextPreprocessor
    from beex_keras.training.bert import MINILM, load_bert_weights, read_bert

    donor = read_bert(MINILM)
    preprocessor = TextPreprocessor(donor.vocabulary, min(length, donor.positions))
    config = BEExformerConfig.preset(
        "minilm",
        "float",
        vocabulary_size=preprocessor.vocabulary_size,
        max_length=preprocessor.max_length,
        separator_id=preprocessor.separator_id,
        **donor.shape,
    )
    backbone = BEExformer(config)
    layers = tuple(range(config.num_blocks))
    load_bert_weights(backbone, donor, preprocessor.vocabulary, layers)
    ids = backbone.input
    real = tf.cast(backbone.padding_mask(ids), tf.float32)[:, :, tf.newaxis]
    pooled = tf.reduce_sum(backbone.output[-1] * real, axis=1) / tf.reduce_sum(real, axis=1)
    found = predict_exit_logits(tf.keras.Model(ids, pooled), preprocessor.encode(list(texts)), 64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _embedded(splits: list[Split]) -> list[list[np.ndarray]]:
    """The embeddings of each split's texts, and of a pair's second ones; MiniLM is read once for all."""
    parts = [part for split in splits for part in (split.texts, split.pairs) if part is not None]
    ends = np.cumsum([len(part) for part in parts])
    found = np.split(embed([text for part in parts for text in part]), ends[:-1])
    each = len(parts) // len(splits)
    return [found[begin : begin + each] for begin in range(0, len(found), each)]


def _features(splits: list[Split]) -> list[np.ndarray]:
    """Of each split the embeddings, and for pairs also their absolute difference and their product."""

    def of_pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.concatenate([first, second, np.abs(first - second), first * second], axis=1)

    return [own[0] if len(own) == 1 else of_pair(*own) for own in _embedded(splits)]


def _texts(split: Split) -> Sequence[str]:
    if split.pairs is None:
        return split.texts
    return [" [SEP] ".join(pair) for pair in zip(split.texts, split.pairs, strict=True)]
