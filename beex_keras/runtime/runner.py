"""One interface for every engine that runs a classifier."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy
from beex_keras.export.description import Metadata
from beex_keras.models.config import BEExformerConfig
from beex_keras.runtime.predictions import (
    Answer,
    Decisions,
    Failure,
    Prediction,
    ValuePrediction,
    predictions,
    value_predictions,
)
from beex_keras.text.preprocessor import TextPreprocessor, Texts, check_numbers, fault, too_long
from beex_keras.value_scale import ValueScale

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier


class Runner:
    """Runs a classifier on ids or text; a subclass implements the engine.

    The first five attributes are those of the classifier, or come from the metadata of a file.

    Attributes:
        config: the architecture.
        labels: names of the classes, in the order of the logits; a regression has the one name "value".
        value_scale: scale of a regression's answers; None for classes.
        policy: the exit policy that `classify` uses unless given another.
        preprocessor: text to ids, or None.
        length: longest row of ids it reads.
        exits_by_itself: whether the model decides within itself where to exit, by `policy` alone.
    """

    exits_by_itself = False

    def __init__(self, model: "BEExformerClassifier | Metadata", length: int) -> None:
        self.config: BEExformerConfig = model.config
        self.labels = tuple(model.labels)
        self.value_scale: ValueScale | None = model.value_scale
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
        """Token ids (B, T) as in `exit_logits` → exits (B,) that a policy takes, and the logits there (B, C).

        Without a policy, the runner uses its own.

        Raises:
            BeexError: as `exit_logits`; or the policy does not fit the model; or the model exits by itself
                with another policy.
        """
        policy = policy or self.policy
        exits.check(policy, self.config.is_regression)
        return self._decide(self._checked(ids), policy)

    def classify(
        self,
        texts: Texts,
        pairs: Texts | None = None,
        policy: ExitPolicy | None = None,
        truncate: bool = True,
    ) -> list[Prediction | ValuePrediction]:
        """Classifies texts, or pairs of texts, at the exit that the policy takes for each.

        Args:
            texts: the texts.
            pairs: the second text of each pair.
            policy: an exit policy in place of the runner's own.
            truncate: cut longer texts to `length` tokens instead of refusing them.

        Raises:
            BeexError: the model has no preprocessor, pairs were given to a model of single texts (or the
                reverse), or a text is empty, not a string, or longer than the model reads.
        """
        found = []
        for answer in self.answer(_items(texts, pairs), policy, truncate):
            if isinstance(answer, Failure):
                raise BeexError(answer.error)
            found.append(answer)
        return found

    def answer(
        self,
        items: Iterable[Any],
        policy: ExitPolicy | None = None,
        truncate: bool = True,
        top_k: int | None = None,
        start: int = 0,
    ) -> list[Answer]:
        """Returns a prediction for each item that can be classified, and a `Failure` for any other item.

        Args:
            items: texts or, for a model of pairs, tuples of two texts; a `Failure` is its own answer.
            policy, truncate: the same as in `classify`.
            top_k: number of labels that `Prediction.probabilities` has; all if None.
            start: number of items before these, for the numbers in errors.

        Raises:
            BeexError: the model has no preprocessor, or exits by itself with another policy.
        """
        self._require_vocabulary()
        items = list(items)  # a pandas Series is indexed by its labels, and a generator not at all
        answers: list[Any] = [
            self._failure(item, number) for number, item in enumerate(items, start + 1)
        ]
        rows = np.array([row for row, failure in enumerate(answers) if failure is None], int)
        texts = [items[row] for row in rows]
        ids, lengths = self.tokenize(*_sides(texts, self.reads_pairs))
        truncated = lengths > self.text_length
        if not truncate:
            for row in np.flatnonzero(truncated):
                name = f"{'Pair' if self.reads_pairs else 'Text'} {start + rows[row] + 1:,}"
                answers[rows[row]] = Failure(too_long(name, lengths[row], self.text_length))
            rows, ids, truncated = rows[~truncated], ids[~truncated], truncated[~truncated]
        if len(rows):
            decisions = self.decide(ids, policy)
            found: Iterator[Answer]
            if self.value_scale is None:
                found = predictions(self.labels, decisions, truncated, top_k)
            else:
                found = value_predictions(self.value_scale, decisions, truncated)
            for row, prediction in zip(rows, found, strict=True):
                answers[row] = prediction
        return answers

    def encode(self, texts: Texts, pairs: Texts | None = None) -> np.ndarray:
        """Turns texts into the ids (B, T) that `exit_logits` reads; longer texts are cut.

        Raises:
            BeexError: as `classify`.
        """
        self._require_vocabulary()
        items = _items(texts, pairs)
        for number, item in enumerate(items, 1):
            if failure := self._failure(item, number):
                raise BeexError(failure.error)
        return self.tokenize(*_sides(items, self.reads_pairs))[0]

    def tokenize(self, texts: Texts, pairs: Texts | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Turns valid texts into ids, int32 (B, T), and counts their tokens (B,) before a cut."""
        preprocessor = self._require_vocabulary()
        ids = preprocessor.encode(texts, pairs, truncate=True)
        lengths = (ids != 0).sum(axis=1)
        full = np.flatnonzero(lengths == preprocessor.max_length)
        beside = None if pairs is None else [pairs[row] for row in full]
        lengths[full] = preprocessor.lengths([texts[row] for row in full], beside)
        return ids, lengths

    @property
    def reads_pairs(self) -> bool:
        """Whether the model reads pairs of texts, rather than single ones."""
        return self.config.num_segments > 1

    @property
    def text_length(self) -> int:
        """The largest number of tokens of a text, special tokens included."""
        return self._require_vocabulary().max_length

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        """As `exit_logits`, for checked int32 ids."""
        raise NotImplementedError

    def _decide(self, ids: np.ndarray, policy: ExitPolicy) -> Decisions:
        """As `decide`, for checked int32 ids."""
        logits = self._exit_logits(ids)
        taken = policy.choose(logits)
        return Decisions(logits[np.arange(len(taken)), taken], taken)

    def _require_vocabulary(self) -> TextPreprocessor:
        if self.preprocessor is None:
            reads = "The model has no vocabulary, so it reads token ids, not text"
            fix = "attach a TextPreprocessor before saving or converting it"
            raise BeexError(f"{reads}; {fix}.")
        return self.preprocessor

    def _failure(self, item: Any, number: int) -> Failure | None:
        """Why an item cannot be classified, if so; its length is not looked at."""
        if isinstance(item, Failure):
            return item
        is_pair = isinstance(item, tuple | list) and len(item) == 2
        if is_pair and not self.reads_pairs:
            reads = f"Text {number:,} is a pair, and the model reads single texts, not pairs"
            return Failure(f"{reads}; give one text, without a pair column.")
        if not is_pair and self.reads_pairs:
            reads = f"Text {number:,} is a single one, and the model reads pairs of texts"
            return Failure(f"{reads}; give a second text, or name the pair column.")
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


def _items(texts: Texts, pairs: Texts | None) -> list[Any]:
    """What is to be classified: texts, or tuples of two."""
    check_texts(texts, pairs)
    return list(texts) if pairs is None else list(zip(texts, pairs, strict=True))


def _sides(items: list[Any], are_pairs: bool) -> tuple[list[str], list[str] | None]:
    """The texts of items, and the second texts of pairs."""
    if not are_pairs:
        return items, None
    return [first for first, _ in items], [second for _, second in items]


def check_texts(texts: Any, pairs: Any) -> None:
    """Raises `BeexError` for what is not many texts, such as a string or a table, or lists that differ in length."""
    if isinstance(texts, str | bytes):
        raise BeexError("Texts are needed, but one string was given; put it in a list.")
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or hasattr(texts, "column_names"):
        raise BeexError("Texts are needed, but a table was given; give its column with the texts.")
    if not any(hasattr(texts, name) for name in ("__iter__", "__aiter__", "__getitem__")):
        raise BeexError(
            f"Texts are needed, but {texts!r} was given; give a text or a list of texts."
        )
    if pairs is not None:
        check_numbers(texts, pairs)


def check_threads(num_threads: int) -> None:
    """Raises `BeexError` unless it is a whole number of at least 1."""
    if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
        raise BeexError(f"num_threads={num_threads!r} must be a whole number of at least 1.")
