"""One interface for every engine that runs a classifier."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy
from beex_keras.export.description import Metadata
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.text.preprocessor import TextPreprocessor, Texts

CHUNK = 1024
"""Texts that are held at a time."""


@dataclasses.dataclass(frozen=True)
class Decisions:
    """What a model computed for each of B texts up to the exit taken.

    Attributes:
        logits: of the exit taken, float32 (B, C).
        exits: the exit taken, counted from 0, int32 (B,).
    """

    logits: np.ndarray
    exits: np.ndarray


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a classifier says about one text.

    Attributes:
        label: the most probable class at the exit taken.
        score: its softmax probability there.
        exit: the exit taken, counted from 1.
        probabilities: softmax probability of every label at that exit.
    """

    label: str
    score: float
    exit: int
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Runner:
    """Runs a classifier on ids or text; a subclass brings the engine.

    The first four attributes are those of a classifier, or what a file says of itself.

    Attributes:
        config: the architecture.
        labels: the classes' names, in the order of the logits.
        policy: the exit policy that `classify` uses unless given another.
        preprocessor: text to ids, or None.
        length: longest row of ids it reads.
        exits_by_itself: whether the model decides within itself where to exit, by `policy` alone.
    """

    exits_by_itself = False

    def __init__(self, model: BEExformerClassifier | Metadata, length: int) -> None:
        self.config: BEExformerConfig = model.config
        self.labels = tuple(model.labels)
        self.policy: ExitPolicy = model.policy
        self.preprocessor: TextPreprocessor | None = model.preprocessor
        self.length = length

    def exit_logits(self, ids: np.ndarray) -> np.ndarray:
        """Token ids (B, T), 0-padded at the end → the logits of every exit, float32 (B, N, C).

        T may be anything from 1 to `length`.

        Raises:
            BeexError: not a matrix of whole numbers, longer than `length`, or outside the
                vocabulary.
        """
        return self._exit_logits(self._checked(ids))

    def decide(self, ids: np.ndarray, policy: ExitPolicy | None = None) -> Decisions:
        """Token ids as in `exit_logits` → the exit that a policy takes and the logits there.

        Without a policy it is the runner's own.

        Raises:
            BeexError: as `exit_logits`, or the model exits by itself and by another policy.
        """
        return self._decide(self._checked(ids), policy or self.policy)

    def classify(
        self,
        texts: Texts,
        pairs: Texts | None = None,
        policy: ExitPolicy | None = None,
        truncate: bool = False,
    ) -> list[Prediction]:
        """Classifies texts, or pairs of texts, at the exit that the policy takes for each.

        Args:
            texts: the texts.
            pairs: the second text of each pair.
            policy: an exit policy in place of the runner's own.
            truncate: cut longer texts to `length` tokens instead of refusing them.

        Raises:
            BeexError: the model came without a preprocessor, pairs were given to a model of single
                texts (or the reverse), or a text is empty, not a string, or longer than it reads.
        """
        return list(self.stream(texts, pairs, policy, truncate))

    def stream(
        self,
        texts: Iterable[str],
        pairs: Iterable[str] | None = None,
        policy: ExitPolicy | None = None,
        truncate: bool = False,
        chunk: int = CHUNK,
    ) -> Iterator[Prediction]:
        """As `classify`, one prediction after the other, for texts without end if need be.

        Holds `chunk` texts at a time: more are grouped better by length, fewer answer sooner.
        """
        if isinstance(texts, str | bytes):
            raise BeexError("Texts are needed, but one string was given; put it in a list.")
        first, second = iter(texts), iter(() if pairs is None else pairs)
        start = 0
        while taken := list(itertools.islice(first, chunk)):
            beside = None if pairs is None else list(itertools.islice(second, len(taken)))
            ids = self.encode(taken, beside, truncate, start)
            yield from self.predictions(self.decide(ids, policy))
            start += len(taken)
        if next(second, None) is not None:
            raise BeexError(f"There are more second texts than {start} texts; give one for each.")

    def encode(
        self, texts: Texts, pairs: Texts | None = None, truncate: bool = True, start: int = 0
    ) -> np.ndarray:
        """Texts to the ids (B, T) that `exit_logits` reads; arguments and errors as `classify`.

        Errors number the texts as if `start` came before them.
        """
        return self._preprocessor_for(pairs).encode(texts, pairs, truncate, start)

    def predictions(self, decisions: Decisions) -> list[Prediction]:
        """What follows from the logits at the exits taken."""
        logits = decisions.logits.astype(np.float64)
        scaled = np.exp(logits - logits.max(axis=-1, keepdims=True))
        shares = scaled / scaled.sum(axis=-1, keepdims=True)
        found = []
        for row, best, exit in zip(shares, logits.argmax(axis=-1), decisions.exits, strict=True):
            probabilities = dict(zip(self.labels, row.tolist(), strict=True))
            score = float(row[best])
            found.append(Prediction(self.labels[best], score, int(exit) + 1, probabilities))
        return found

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        """As `exit_logits`, for checked int32 ids."""
        raise NotImplementedError

    def _decide(self, ids: np.ndarray, policy: ExitPolicy) -> Decisions:
        """As `decide`, for checked int32 ids."""
        logits = self._exit_logits(ids)
        exits = np.asarray(policy.choose(logits))
        return Decisions(logits[np.arange(len(exits)), exits], exits)

    def _preprocessor_for(self, pairs: Texts | None) -> TextPreprocessor:
        """The preprocessor, if the model reads pairs and pairs are given, or else neither."""
        if self.preprocessor is None:
            reads = "The model came without a vocabulary, so it reads token ids, not text"
            fix = "attach a TextPreprocessor before saving or converting it"
            raise BeexError(f"{reads}; {fix}.")
        if pairs is not None and self.config.num_segments == 1:
            raise BeexError("The model reads single texts, not pairs; give one text each.")
        if pairs is None and self.config.num_segments > 1:
            raise BeexError("The model reads pairs of texts; give a second text for each.")
        return self.preprocessor

    def _checked(self, ids: np.ndarray) -> np.ndarray:
        """The ids as int32, if the model can read them."""
        ids = np.asarray(ids)
        if ids.ndim != 2 or ids.dtype.kind not in "iu":
            needed = "a matrix of whole numbers (texts, tokens)"
            raise BeexError(f"Token ids must be {needed}, not {ids.dtype} of shape {ids.shape}.")
        if not 1 <= ids.shape[1] <= self.length:
            read = f"but the model reads 1 to {self.length}; cut or pad them"
            raise BeexError(f"The ids have {ids.shape[1]} tokens a row, {read}.")
        size = self.config.vocabulary_size
        for wrong in ids[(ids < 0) | (ids >= size)][:1]:
            fix = "use the preprocessor that the model was trained with"
            raise BeexError(f"Token id {wrong} is outside the vocabulary of {size}; {fix}.")
        return ids.astype(np.int32)


def check_threads(num_threads: int) -> None:
    """Raises `BeexError` unless it is a whole number of at least 1."""
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
        raise BeexError(f"num_threads={num_threads!r} must be a whole number of at least 1.")
