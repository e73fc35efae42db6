"""The few operations of the exit rules on tensors, in graphs too; `beex_keras.numpy_ops` is its twin."""

from typing import Any

from beex_keras.backend import tf

convert, where, stack = tf.convert_to_tensor, tf.where, tf.stack
abs, exp, log = tf.abs, tf.exp, tf.math.log
log_softmax, softmax = tf.nn.log_softmax, tf.nn.softmax


def sum_last(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, axis=-1)


def max_last(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(values, axis=-1)


def argmax_last(values: tf.Tensor) -> tf.Tensor:
    return tf.argmax(values, axis=-1, output_type=tf.int32)


def fill(like: tf.Tensor, value: Any) -> tf.Tensor:
    """The value for each row of `like`."""
    return tf.fill(tf.shape(like)[:1], value)


def cast(value: Any, like: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, like.dtype)


def first_or_last(stops: tf.Tensor) -> tf.Tensor:
    """The column of the first true value of each row, or the last column: bool (B, N) → (B,)."""
    last = tf.one_hot(stops.shape[1] - 1, stops.shape[1], dtype=tf.int32)
    return argmax_last(tf.maximum(tf.cast(stops, tf.int32), last))
