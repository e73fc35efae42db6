"""A linear model on the embeddings of a frozen MiniLM."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from baselines.linear import OF_EMBEDDINGS, best_linear
from beex_keras.data import Split, Task

_LENGTH, _BATCH = 128, 64


class Embedder:
    """Embeds texts by MiniLM: the mean over the outputs of its last block, scaled to length 1."""

    def __init__(self) -> None:
        # Imported here, because the other baselines do without TensorFlow.
        from beex_keras.backend import tf
        from beex_keras.models import BEExformer, BEExformerConfig
        from beex_keras.models.bert import MINILM, load_bert_weights, read_bert
        from beex_keras.text import TextPreprocessor

        encoder = read_bert(MINILM)
        self._preprocessor = TextPreprocessor(encoder.vocabulary, min(_LENGTH, encoder.positions))
        config = BEExformerConfig.preset(
            "minilm",
            "float",
            vocabulary_size=self._preprocessor.vocabulary_size,
            max_length=self._preprocessor.max_length,
            separator_id=self._preprocessor.separator_id,
            **encoder.shape,
        )
        backbone = BEExformer(config)
        layers = tuple(range(config.num_blocks))
        load_bert_weights(backbone, encoder, self._preprocessor.vocabulary, layers)
        ids = backbone.input
        real = tf.cast(backbone.padding_mask(ids), tf.float32)[:, :, tf.newaxis]
        pooled = tf.reduce_sum(backbone.output[-1] * real, axis=1) / tf.reduce_sum(real, axis=1)
        self._model = tf.keras.Model(ids, pooled)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """The embeddings of n texts, float32 (n, 384)."""
        from beex_keras.evaluation import predict_exit_logits

        ids = self._preprocessor.encode(list(texts))
        found = predict_exit_logits(self._model, ids, _BATCH)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """A linear model on MiniLM's embeddings.

    Attributes:
        embed: computes embeddings (n, D).
        model: the linear model, of scikit-learn.
        task: the task that it has learned.
    """

    embed: Any
    model: Any
    task: Task

    # Kept for one task, since a benchmark asks for several figures of the same task.
    @classmethod
    @functools.lru_cache(maxsize=1)
    def fit(cls, task: Task) -> "LinearProbe":
        """Fits the training split; the validation split chooses the penalty."""
        embed = Embedder()
        train, validation = (
            _features(embed, s.texts, s.pairs) for s in (task.train, task.validation)
        )
        return cls(embed, best_linear(task, train, validation, OF_EMBEDDINGS), task)

    def predict(self, split: Split) -> np.ndarray:
        """Class numbers of n texts, or values: (n,)."""
        return self.model.predict(_features(self.embed, split.texts, split.pairs))


def name_of(task: Task) -> str:
    """The name of `LinearProbe` on a task."""
    return "frozen MiniLM + " + ("ridge" if task.is_regression else "logistic regression")


def predictions(task: Task) -> np.ndarray:
    """Answers to the test texts (n,), by `LinearProbe`."""
    return LinearProbe.fit(task).predict(task.test)


def cosine_predictions(task: Task) -> np.ndarray:
    """Targets of the test pairs (n,): a line through the cosines of both embeddings, fitted on training."""
    embed = LinearProbe.fit(task).embed

    def cosines(split: Split) -> np.ndarray:
        assert split.pairs is not None
        return (embed(split.texts) * embed(split.pairs)).sum(axis=1)

    slope, intercept = np.polyfit(cosines(task.train), task.train.labels, 1)
    return intercept + slope * cosines(task.test)


def _features(embed: Any, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
    """The features of a linear model, (n, F).

    Those of single texts are their embeddings; those of pairs are both embeddings, their absolute
    difference, their product and their cosine.
    """
    if pairs is None:
        return embed(texts)
    # A sentence is often in several pairs, or in both orders.
    rows = {text: row for row, text in enumerate(dict.fromkeys([*texts, *pairs]))}
    embedded = embed(list(rows))
    first, second = (embedded[[rows[text] for text in part]] for part in (texts, pairs))
    product = first * second
    parts = first, second, np.abs(first - second), product, product.sum(axis=1, keepdims=True)
    return np.concatenate(parts, axis=1)
