"""One interface for every engine that runs a classifier."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from beex_keras import exits, tasks
from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy
from beex_keras.export.description import Metadata
from beex_keras.models.config import BEExformerConfig
from beex_keras.runtime.predictions import (
    Answer,
    ExitOutputs,
    Failure,
    Prediction,
    ValuePrediction,
    predictions,
)
from beex_keras.text.preprocessor import TextPreprocessor, fault, too_long

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier

Texts: TypeAlias = Sequence[str] | Sequence[tuple[str, str]]
"""A list of texts or, for a model of pairs, a list of (text, text_pair) tuples."""


class Runner:
    """Runs a classifier on ids or text; a subclass implements the engine.

    Texts are a list of strings or, for a model of pairs, a list of (text, text_pair) tuples.

    Attributes:
        config: the architecture.
        task: the kind of the task: names of the classes, or the scale of a regression's answers.
        policy: the exit policy that `classify` uses unless given another.
        preprocessor: turns text into ids, or None.
        length: the longest row of ids that the model reads.
        exits_by_itself: whether the model itself decides where to exit, by `policy` alone.
    """

    exits_by_itself = False

    def __init__(self, model: "BEExformerClassifier | Metadata", length: int) -> None:
        self.config: BEExformerConfig = model.config
        self.task = tasks.make(tuple(model.labels), model.value_scale)
        self.policy: ExitPolicy = model.policy
        self.preprocessor: TextPreprocessor | None = model.preprocessor
        self.length = length

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits; a regression has the one name "value"."""
        return self.task.labels

    @property
    def reads_pairs(self) -> bool:
        """Whether the model reads pairs of texts, rather than single ones."""
        return self.config.num_segments > 1

    @property
    def text_length(self) -> int:
        """The largest number of tokens of a text, special tokens included."""
        return self._require_vocabulary().max_length

    def exit_logits(self, ids: np.ndarray) -> np.ndarray:
        """The logits of every exit: token ids (B, T), padded with 0 at the end → float32 (B, N, C).

        T may be anything from 1 to `length`.

        Raises:
            BeexError: the ids are not a matrix of whole numbers, have more than `length` columns, or are
                outside the vocabulary.
        """
        return self._exit_logits(self._checked(ids))

    def decide(self, ids: np.ndarray, policy: ExitPolicy | None = None) -> ExitOutputs:
        """The exits (B,) that a policy takes, and the logits there (B, C): token ids as in `exit_logits`.

        Without a policy, the runner uses its own.

        Raises:
            BeexError: as `exit_logits`; or the policy does not fit the model; or the model exits by itself
                with another policy.
        """
        policy = policy or self.policy
        exits.check(policy, self.task.problem_type)
        return self._decide(self._checked(ids), policy)

    def classify(
        self, texts: Texts, *, policy: ExitPolicy | None = None, truncate: bool = True
    ) -> list[Prediction | ValuePrediction]:
        """Classifies texts at the exit that the policy takes for each.

        Args:
            texts: a list of texts or, for a model of pairs, of (text, text_pair) tuples.
            policy: an exit policy in place of the runner's own.
            truncate: cut longer texts to `text_length` tokens instead of refusing them.

        Raises:
            BeexError: the model has no preprocessor; `texts` is not a list of what the model reads; or a
                text is empty, not a string, or longer than the model reads.
        """
        check_texts(texts, self.reads_pairs)
        answers = self.answer(texts, policy, truncate)
        for answer in answers:
            if isinstance(answer, Failure):
                raise BeexError(answer.error)
        return answers  # type: ignore[return-value]

    def answer(
        self,
        texts: Iterable[Any],
        policy: ExitPolicy | None = None,
        truncate: bool = True,
        top_k: int | None = None,
        start: int = 0,
    ) -> list[Answer]:
        """Returns a prediction for each text that can be classified, and a `Failure` for any other.

        Args:
            texts: as in `classify`; a `Failure` among them is returned in its place.
            policy, truncate: as in `classify`.
            top_k: number of labels in `Prediction.probabilities`; all if None.
            start: number of texts before these, for the numbers in errors.

        Raises:
            BeexError: the model has no preprocessor, or exits by itself with another policy.
        """
        self._require_vocabulary()
        items = list(texts)  # a pandas Series is indexed by its labels, and a generator not at all
        answers: list[Any] = [self._failure(item, n) for n, item in enumerate(items, start + 1)]
        rows = np.array([row for row, failure in enumerate(answers) if failure is None], int)
        ids, lengths = self.tokenize(*self._columns([items[row] for row in rows]))
        truncated = lengths > self.text_length
        if not truncate:
            for row in np.flatnonzero(truncated):
                name = f"{'Pair' if self.reads_pairs else 'Text'} {start + rows[row] + 1:,}"
                answers[rows[row]] = Failure(too_long(name, lengths[row], self.text_length))
            rows, ids, truncated = rows[~truncated], ids[~truncated], truncated[~truncated]
        if len(rows):
            found = predictions(self.task, self.decide(ids, policy), truncated, top_k)
            for row, prediction in zip(rows, found, strict=True):
                answers[row] = prediction
        return answers

    def encode(self, texts: Texts) -> np.ndarray:
        """Turns texts into the ids (B, T) that `exit_logits` reads; longer texts are cut.

        Raises:
            BeexError: as `classify`.
        """
        self._require_vocabulary()
        check_texts(texts, self.reads_pairs)
        items = list(texts)
        for number, item in enumerate(items, 1):
            if failure := self._failure(item, number):
                raise BeexError(failure.error)
        return self.tokenize(*self._columns(items))[0]

    def tokenize(
        self, texts: Sequence[str], pairs: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turns valid texts, and their second texts, into ids (B, T) and lengths before any cut (B,)."""
        preprocessor = self._require_vocabulary()
        ids = preprocessor.encode(texts, pairs, truncate=True)
        lengths = (ids != 0).sum(axis=1)
        full = np.flatnonzero(lengths == preprocessor.max_length)
        second = None if pairs is None else [pairs[row] for row in full]
        lengths[full] = preprocessor.lengths([texts[row] for row in full], second)
        return ids, lengths

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        """As `exit_logits`, for checked int32 ids."""
        raise NotImplementedError

    def _decide(self, ids: np.ndarray, policy: ExitPolicy) -> ExitOutputs:
        """As `decide`, for checked int32 ids."""
        logits = self._exit_logits(ids)
        taken = policy.choose(logits)
        return ExitOutputs(logits[np.arange(len(taken)), taken], taken)

    def _require_vocabulary(self) -> TextPreprocessor:
        if self.preprocessor is None:
            reads = "The model has no vocabulary, so it reads token ids, not text"
            fix = "attach a TextPreprocessor before saving or converting it"
            raise BeexError(f"{reads}; {fix}.")
        return self.preprocessor

    def _columns(self, items: list[Any]) -> tuple[list[str], list[str] | None]:
        """The texts of valid items, and the second texts of pairs."""
        if not self.reads_pairs:
            return items, None
        return [first for first, _ in items], [second for _, second in items]

    def _failure(self, item: Any, number: int) -> Failure | None:
        """Says why an item cannot be classified, whatever its length; None if it can."""
        if isinstance(item, Failure):
            return item
        is_pair = isinstance(item, tuple | list) and len(item) == 2
        if is_pair and not self.reads_pairs:
            reads = f"Text {number:,} is a pair, and the model reads single texts, not pairs"
            return Failure(f"{reads}; give one text, without a pair column.")
        if not is_pair and self.reads_pairs:
            reads = f"Text {number:,} is a single one, and the model reads pairs of texts"
            return Failure(f"{reads}; give a (text, text_pair) tuple, or name the pair column.")
        for text, name in zip(item if is_pair else [item], ("Text", "Second text"), strict=False):
            if found := fault(text):
                return Failure(f"{name} {number:,} {found}.")
        return None

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


def check_texts(texts: Any, reads_pairs: bool) -> None:
    """Checks that `texts` holds many texts, and cannot be meant in two ways.

    Raises:
        BeexError: `texts` is a string, a table or not iterable; a tuple of two strings, which may be one pair
            or two texts; or a list of two strings for a model of pairs.
    """
    if isinstance(texts, str | bytes):
        raise BeexError("Texts are needed, but one string was given; put it in a list.")
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or hasattr(texts, "column_names"):
        raise BeexError("Texts are needed, but a table was given; give its column with the texts.")
    if not any(hasattr(texts, name) for name in ("__iter__", "__aiter__", "__getitem__")):
        raise BeexError(
            f"Texts are needed, but {texts!r} was given; give a text or a list of texts."
        )
    if not isinstance(texts, tuple | list) or len(texts) != 2:
        return
    if not all(isinstance(text, str) for text in texts):
        return
    if reads_pairs:
        fix = "give a list of (text, text_pair) tuples, for one pair a list of one tuple"
        raise BeexError(f"The model reads pairs of texts, and two strings were given; {fix}.")
    if isinstance(texts, tuple):
        raise BeexError(
            "A tuple of two strings was given, which may be a pair; give texts as a list."
        )


def check_threads(num_threads: int) -> None:
    """Raises `BeexError` unless it is a whole number of at least 1."""
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
        raise BeexError(f"num_threads={num_threads!r} must be a whole number of at least 1.")
