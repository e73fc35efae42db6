r"""Training on several devices or machines, with the result of one.

A step's batch is the same as without a strategy; each replica computes a share of it. The loss of a
step stays the mean over the whole batch, and the optimizer sees the sum of all replicas' gradients
before it clips them, so that all that follows, clipping, decay, and latent weights' bounds, is as in
one process.
"""

import functools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.training.cluster import meet, read_cluster
from beex_keras.training.recipe import RunOptions

STRATEGIES = ("none", "mirrored", "multiworker")

_LATE = (tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError)
_LOST = (tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.UnavailableError, *_LATE)
_LOST_SENTENCE = (
    "A worker of the cluster has ended or can no longer be reached; start the same command on all "
    "workers again, which continues from the last checkpoint."
)


def make_strategy(
    name: str,
    wait_seconds: float = RunOptions.wait_seconds,
    report: Callable[[str], None] = lambda sentence: None,
) -> tf.distribute.Strategy:
    """The strategy of that name; one of several workers has to be made before TensorFlow computes.

    - "none": one device.
    - "mirrored": all GPUs of this machine, or if it has none its logical CPUs.
    - "multiworker": the workers that TF_CONFIG lists, with all GPUs of each; waits until all of
      them are there.

    Args:
        name: one of `STRATEGIES`.
        wait_seconds: that the workers have to find each other.
        report: told in a sentence whom this worker is waiting for.

    Raises:
        BeexError: an unknown name, a TF_CONFIG that is missing or wrong, or a worker that cannot be
            reached in time.

    Example:
        >>> beex.training.make_strategy("none").num_replicas_in_sync
        1
    """
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return _mirrored()
    if name != "multiworker":
        raise BeexError(f"Unknown strategy '{name}'; choose one of {', '.join(STRATEGIES)}.")
    meet(read_cluster(), wait_seconds, report)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        fix = "make the strategy before TensorFlow computes anything"
        raise BeexError(f"The cluster cannot be joined any more ({error}); {fix}.") from error
    except _LOST as error:
        raise BeexError(_LOST_SENTENCE) from error
    if threading.current_thread() is threading.main_thread():
        # TensorFlow has taken the signal for itself, and would not end on it.
        signal.signal(signal.SIGTERM, handler)
    return strategy


@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    # Two strategies of a process would give their collective operations the same keys, and mix them up.
    return tf.distribute.MirroredStrategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that decides and writes: the only one, or the first worker."""
    if not _is_cluster(strategy):
        return True
    resolver = strategy.cluster_resolver
    has_chief = "chief" in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" or (not has_chief and resolver.task_id == 0)


def share_rows(
    batch: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor, replicas: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    r"""The share of the replica `number` of (inputs, labels), (b, ...) and (b,).

    Of the \(b\) rows each of \(R\) replicas takes \(s = \lceil b / R \rceil\), in order. Copies of
    the last row fill up with weight 0 where rows run out, so that all replicas draw equally many random
    numbers. Keras averages over a replica's rows and then over replicas; a weight of
    \(sR / b\) on each row makes it the mean over the batch's \(b\) rows.
    """
    size = tf.shape(batch[0], out_type=tf.int64)[0]
    share = -(-size // replicas)
    rows = number * share + tf.range(share)
    inputs, labels = (tf.gather(part, tf.minimum(rows, size - 1)) for part in batch)
    factor = tf.cast(share * replicas, tf.float32) / tf.cast(size, tf.float32)
    return inputs, labels, tf.where(rows < size, factor, 0.0)


def share_batches(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """Each replica's share of each batch, for `fit`; without an end if there are replicas."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return dataset

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        first = local * context.input_pipeline_id

        def shares(*batch: tf.Tensor) -> tf.data.Dataset:
            numbers = tf.data.Dataset.range(first, first + local)
            return numbers.map(lambda number: share_rows(batch, number, replicas))

        # Without an end, since workers would ask each other before each step whether it has come.
        return dataset.flat_map(shares).repeat().prefetch(tf.data.AUTOTUNE)

    return strategy.distribute_datasets_from_function(of_worker)


def local_copy(model: tf.keras.Model) -> tf.keras.Model:
    """The model itself, or if its strategy has replicas, a copy that this process computes alone."""
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1 and not _is_cluster(strategy):
        return model
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def from_chief(strategy: tf.distribute.Strategy, values: Sequence[float]) -> np.ndarray:
    """The chief's `values`, on every worker: float64, of like length; waits for the chief."""
    vector = np.asarray(values, np.float64)
    if not _is_cluster(strategy):
        return vector

    @tf.function
    def total(own: tf.Tensor) -> tf.Tensor:
        def term() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return tf.where(context.replica_id_in_sync_group == 0, own, tf.zeros_like(own))

        return strategy.reduce("SUM", strategy.run(term), axis=None)

    with as_one(strategy):
        return total(tf.constant(vector)).numpy()


@contextmanager
def chief_first(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """A block that the chief runs before the others."""
    chief = is_chief(strategy)
    if not chief:
        wait_for_all(strategy)
    yield
    if chief:
        wait_for_all(strategy)


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have come to this point."""
    from_chief(strategy, [0.0])


@contextmanager
def scope(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """The strategy's scope, in which models, optimizers and metrics are made; errors as `as_one`."""
    with as_one(strategy), strategy.scope():
        yield


@contextmanager
def as_one(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """A block in which the workers of a cluster need each other.

    Raises:
        BeexError: one of them has ended. TensorFlow finds out at once if a process is gone, and
            after some ten seconds without a sign of life if a machine or the network is.
    """
    try:
        yield
    except _LOST as error:
        if not _is_cluster(strategy):
            raise
        raise BeexError(_LOST_SENTENCE) from error


def _is_cluster(strategy: tf.distribute.Strategy) -> bool:
    resolver = strategy.cluster_resolver
    return resolver is not None and bool(resolver.cluster_spec().jobs)
