"""The epochs of a training: resumed from checkpoints, ended early, and the best one kept."""

import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, check_room, write_atomically
from beex_keras.models.saving import room_for, save_weights
from beex_keras.training import distribution, run_folder
from beex_keras.training.recipe import RunOptions

BEST_WEIGHTS, CHECKPOINTS = "best.weights.h5", "checkpoints"
"""What `fit` leaves in a run folder beside the logs: a file and a folder."""


def fit(
    model: tf.keras.Model,
    make_epoch: Callable[[int, int], tf.data.Dataset],
    steps_per_epoch: int,
    epochs: int,
    directory: Path,
    *,
    monitor: str,
    slack: Callable[[float], float] | None = None,
    patience: int = 0,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    trackables: Mapping[str, Any] | None = None,
    checkpoint_seconds: float = RunOptions.checkpoint_seconds,
    verbose: int | str = "auto",
) -> None:
    """Trains a compiled model to its last epoch, from the last checkpoint if there is one.

    The weights of the epoch that `kept_epoch` names go to `best.weights.h5`, the logs of all to
    `history.json`. Under a strategy replicas share each batch (see
    `beex_keras.training.distribution`); of a cluster's workers all read the checkpoints and the first
    one writes, measures and decides.

    Args:
        model: compiled, in the scope of its strategy; it ends with the weights of the last step.
        make_epoch: (epoch, skip) → the batches of an epoch, from 0, without the first `skip`. The
            same arguments have to give the same batches.
        steps_per_epoch, epochs: batches of a whole epoch, and how many epochs at most.
        directory, patience, checkpoint_seconds, verbose: of the training.
        monitor: the log by which epochs are compared; its highest value is best.
        slack: as in `kept_epoch`.
        callbacks: Keras callbacks. What they change within a step is part of that step's checkpoint.
        trackables: what a step changes beside model and optimizer, to be kept in the checkpoints.

    Raises:
        BeexError: the loss or the monitored log is no finite number, so that no epoch could be the best; the disk
            is full; or a worker of a cluster finds other checkpoints than the first one.
    """
    strategy = model.distribute_strategy
    chief = distribution.is_chief(strategy)
    with distribution.scope(strategy):
        model.optimizer.build(model.trainable_variables)
    epoch, step = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
    state = {"model": model, "optimizer": model.optimizer, "epoch": epoch, "step": step}
    checkpoint = tf.train.Checkpoint(**state, **(trackables or {}))
    manager = tf.train.CheckpointManager(checkpoint, directory / CHECKPOINTS, max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
    place = [int(epoch), int(step)]
    if distribution.from_chief(strategy, place).tolist() != place:
        fix = "give all workers one folder, on storage that they share"
        raise BeexError(f"The checkpoints in {directory} are not the first worker's; {fix}.")

    # Every worker has the same state, so that saving needs nobody else, if only the variable that
    # counts it is there: within `fit` the others would be waited for to make one too.
    _ = checkpoint.save_counter
    save = partial(_save, manager, model) if chief else lambda: None
    history = run_folder.read_history(directory, int(epoch))
    saver = _StepCheckpoint(save, step, steps_per_epoch, checkpoint_seconds)
    one_epoch, stop = _OneEpoch(), False
    shown = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else verbose
    while int(epoch) < epochs and not stop:
        if patience and int(epoch) - kept_epoch(history.get(monitor, ())) > patience:
            break
        with distribution.as_one(strategy):
            logs = model.fit(
                distribution.share_batches(make_epoch(int(epoch), int(step)), strategy),
                steps_per_epoch=steps_per_epoch - int(step),
                epochs=epochs,
                initial_epoch=int(epoch),
                callbacks=[*callbacks, saver, one_epoch],
                verbose=shown if chief else 0,
            ).history
        for name, values in logs.items():
            history.setdefault(name, []).append(float(values[-1]))
        # A callback may measure on the first worker alone, and stop there.
        own = [history[monitor][-1], history["loss"][-1], one_epoch.asked_to_stop]
        score, loss, stop = distribution.from_chief(strategy, own if chief else [0.0] * 3).tolist()
        # The accuracy of logits that are no numbers is one.
        for name, value in ((monitor, score), ("loss", loss)):
            if not math.isfinite(value):
                ended = f"Epoch {int(epoch) + 1} ended with {name}={value}"
                raise BeexError(f"{ended}; start anew with a lower learning rate.")
        history[monitor][-1] = score
        if kept_epoch(history[monitor], slack) == int(epoch):
            # Keras writes the metrics too, which are sums over all workers: all have to save.
            with distribution.as_one(strategy), tempfile.TemporaryDirectory() as elsewhere:
                folder = directory if chief else Path(elsewhere)
                with atomic_path(folder / BEST_WEIGHTS) as path:
                    save_weights(model, path)
        if chief:
            write_atomically(directory / run_folder.HISTORY, json.dumps(history, indent=2) + "\n")
        epoch.assign_add(1)
        step.assign(0)
        saver.save_if_due()


def remove_weights(directory: Path) -> None:
    """Removes the weights that `fit` has left; its history stays."""
    shutil.rmtree(directory / CHECKPOINTS, ignore_errors=True)
    (directory / BEST_WEIGHTS).unlink(missing_ok=True)


def kept_epoch(values: Sequence[float], slack: Callable[[float], float] | None = None) -> int:
    """Which epoch's weights `fit` keeps, from 0: the best one, or a later one that is nearly as good.

    Args:
        values: of the monitored log, one an epoch; the highest is best.
        slack: best value so far → by how much a later epoch may fall short of it, for values so
            noisy that a falling learning rate says more; a later epoch has to be better if None.
    """
    kept, best = 0, -math.inf
    for epoch, value in enumerate(values):
        if value > best or (slack is not None and value >= best - slack(best)):
            kept = epoch
        best = max(best, value)
    return kept


def _save(manager: tf.train.CheckpointManager, model: tf.keras.Model) -> None:
    variables = [*model.weights, *model.optimizer.variables]
    check_room(manager.directory, room_for(variables))
    manager.save()


class _OneEpoch(tf.keras.callbacks.Callback):
    """Ends `fit` after one epoch, so that the next can have its own shuffle; the last callback.

    Whether a callback before it had asked to end the training is in `asked_to_stop`.
    """

    asked_to_stop = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.asked_to_stop = self.model.stop_training
        self.model.stop_training = True


class _StepCheckpoint(tf.keras.callbacks.Callback):
    """Saves a checkpoint whenever `seconds` have passed, counting the epoch's finished steps.

    What is saved does not depend on when: a training that resumes from any checkpoint does the
    steps that were left and ends with the same weights.
    """

    def __init__(
        self, save: Callable[[], Any], step: tf.Variable, steps: int, seconds: float
    ) -> None:
        super().__init__()
        self.save, self.step, self.steps, self.seconds = save, step, steps, seconds
        self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step.assign_add(1)
        # Not after the last step: an epoch without any step left could not be resumed.
        if int(self.step) != self.steps:
            self.save_if_due()

    def save_if_due(self) -> None:
        """Not after each epoch: those of few texts take less time than the checkpoint."""
        if time.monotonic() - self._last >= self.seconds:
            self.save()
            self._last = time.monotonic()
