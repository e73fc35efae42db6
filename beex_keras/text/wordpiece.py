"""WordPiece in TensorFlow, within graphs too."""

from collections.abc import Sequence

from beex_keras.backend import tf, tf_text


class WordPiece:
    """What `TextPreprocessor` computes; it says what."""

    def __init__(
        self,
        vocabulary: Sequence[str],
        lower_case: bool,
        max_length: int,
        padding_id: int,
        classification_id: int,
        separator_id: int,
    ) -> None:
        self._max_length, self._padding_id = max_length, padding_id
        self._classification_id, self._separator_id = classification_id, separator_id
        # The tokenizer keeps its model in a constant, which must not belong to a caller's graph.
        with tf.init_scope():
            settings = {"lower_case_nfd_strip_accents": lower_case, "token_out_type": tf.int32}
            self._tokenizer = tf_text.FastBertTokenizer(list(vocabulary), **settings)

    def ids(self, texts: tf.Tensor, pairs: tf.Tensor | None) -> tf.Tensor:
        """Strings (B,), and others or None → int32 (B, max_length)."""
        first = self._tokens(texts)
        column = tf.ones([first.nrows(), 1], tf.int32)
        start, end = self._classification_id * column, self._separator_id * column
        if pairs is None:
            parts = [start, _head(first, self._max_length - 2), end]
        else:
            second = self._tokens(pairs)
            places = tf.constant(self._max_length - 3, tf.int64)
            n_first, n_second = first.row_lengths(), second.row_lengths()
            n_second = tf.minimum(n_second, tf.maximum(places - n_first, places // 2))
            n_first = tf.minimum(n_first, places - n_second)
            parts = [start, _head(first, n_first), end, _head(second, n_second), end]
        rows = tf.concat([tf.cast(part, tf.int32) for part in parts], axis=1)
        return rows.to_tensor(self._padding_id, shape=(None, self._max_length))

    def lengths(self, texts: tf.Tensor, pairs: tf.Tensor | None) -> tf.Tensor:
        """Tokens of each row before any cut, special ones included: int64, (B,)."""
        counts = self._tokens(texts).row_lengths() + 2
        return counts if pairs is None else counts + self._tokens(pairs).row_lengths() + 1

    def _tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return self._tokenizer.tokenize(tf.convert_to_tensor(texts, tf.string))


def _head(tokens: tf.RaggedTensor, lengths: tf.Tensor | int) -> tf.RaggedTensor:
    """The first `lengths` tokens of each row."""
    limits = tf.minimum(tokens.row_lengths(), tf.cast(lengths, tf.int64))
    places = tf.ragged.range(tokens.row_lengths())
    return tf.ragged.boolean_mask(tokens, places < tf.expand_dims(limits, 1))
