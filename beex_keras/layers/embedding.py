"""From token ids to the first block's input."""

from typing import Any

from beex_keras import quantizers
from beex_keras.backend import lq, tf
from beex_keras.layers.base import BaseLayer, build_sublayer
from beex_keras.layers.binarization import LATENT_LIMIT, Binarizer, latent_initializer, latent_mean
from beex_keras.layers.dropout import Dropout, TokenDropout
from beex_keras.layers.fixed_point import POSITION_BITS, optimization_barrier, round_to_fixed_point
from beex_keras.layers.normalization import LayerNorm
from beex_keras.precision import WEIGHTS_ONLY, Precision

_REAL_DEVIATION = 0.05
_INITIALIZER = tf.keras.initializers.RandomNormal


@tf.keras.utils.register_keras_serializable("beex_keras")
class PaddingMask(tf.keras.layers.Layer):
    """Token ids (B, T) → bool (B, T), true where a token is real, false where it is padding, id 0.

    Example:
        >>> beex.layers.PaddingMask()(tf.constant([[2, 7, 3, 0]])).numpy()
        array([[ True,  True,  True, False]])
    """

    def call(self, token_ids: tf.Tensor) -> tf.Tensor:
        return tf.not_equal(token_ids, 0)


@tf.keras.utils.register_keras_serializable("beex_keras")
class BinaryTokenEmbedding(BaseLayer):
    r"""Row \(t\) of \(\operatorname{sign}(E) \odot s\), with one learned real scale per column.

    With ``precision.embedding`` of 32 bits it is row \(t\) of the float32 \(E\).

    Shapes: int32 (B, T) → (B, T, `width`). Weights: `vocabulary_size`·`width` latent and, if
    binary, `width` scales.

    Source: our reading; the paper does not say whether its embedding is binarized.

    Example:
        >>> layer = beex.layers.BinaryTokenEmbedding(vocabulary_size=10, width=4)
        >>> layer(tf.constant([[2, 7, 3]])).shape.as_list()
        [1, 3, 4]
    """

    def __init__(
        self, vocabulary_size: int, width: int, precision: Precision = WEIGHTS_ONLY, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.width = width
        self.precision = precision
        unit, binary = latent_mean(precision.embedding_latent_scale), precision.embedding == 1
        self.table_quantizer = Binarizer(precision.quantizer, unit) if binary else None

    def build(self, input_shape: tf.TensorShape) -> None:
        binary, constraint = self.table_quantizer is not None, None
        initializer = _INITIALIZER(0, _REAL_DEVIATION)
        if binary:
            initializer = latent_initializer(self.precision.embedding_latent_scale)
            constraint = lq.constraints.WeightClip(LATENT_LIMIT)
        shape = self.vocabulary_size, self.width
        self.table = self.add_weight("table", shape, None, initializer, constraint=constraint)
        if binary:
            constant = tf.keras.initializers.Constant(_REAL_DEVIATION)
            self.scale = self.add_weight("scale", (self.width,), initializer=constant)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([*input_shape, self.width])

    def call(self, token_ids: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if self.table_quantizer is None:
            return tf.gather(self.table, token_ids)
        if training and self.precision.quantizer in quantizers.ELEMENTWISE:
            # A batch has few of the table's rows: the same values and gradients, sooner.
            rows = tf.gather(_dense_gradient(tf.convert_to_tensor(self.table)), token_ids)
            return self.table_quantizer(rows) * self.scale
        # The sign comes before the look-up so that the exported table is a constant of ±1.
        return tf.gather(_dense_gradient(self.table_quantizer(self.table)), token_ids) * self.scale


@tf.custom_gradient
def _dense_gradient(table: tf.Tensor) -> tf.Tensor:
    """The table, whose gradient comes as a tensor: not every quantizer takes a look-up's slices."""
    return tf.identity(table), tf.convert_to_tensor


@tf.keras.utils.register_keras_serializable("beex_keras")
class Embedding(BaseLayer):
    r"""\(\operatorname{Drop}(\operatorname{LN}(\mathrm{token} + \mathrm{position} + \mathrm{segment}))\).

    The segment of a token is 0 up to and including the first separator and 1 after it, so ids are
    the model's only input, for sentence pairs too. Rows at padding are defined but meaningless, and a later layer
    must mask them.

    Token dropout zeroes the vectors of some tokens in training and leaves their positions. It keeps a model that
    learns its embedding from a small corpus from relying on single words (our reading). With activations of 1 or
    8 bits the outputs are fixed-point numbers, as the blocks need them.

    Shapes: int32 (B, T) → (B, T, `width`), T ≤ `max_length`. Weights: those of
    `BinaryTokenEmbedding`, `max_length`·`width`, `num_segments`·`width` if `num_segments` > 1, and
    2·`width` of the normalization.

    Args:
        vocabulary_size: rows of the token table.
        width: channels of a token.
        max_length: the most tokens of a text.
        num_segments: 1, or 2 for pairs of texts.
        separator_id: id of the token behind which the second segment starts.
        precision: bits of the token table.
        dropout: dropout rate of the outputs, in [0, 1).
        token_dropout: share of the tokens that training hides, in [0, 1).

    Example:
        >>> layer = beex.layers.Embedding(vocabulary_size=10, width=4, max_length=8)
        >>> layer(tf.constant([[2, 7, 3]])).shape.as_list()
        [1, 3, 4]
    """

    def __init__(
        self,
        vocabulary_size: int,
        width: int,
        max_length: int,
        num_segments: int = 1,
        separator_id: int = 3,
        precision: Precision = WEIGHTS_ONLY,
        dropout: float = 0.1,
        token_dropout: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.width = width
        self.max_length = max_length
        self.num_segments = num_segments
        self.separator_id = separator_id
        self.precision = precision
        self.token = BinaryTokenEmbedding(vocabulary_size, width, precision, name="token")
        # More bits than between blocks: the sums here are a twentieth of theirs.
        square_bits = 0 if precision.activations == 8 else 18
        self.normalization = LayerNorm(precision.bit_exact, 16, square_bits, name="normalization")
        self.dropout = Dropout(dropout, name="dropout")
        self.token_dropout = TokenDropout(token_dropout, name="token_dropout")

    def build(self, input_shape: tf.TensorShape) -> None:
        self.position = self._add_table("position", self.max_length)
        if self.num_segments > 1:
            self.segment = self._add_table("segment", self.num_segments)
        build_sublayer(self.token, *input_shape)
        for layer in (self.token_dropout, self.normalization, self.dropout):
            build_sublayer(layer, *self.compute_output_shape(input_shape))
        super().build(input_shape)

    def _add_table(self, name: str, rows: int) -> tf.Variable:
        return self.add_weight(name, (rows, self.width), initializer=_INITIALIZER(0, 0.02))

    def get_config(self) -> dict[str, Any]:
        rates = {"dropout": self.dropout.rate, "token_dropout": self.token_dropout.rate}
        return {**super().get_config(), **rates}

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape([*input_shape, self.width])

    @property
    def positions(self) -> tf.Tensor:
        r"""The table of positions as the layer uses it, multiples of \(2^{-16}\): (T, D)."""
        return round_to_fixed_point(self.position, POSITION_BITS)

    def call(self, token_ids: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        length = token_ids.shape[1] or tf.shape(token_ids)[1]
        tokens = self.token_dropout(self.token(token_ids, training=training), training=training)
        x = tokens + self.positions[:length]
        if self.num_segments > 1:
            # Counted in float32: microcontrollers have no sum of integers.
            separators = tf.cast(tf.equal(token_ids, self.separator_id), tf.float32)
            after = tf.minimum(tf.cumsum(separators, axis=1, exclusive=True), self.num_segments - 1)
            x = optimization_barrier(x) + tf.gather(self.segment, tf.cast(after, tf.int32))
        return self.dropout(self.normalization(x), training=training)
