"""Texts and pairs of texts to token ids."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from beex_keras.backend import tf, tf_text
from beex_keras.errors import BeexError
from beex_keras.text.vocabulary import check_vocabulary

_CHUNK = 4096
Texts = Sequence[str]


@tf.keras.utils.register_keras_serializable("beex_keras")
class TextPreprocessor:
    r"""Turns texts into WordPiece ids, outside and inside TensorFlow graphs.

    A text becomes ``[CLS] a [SEP]``, a pair ``[CLS] a [SEP] b [SEP]``, padded with 0 to
    `max_length`. Of :math:`m` places for the tokens of a pair with :math:`n_a` and :math:`n_b`
    tokens, the longer text is cut first:

    .. math::
        n_b' = \min(n_b, \max(m - n_a, \lfloor m / 2 \rfloor)), \quad n_a' = \min(n_a, m - n_b')

    Words are split as in BERT (see `split_words`) and each is cut into the longest pieces from the
    left; a word with an unknown character, or of more than 100 bytes, is [UNK]. The literal text
    ``"[SEP]"`` is a bracket, a word and a bracket, never the special token.

    Args:
        vocabulary: the tokens in the order of their ids, see `learn_vocabulary`.
        max_length: tokens of a row, special ones included; at least 3.
        lower_case: lower-case the texts and strip accents, as for the vocabulary.
        truncate: cut longer texts; otherwise `encode` refuses them.

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
        # The tokenizer keeps its model in a constant, which must not belong to a caller's graph.
        with tf.init_scope():
            settings = {"lower_case_nfd_strip_accents": self.lower_case, "token_out_type": tf.int32}
            self._tokenizer = tf_text.FastBertTokenizer(list(self.vocabulary), **settings)

    @property
    def vocabulary_size(self) -> int:
        return len(self.vocabulary)

    def __call__(self, texts: tf.Tensor, pairs: tf.Tensor | None = None) -> tf.Tensor:
        """Token ids by TensorFlow operations alone; longer texts are always cut.

        Strings (B,), and others or None → int32 (B, max_length).
        """
        first = self._tokenizer.tokenize(tf.convert_to_tensor(texts, tf.string))
        column = tf.ones([first.nrows(), 1], tf.int32)
        start, end = self.classification_id * column, self.separator_id * column
        if pairs is None:
            parts = [start, _head(first, self.max_length - 2), end]
        else:
            second = self._tokenizer.tokenize(tf.convert_to_tensor(pairs, tf.string))
            places = tf.constant(self.max_length - 3, tf.int64)
            n_first, n_second = first.row_lengths(), second.row_lengths()
            n_second = tf.minimum(n_second, tf.maximum(places - n_first, places // 2))
            n_first = tf.minimum(n_first, places - n_second)
            parts = [start, _head(first, n_first), end, _head(second, n_second), end]
        rows = tf.concat([tf.cast(part, tf.int32) for part in parts], axis=1)
        return rows.to_tensor(self.padding_id, shape=(None, self.max_length))

    def encode(
        self, texts: Texts, pairs: Texts | None = None, truncate: bool | None = None, start: int = 0
    ) -> np.ndarray:
        """Token ids of a list of texts: int32, (B, max_length); arguments and errors as `check`."""
        self.check(texts, pairs, truncate, start)
        ids = np.zeros((len(texts), self.max_length), np.int32)
        for rows, first, second in _chunks(texts, pairs):
            ids[rows] = self(first, second).numpy()
        return ids

    def lengths(self, texts: Texts, pairs: Texts | None = None) -> np.ndarray:
        """Tokens of each row before any cut, special ones included: int64, (B,)."""
        counts = np.zeros(len(texts), np.int64)
        for rows, first, second in _chunks(texts, pairs):
            counts[rows] = self._tokenizer.tokenize(first).row_lengths().numpy() + 2
            if second is not None:
                counts[rows] += self._tokenizer.tokenize(second).row_lengths().numpy() + 1
        return counts

    def check(
        self, texts: Texts, pairs: Texts | None = None, truncate: bool | None = None, start: int = 0
    ) -> None:
        """Refuses what cannot be classified as it stands.

        Args:
            texts, pairs: what `encode` would get.
            truncate: whether longer texts may be cut; by default as the preprocessor is set.
            start: texts that came before these, for the numbers in errors.

        Raises:
            BeexError: a text is not a string, empty, not valid Unicode, or, unless it may be cut,
                longer than `max_length` tokens; or `texts` and `pairs` differ in number.
        """
        _check_strings(texts, "Text", start)
        if pairs is not None:
            _check_strings(pairs, "Second text", start)
            if len(pairs) != len(texts):
                counts = f"{len(texts)} texts came with {len(pairs)} second texts"
                raise BeexError(f"{counts}; give one for each.")
        if self.truncate if truncate is None else truncate:
            return
        lengths = self.lengths(texts, pairs)
        for index in np.flatnonzero(lengths > self.max_length)[:1]:
            kind = "Text" if pairs is None else "Pair"
            raise too_long(f"{kind} {start + index + 1:,}", lengths[index], self.max_length)

    def get_config(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in ("max_length", "lower_case", "truncate")}
        return {"vocabulary": list(self.vocabulary), **options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TextPreprocessor":
        return cls(**config)


def too_long(name: str, tokens: int, most: int) -> BeexError:
    """The error that refuses a text."""
    reads = f"{tokens:,} tokens, the model reads {most:,}"
    return BeexError(f"{name} has {reads}: shorten it, or allow truncation.")


def _head(tokens: tf.RaggedTensor, lengths: tf.Tensor | int) -> tf.RaggedTensor:
    """The first `lengths` tokens of each row."""
    limits = tf.minimum(tokens.row_lengths(), tf.cast(lengths, tf.int64))
    places = tf.ragged.range(tokens.row_lengths())
    return tf.ragged.boolean_mask(tokens, places < tf.expand_dims(limits, 1))


def _chunks(
    texts: Texts, pairs: Texts | None
) -> Iterator[tuple[slice, tf.Tensor, tf.Tensor | None]]:
    """Rows and their texts as string tensors, so many at a time that memory stays small."""
    for start in range(0, len(texts), _CHUNK):
        rows = slice(start, start + _CHUNK)
        second = None if pairs is None else tf.constant(list(pairs[rows]), tf.string)
        yield rows, tf.constant(list(texts[rows]), tf.string), second


def _check_strings(texts: Texts, what: str, start: int) -> None:
    if isinstance(texts, str | bytes):
        raise BeexError("A list of texts is needed, but one string was given; put it in a list.")
    for number, text in enumerate(texts, start + 1):
        if not isinstance(text, str):
            raise BeexError(f"{what} {number:,} is a {type(text).__name__}; give it as a string.")
        if not text.strip():
            raise BeexError(f"{what} {number:,} is empty; remove it or fill it.")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            invalid = f"{what} {number:,} is not valid Unicode"
            raise BeexError(f"{invalid}; repair its encoding.") from None
