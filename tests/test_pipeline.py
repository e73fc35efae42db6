"""Batches: complete, repeatable, resumable and no wider than needed."""

import numpy as np
import pytest
import tensorflow as tf

from beex_keras import BeexError
from beex_keras.data import make_dataset, steps_per_epoch

WIDTH = 40
BOUNDARIES = [8, 12, 16, 24, 32, 40]


def rows(count=203, width=WIDTH, seed=0):
    """Ids whose label identifies the row, with lengths from 1 to `width`."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, width + 1, count)
    ids = rng.integers(1, 1000, (count, width)) * (np.arange(width) < lengths[:, None])
    return ids.astype(np.int32), np.arange(count, dtype=np.int32)


def batches(*args, **kwargs):
    return [(x.numpy(), y.numpy()) for x, y in make_dataset(*args, **kwargs)]


def assert_same(first, second):
    assert len(first) == len(second)
    for (x, y), (other_x, other_y) in zip(first, second, strict=True):
        assert np.array_equal(x, other_x)
        assert np.array_equal(y, other_y)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("batch_size", "width"), [(1, 40), (16, 700), (203, 40), (500, 40)])
def test_every_row_comes_once_and_whole(training, batch_size, width):
    ids, labels = rows(width=width)
    seen = batches(ids, labels, batch_size=batch_size, training=training)
    numbers = np.concatenate([y for _, y in seen])
    assert sorted(numbers.tolist()) == labels.tolist()
    for x, y in seen:
        assert 1 <= len(x) <= batch_size
        assert x.dtype == np.int32
        assert np.array_equal(x, ids[y, : x.shape[1]])
        assert not ids[y, x.shape[1] :].any()


@pytest.mark.parametrize("training", [True, False])
def test_batches_are_as_wide_as_the_bucket_of_their_longest_row(training):
    ids, labels = rows()
    for x, _ in batches(ids, labels, batch_size=16, training=training):
        longest = (x != 0).sum(axis=1).max()
        assert x.shape[1] == min(b for b in BOUNDARIES if b >= longest)


def test_buckets_keep_padding_small():
    ids, labels = rows(2000)
    bucketed = sum(x.size for x, _ in batches(ids, labels, batch_size=20, training=True))
    ordered = sum(x.size for x, _ in batches(ids, labels, batch_size=20))
    assert bucketed < 1.2 * (ids != 0).sum()
    assert ordered > 1.8 * (ids != 0).sum()


def test_evaluation_keeps_the_order():
    ids, labels = rows()
    seen = batches(ids, labels, batch_size=16)
    assert np.concatenate([y for _, y in seen]).tolist() == labels.tolist()


def test_batches_are_repeatable_and_differ_from_epoch_to_epoch():
    ids, labels = rows()
    options = {"batch_size": 16, "training": True, "epochs": 3}
    found = set()
    for seed in range(3):
        dataset = make_dataset(ids, labels, seed=seed, **options)
        first, again = (np.concatenate([y for _, y in dataset]) for _ in range(2))
        assert np.array_equal(first, again)
        epochs = first.reshape(3, len(ids))
        assert np.array_equal(np.sort(epochs), np.tile(labels, (3, 1)))
        found |= {tuple(epoch) for epoch in epochs}
    assert len(found) == 9


def test_batches_of_all_lengths_are_mixed():
    ids, labels = rows(2000)
    widths = [x.shape[1] for x, _ in batches(ids, labels, batch_size=20, training=True)]
    assert len(set(widths[:25])) >= 4
    assert widths != sorted(widths)


@pytest.mark.parametrize("training", [True, False])
def test_a_training_that_continues_gets_the_remaining_batches(training):
    """The number of finished steps may be known only when the first batch is read."""
    options = {"batch_size": 16, "training": training, "seed": 3, "epochs": 2}
    whole, done = batches(*rows(), **options), []
    dataset = make_dataset(*rows(), first_step=lambda: done[-1], **options)
    for count in (0, 1, 7, 13, 20, 26):  # of two epochs of 13 steps
        done.append(count)
        assert_same([(x.numpy(), y.numpy()) for x, y in dataset], whole[count:])


@pytest.mark.parametrize("count", [1, 15, 16, 17, 203])
@pytest.mark.parametrize("training", [True, False])
def test_the_number_of_batches_is_known(count, training):
    ids, labels = rows(count)
    found = batches(ids, labels, batch_size=16, training=training, epochs=2)
    assert len(found) == 2 * steps_per_epoch(ids, 16)


def test_shapes_are_declared_for_keras():
    spec = make_dataset(*rows(), batch_size=16, training=True).element_spec
    assert [s.shape.rank for s in spec] == [2, 1]
    assert [s.dtype for s in spec] == [tf.int32, tf.int32]


def test_zeros_inside_a_row_are_kept():
    ids = np.array([[5, 0, 7, 0], [0, 0, 0, 0]], np.int32)
    ((x, _),) = batches(ids, np.array([0, 1]), batch_size=2)
    assert np.array_equal(x, ids)


def test_no_rows_give_no_batches():
    ids, labels = np.zeros((0, 8), np.int32), np.zeros(0, np.int32)
    for training in (True, False):
        assert batches(ids, labels, batch_size=4, training=training) == []


def test_bad_arguments_are_explained():
    ids, labels = rows()
    with pytest.raises(BeexError, match="do not fit"):
        make_dataset(ids, labels[:-1], batch_size=4)
    with pytest.raises(BeexError, match="do not fit"):
        make_dataset(ids[0], labels, batch_size=4)
    with pytest.raises(BeexError, match="batch size is 0"):
        make_dataset(ids, labels, batch_size=0)
