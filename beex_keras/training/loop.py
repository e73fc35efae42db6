"""The training loop: epochs that can be interrupted anywhere and continue to the same weights."""

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, read_text, write_atomically
from beex_keras.training.callbacks import OneEpoch, StepCheckpoint
from beex_keras.training.distribution import (
    as_one,
    from_chief,
    is_chief,
    scope,
    share_batches,
)

BEST_WEIGHTS_FILE = "best.weights.h5"
_HISTORY_FILE = "history.json"
_CHECKPOINTS = "checkpoints"


def fit(
    model: tf.keras.Model,
    make_epoch: Callable[[int, int], tf.data.Dataset],
    steps_per_epoch: int,
    epochs: int,
    directory: str | os.PathLike[str],
    *,
    monitor: str,
    slack: Callable[[float], float] | None = None,
    patience: int = 0,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    trackables: Mapping[str, Any] | None = None,
    checkpoint_seconds: float = 60.0,
    verbose: int | str = "auto",
) -> None:
    """Trains a compiled model to its last epoch, from the last checkpoint if there is one.

    The weights of the epoch that `kept_epoch` names go to `best.weights.h5`, the logs of all to
    `history.json`.

    Under the strategy of a model that was made in its scope, replicas share each batch (see
    `beex_keras.training.distribution`). Of a cluster's workers all read the checkpoints and the
    first one writes, measures and decides.

    Args:
        model: compiled; its weights are those of the last step in the end.
        make_epoch: (epoch, skip) → the batches of an epoch, from 0, without the first `skip`. The
            same arguments have to give the same batches.
        steps_per_epoch: batches of a whole epoch.
        epochs: at most this many.
        directory: of the run.
        monitor: the log by which epochs are compared; its highest value is best.
        slack: as in `kept_epoch`.
        patience: stop after this many epochs that are no better than the best; 0 never stops.
        callbacks: Keras callbacks; one that sets `stop_training` ends the training. Each epoch is a
            `fit` of its own. What they change within a step is part of that step's checkpoint.
        trackables: what a step changes beside model and optimizer, to be kept in the checkpoints,
            such as a variable that follows a schedule, by name.
        checkpoint_seconds: time between checkpoints within an epoch.
        verbose: of Keras' progress display; "auto" is a bar in a terminal, else a line an epoch.

    Raises:
        BeexError: the monitored log is no finite number, so that no epoch could be the best; or a
            worker of a cluster finds other checkpoints than the first one.
    """
    directory = Path(directory)
    strategy = model.distribute_strategy
    chief = is_chief(strategy)
    with scope(strategy):
        model.optimizer.build(model.trainable_variables)
    epoch, step = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
    best, best_epoch = tf.Variable(-math.inf, dtype=tf.float64), tf.Variable(-1, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(
        model=model, optimizer=model.optimizer,
        epoch=epoch, step=step, best=best, best_epoch=best_epoch, **(trackables or {}),
    )  # fmt: skip
    manager = tf.train.CheckpointManager(checkpoint, directory / _CHECKPOINTS, max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
    if [int(epoch), int(step)] != from_chief(strategy, [int(epoch), int(step)]).tolist():
        raise BeexError(
            f"The checkpoints in {directory} are not those of the first worker; give all workers "
            "one folder, on storage that they share."
        )

    # Every worker has the same state, so that saving needs nobody else, if only the variable that
    # counts it is there: within `fit` the others would be waited for to make one too.
    _ = checkpoint.save_counter
    save = manager.save if chief else lambda: None
    history = _read_history(directory, int(epoch))
    saver = StepCheckpoint(save, step, steps_per_epoch, checkpoint_seconds)
    one_epoch, stop = OneEpoch(), False
    if verbose == "auto":  # a moving bar for people, a line an epoch for files
        verbose = 1 if sys.stdout.isatty() else 2
    while int(epoch) < epochs and not stop:
        if patience and int(epoch) - int(best_epoch) > patience:
            break
        with as_one(strategy):
            logs = model.fit(
                share_batches(make_epoch(int(epoch), int(step)), strategy),
                steps_per_epoch=steps_per_epoch - int(step),
                epochs=epochs,
                initial_epoch=int(epoch),
                callbacks=[*callbacks, saver, one_epoch],
                verbose=verbose if chief else 0,
            ).history
        for name, values in logs.items():
            history.setdefault(name, []).append(float(values[-1]))
        # A callback may measure on the first worker alone, and stop there.
        own = [history[monitor][-1], one_epoch.asked_to_stop] if chief else [0.0, False]
        score, stop = from_chief(strategy, own).tolist()
        if not math.isfinite(score):
            raise BeexError(
                f"Epoch {int(epoch) + 1} ended with {monitor}={score}; start anew "
                "with a lower learning rate."
            )
        kept = _is_kept(score, float(best), slack)
        if score > float(best):
            best.assign(score)
            best_epoch.assign(epoch)
        if kept:
            # Keras writes the metrics too, which are sums over all workers, so that all have to save.
            with as_one(strategy), tempfile.TemporaryDirectory() as elsewhere:
                folder = directory if chief else Path(elsewhere)
                with atomic_path(folder / BEST_WEIGHTS_FILE) as path:
                    model.save_weights(path)
        if chief:
            write_atomically(directory / _HISTORY_FILE, json.dumps(history, indent=2) + "\n")
        epoch.assign_add(1)
        step.assign(0)
        save()


def kept_epoch(values: Sequence[float], slack: Callable[[float], float] | None = None) -> int:
    """Which epoch's weights `fit` keeps, from 0: the last one that was as good as any before it.

    Args:
        values: of the monitored log, one an epoch; the highest is best.
        slack: best value so far → by how much a later epoch may fall short of it, for values so
            noisy that a falling learning rate says more; a later epoch has to be better if None.
    """
    best = -math.inf
    kept = 0
    for epoch, value in enumerate(values):
        if _is_kept(value, best, slack):
            kept = epoch
        best = max(best, value)
    return kept


def _is_kept(value: float, best: float, slack: Callable[[float], float] | None) -> bool:
    if slack is None or math.isinf(best):
        return value > best
    return value >= best - slack(best)


def read_history(directory: str | os.PathLike[str]) -> dict[str, list[float]]:
    """The logs of each epoch that `fit` wrote to a run's folder, by name."""
    return json.loads(read_text(Path(directory) / _HISTORY_FILE, "history"))


def remove_checkpoints(directory: str | os.PathLike[str]) -> None:
    """Checkpoints carry the optimizer's state, three times the model; a finished run needs none."""
    shutil.rmtree(Path(directory) / _CHECKPOINTS, ignore_errors=True)
    (Path(directory) / BEST_WEIGHTS_FILE).unlink(missing_ok=True)


def _read_history(directory: Path, epochs: int) -> dict[str, list[float]]:
    """The logs of the first `epochs` epochs; later ones are about to be done again."""
    if not epochs or not (directory / _HISTORY_FILE).exists():
        return {}
    return {name: values[:epochs] for name, values in read_history(directory).items()}
