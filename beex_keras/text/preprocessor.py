"""Texts and pairs of texts to token ids."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.text.vocabulary import check_vocabulary

_CHUNK = 4096
Texts = Sequence[str]


class TextPreprocessor:
    r"""Turns texts into WordPiece ids, outside and inside TensorFlow graphs.

    A text becomes ``[CLS] a [SEP]``, a pair ``[CLS] a [SEP] b [SEP]``, padded with 0 to `max_length`. If a
    pair with \(n_a\) and \(n_b\) tokens does not fit into the \(m\) places for its tokens, the longer text is
    cut first:

    \[ n_b' = \min(n_b, \max(m - n_a, \lfloor m / 2 \rfloor)), \quad n_a' = \min(n_a, m - n_b') \]

    Words are split as in BERT (see `split_words`) and each is cut into the longest pieces from the
    left; a word with an unknown character, or of more than 100 bytes, is [UNK]. The literal text
    ``"[SEP]"`` is a bracket, a word and a bracket, never the special token.

    Args:
        vocabulary: the tokens in the order of their ids, see `learn_vocabulary`.
        max_length: number of tokens of a row, special tokens included; at least 3.
        lower_case: lower-case the texts and strip accents; use the same value as for the vocabulary.
        truncate: whether `encode` cuts longer texts; otherwise it refuses them.

    Raises:
        BeexError: the vocabulary lacks special tokens or repeats one, or `max_length` is too small.

    Example:
        >>> vocabulary = [*beex.text.SPECIAL_TOKENS, "good", "film", "##s"]
        >>> beex.TextPreprocessor(vocabulary, max_length=6).encode(["Good films!"])
        array([[2, 5, 6, 7, 1, 3]], dtype=int32)
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        max_length: int,
        lower_case: bool = True,
        truncate: bool = True,
    ) -> None:
        self.vocabulary = tuple(vocabulary)
        check_vocabulary(self.vocabulary)
        if max_length < 3:
            raise BeexError(f"max_length is {max_length}, but a text needs at least 3 tokens.")
        self.max_length = int(max_length)
        self.lower_case, self.truncate = bool(lower_case), bool(truncate)
        special = map(self.vocabulary.index, ("[PAD]", "[CLS]", "[SEP]"))
        self.padding_id, self.classification_id, self.separator_id = special

    @property
    def vocabulary_size(self) -> int:
        return len(self.vocabulary)

    def __call__(self, texts: Any, pairs: Any = None) -> Any:
        """Token ids by TensorFlow operations alone; longer texts are always cut.

        Strings (B,), and others or None → int32 (B, max_length).
        """
        return self._wordpiece.ids(texts, pairs)

    def encode(
        self, texts: Texts, pairs: Texts | None = None, truncate: bool | None = None
    ) -> np.ndarray:
        """Token ids of a list of texts: int32, (B, max_length); arguments and errors as `check`."""
        self.check(texts, pairs, truncate)
        ids = np.zeros((len(texts), self.max_length), np.int32)
        for rows, first, second in _chunks(texts, pairs):
            ids[rows] = self(first, second).numpy()
        return ids

    def lengths(self, texts: Texts, pairs: Texts | None = None) -> np.ndarray:
        """Tokens of each row before any cut, special ones included: int64, (B,)."""
        counts = np.zeros(len(texts), np.int64)
        for rows, first, second in _chunks(texts, pairs):
            counts[rows] = self._wordpiece.lengths(first, second).numpy()
        return counts

    def check(self, texts: Texts, pairs: Texts | None = None, truncate: bool | None = None) -> None:
        """Raises an error if a text cannot be classified.

        Args:
            texts, pairs: the arguments of `encode`.
            truncate: whether longer texts may be cut; the preprocessor's own setting if None.

        Raises:
            BeexError: a text is not a string, empty, not valid Unicode, or, unless it may be cut,
                longer than `max_length` tokens; or `texts` and `pairs` differ in number.
        """
        _check_strings(texts, "Text")
        if pairs is not None:
            _check_strings(pairs, "Second text")
            check_numbers(texts, pairs)
        if self.truncate if truncate is None else truncate:
            return
        lengths = self.lengths(texts, pairs)
        for index in np.flatnonzero(lengths > self.max_length)[:1]:
            kind = "Text" if pairs is None else "Pair"
            name = f"{kind} {index + 1:,}"
            raise BeexError(too_long(name, lengths[index], self.max_length))

    @cached_property
    def _wordpiece(self) -> Any:
        from beex_keras.text.wordpiece import WordPiece

        ids = self.padding_id, self.classification_id, self.separator_id
        return WordPiece(self.vocabulary, self.lower_case, self.max_length, *ids)

    def get_config(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in ("max_length", "lower_case", "truncate")}
        return {"vocabulary": list(self.vocabulary), **options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TextPreprocessor":
        return cls(**config)


def check_numbers(texts: Texts, pairs: Texts) -> None:
    """Raises `BeexError` unless each text has a second one."""
    if len(pairs) != len(texts):
        counts = f"{len(texts)} texts came with {len(pairs)} second texts"
        raise BeexError(f"{counts}; give one for each.")


def too_long(name: str, tokens: int, most: int) -> str:
    """Returns the error for a text that is too long."""
    reads = f"{tokens:,} tokens, the model reads {most:,}"
    return f"{name} has {reads}: shorten it, or allow truncation."


def fault(text: Any) -> str | None:
    """What is wrong with a text that cannot be classified: the end of a sentence without full stop."""
    if not isinstance(text, str):
        return f"is of type {type(text).__name__}; give it as a string"
    if not text or text.isspace():
        return "is empty; remove it or fill it"
    try:
        text.isascii() or text.encode("utf-8")
    except UnicodeEncodeError:
        return "is not valid Unicode; repair its encoding"
    return None


def _chunks(texts: Texts, pairs: Texts | None) -> Iterator[tuple[slice, list[str], Any]]:
    """Rows and their texts, so many at a time that memory stays small."""
    for start in range(0, len(texts), _CHUNK):
        rows = slice(start, start + _CHUNK)
        yield rows, list(texts[rows]), None if pairs is None else list(pairs[rows])


def _check_strings(texts: Texts, what: str) -> None:
    if isinstance(texts, str | bytes):
        raise BeexError("A list of texts is needed, but one string was given; put it in a list.")
    for number, text in enumerate(texts, 1):
        if found := fault(text):
            raise BeexError(f"{what} {number:,} {found}.")
