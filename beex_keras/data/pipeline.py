"""Batches of token ids for training and evaluation."""

from collections.abc import Callable, Sized

import numpy as np

from beex_keras.backend import tf
from beex_keras.data.row_file import RowFile
from beex_keras.errors import BeexError

_BOUNDARIES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


def make_dataset(
    ids: np.ndarray | RowFile,
    labels: np.ndarray,
    answers: np.ndarray | RowFile | None = None,
    *,
    batch_size: int,
    training: bool = False,
    seed: int = 0,
    epoch: int = 0,
    skip: int = 0,
) -> tf.data.Dataset:
    """One epoch of batches; the same arguments give the same batches.

    A batch is trimmed to the length bucket (8, 12, 16, 24, 32, ...) of its longest row. For
    training the rows are shuffled, brought together by bucket and cut into batches, which are
    shuffled again; otherwise they keep their order. All of that is planned before the first batch,
    so the number of batches is known and `skip` costs nothing.

    Args:
        ids: int32, (n, L), padded with 0 at the end; of a file a batch is in memory at a time.
        labels: int32, (n,); or standardized targets, float32.
        answers: what a teacher says of each row, float32 (n, C); nothing if None.
        batch_size: rows of a batch; one batch may have fewer.
        training: shuffle and bucket.
        seed, epoch: together they fix the shuffle.
        skip: batches to leave out at the start, to resume an epoch.

    Returns:
        `steps_per_epoch` - `skip` batches of ids int32, (b, l), labels, (b,), and answers (b, C) if
        there are any.

    Raises:
        BeexError: ids and labels do not fit together, or the batch size is not positive.

    Example:
        >>> ids = np.array([[2, 7, 3, 0], [2, 8, 3, 0], [2, 9, 9, 3]], np.int32)
        >>> batches = beex.data.make_dataset(ids, np.array([0, 1, 0], np.int32), batch_size=2)
        >>> [labels.numpy().tolist() for _, labels in batches]
        [[0, 1], [0]]
    """
    labels = np.asarray(labels)
    labels = labels.astype(np.float32 if labels.dtype.kind == "f" else np.int32)
    if not isinstance(ids, RowFile):
        ids = np.asarray(ids, np.int32)
    if len(ids.shape) != 2 or labels.shape != ids.shape[:1]:
        shapes = f"Ids of shape {ids.shape} and labels of shape {labels.shape}"
        raise BeexError(f"{shapes} do not fit; give (n, length) and (n,).")
    widths = _bucket_widths(ids)
    steps = steps_per_epoch(ids, batch_size)
    order, batches = np.arange(len(ids)), np.arange(steps)
    if training:
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(ids))
        order = order[np.argsort(widths[order], kind="stable")]
        batches = random.permutation(steps)
    starts = np.arange(steps) * batch_size
    batch_widths = np.maximum.reduceat(widths[order], starts) if steps else starts

    columns = [_rows_of(ids), _rows_of(labels)]
    columns += [] if answers is None else [_rows_of(answers)]
    order, batch_widths = tf.constant(order, tf.int64), tf.constant(batch_widths, tf.int64)

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows = order[number * batch_size : (number + 1) * batch_size]
        some, *others = (column(rows) for column in columns)
        return some[:, : batch_widths[number]], *others

    dataset = tf.data.Dataset.from_tensor_slices(batches[skip:].astype(np.int64))
    dataset = dataset.map(batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _rows_of(source: np.ndarray | RowFile) -> Callable[[tf.Tensor], tf.Tensor]:
    """What gives the rows of some numbers."""
    if isinstance(source, RowFile):
        dtype, width = tf.as_dtype(source.result), source.shape[1]

        def read(rows: tf.Tensor) -> tf.Tensor:
            found = tf.numpy_function(source.read, [rows], dtype, stateful=False)
            return tf.ensure_shape(found, (None, width))

        return read
    # An array becomes a tensor once, which all batches share: this is the cache.
    whole = tf.constant(source)
    return lambda rows: tf.gather(whole, rows)


def steps_per_epoch(ids: Sized, batch_size: int) -> int:
    """Batches in an epoch of `make_dataset`.

    Raises:
        BeexError: the batch size is not positive.

    Example:
        >>> beex.data.steps_per_epoch(np.zeros((5, 8), np.int32), batch_size=2)
        3
    """
    if batch_size < 1:
        raise BeexError(f"The batch size is {batch_size}; give at least 1.")
    return -(-len(ids) // batch_size)


def _bucket_widths(ids: np.ndarray | RowFile) -> np.ndarray:
    """Boundary of each row's length bucket, at most L: int16, (n,)."""
    if isinstance(ids, RowFile):
        return np.concatenate([_bucket_widths(part) for part in ids.parts()])
    length = ids.shape[1]
    lengths = length - np.argmax(ids[:, ::-1] != 0, axis=1)
    lengths[~ids.any(axis=1)] = 1
    boundaries = np.array([*(b for b in _BOUNDARIES if b < length), length])
    return boundaries[np.searchsorted(boundaries, lengths)].astype(np.int16)
