"""Batches of token ids, from arrays in memory or in files that are larger than memory."""

from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError

_BOUNDARIES = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Lengths to which batches are trimmed."""

_CHUNK = 65536
"""Rows of a file that are read at once."""


def make_dataset(
    ids: np.ndarray,
    targets: np.ndarray | Mapping[str, np.ndarray],
    batch_size: int,
    training: bool = False,
    seed: int = 0,
    epochs: int = 1,
    first_step: Callable[[], int] = lambda: 0,
) -> tf.data.Dataset:
    """Batches of some epochs; the same arguments give the same batches.

    A batch is trimmed to the length bucket (8, 12, 16, 24, 32, ...) of its longest row. For
    training the rows of each epoch are shuffled, sorted by bucket and cut into batches, which are shuffled again;
    otherwise they keep their order.

    Args:
        ids: token ids (n, L), padded with 0 at the end; a `np.memmap` stays in its file.
        targets: labels (n,), or arrays of n rows by their names.
        batch_size: rows of a batch; the last one of an epoch may have fewer.
        training: shuffle and bucket.
        seed: seed of the shuffle; each epoch has its own.
        epochs: number of epochs.
        first_step: returns the number of batches to leave out at the start; it is called when the first batch is
            read, so a callback that restores a checkpoint can decide it.

    Returns:
        `epochs` · `steps_per_epoch` batches of ids int32 (b, l) and targets: int32 or float32 (b, ...).

    Raises:
        BeexError: ids and targets do not fit together, or the batch size is not positive.

    Example:
        >>> ids = np.array([[2, 7, 3, 0], [2, 8, 3, 0], [2, 9, 9, 3]], np.int32)
        >>> batches = beex.data.make_dataset(ids, np.array([0, 1, 0], np.int32), batch_size=2)
        >>> [labels.numpy().tolist() for _, labels in batches]
        [[0, 1], [0]]
    """
    arrays = dict(targets) if isinstance(targets, Mapping) else {"": np.asarray(targets)}
    for array in arrays.values():
        if len(ids.shape) != 2 or array.shape[:1] != ids.shape[:1]:
            shapes = f"Ids of shape {ids.shape} and targets of shape {array.shape}"
            raise BeexError(f"{shapes} do not fit; give (n, length) and (n,).")
    steps, widths = steps_per_epoch(ids, batch_size), _bucket_widths(ids)
    types = {name: tf.float32 if a.dtype.kind == "f" else tf.int32 for name, a in arrays.items()}

    def batches() -> Iterator[Any]:
        done = first_step()
        for epoch in range(done // steps if steps else epochs, epochs):
            order, numbers = np.arange(len(ids)), np.arange(steps)
            if training:
                random = np.random.default_rng([seed, epoch])
                order = random.permutation(len(ids))
                order = order[np.argsort(widths[order], kind="stable")]
                numbers = random.permutation(steps)
            for number in numbers[max(done - epoch * steps, 0) :]:
                rows = order[number * batch_size : (number + 1) * batch_size]
                columns = {n: a[rows].astype(types[n].as_numpy_dtype) for n, a in arrays.items()}
                yield ids[rows, : widths[rows].max()].astype(np.int32), columns.get("", columns)

    spec = {
        name: tf.TensorSpec((None, *array.shape[1:]), types[name]) for name, array in arrays.items()
    }
    signature = (tf.TensorSpec((None, None), tf.int32), spec.get("", spec))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    options = tf.data.Options()
    # The workers of a cluster share each batch; there are no files to share.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


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


def _bucket_widths(ids: np.ndarray) -> np.ndarray:
    """Boundary of each row's length bucket, at most L: int16, (n,)."""
    if len(ids) > _CHUNK:
        parts = [ids[first : first + _CHUNK] for first in range(0, len(ids), _CHUNK)]
        return np.concatenate([_bucket_widths(part) for part in parts])
    length = ids.shape[1]
    lengths = length - np.argmax(ids[:, ::-1] != 0, axis=1)
    lengths[~ids.any(axis=1)] = 1
    boundaries = np.array([*(b for b in _BOUNDARIES if b < length), length])
    return boundaries[np.searchsorted(boundaries, lengths)].astype(np.int16)
