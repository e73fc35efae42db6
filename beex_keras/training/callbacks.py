"""Keras callbacks: annealing, the exits' calibration, the best weights, and checkpoints to resume from."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.evaluation.calibration import Calibration, calibrate
from beex_keras.evaluation.scores import OF_NUMBERS, answers, score
from beex_keras.exits import ExitPolicy
from beex_keras.files import atomic_path, check_room, write_atomically
from beex_keras.layers.binarization import Binarizer
from beex_keras.models.saving import load_weights, room_for, save_weights
from beex_keras.runtime.model_runner import exit_logits
from beex_keras.tasks import TargetScaler
from beex_keras.training import run_folder

MONITOR = "val_calibrated_accuracy"
"""The log by which epochs are compared."""


class CalibrateExits(tf.keras.callbacks.Callback):
    """Calibrates an exit policy on validation data after each epoch, and logs the accuracy that it reaches.

    It adds `val_exit_1`…, `val_calibrated_accuracy` and `val_calibrated_depth` to the epoch's logs, so that
    later callbacks in the list can use them: ``EarlyStopping("val_calibrated_accuracy", mode="max")``,
    ``TensorBoard(...)``. For a regression, `calibrate`'s metric takes the place of accuracy, and
    `val_pearson`, `val_spearman` and `val_mean_absolute_error` are those of the exits that the policy
    chooses.

    Args:
        ids: validation inputs, int32 (B, T).
        labels: class numbers (B,), or targets.
        policy: the policy to calibrate.
        tolerance, costs, margin, metric, value_scale: as in `calibrate`.

    Attributes:
        calibration: the latest calibration.

    Example:
        >>> ids, labels = np.array([[2, 7, 3]], np.int32), np.array([1])
        >>> calibrated = beex.training.CalibrateExits(ids, labels, beex.Confidence())
        >>> model = beex.BEExformerClassifier(beex.BEExformerConfig.preset("micro", num_blocks=2))
        >>> model.compile()
        >>> _ = model.fit(ids, labels, callbacks=[calibrated], verbose=0)
        >>> calibrated.calibration.num_samples
        1
    """

    def __init__(
        self,
        ids: np.ndarray,
        labels: np.ndarray,
        policy: ExitPolicy,
        tolerance: float = 0.0,
        costs: np.ndarray | None = None,
        margin: float = 0.0,
        metric: str = "accuracy",
        value_scale: TargetScaler | None = None,
    ) -> None:
        super().__init__()
        self.ids, self.labels, self.policy = ids, labels, policy
        self.options = (costs, tolerance, margin, metric, value_scale)
        self.metric, self.value_scale = metric, value_scale
        self.calibration: Calibration | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logits = exit_logits(_classifier(self.model), self.ids)
        self.calibration = calibrate(self.policy, logits, self.labels, *self.options)
        answered, taken = answers(logits, self.value_scale), self.calibration.policy.choose(logits)
        further = OF_NUMBERS if self.metric in OF_NUMBERS else ()
        metric = self.metric if further else "accuracy"
        values = {
            f"val_exit_{number}": score(self.labels, column, metric)
            for number, column in enumerate(answered.T, 1)
        }
        values[MONITOR] = self.calibration.accuracy
        values["val_calibrated_depth"] = self.calibration.depth
        chosen = answered[np.arange(len(taken)), taken]
        values |= {f"val_{name}": score(self.labels, chosen, name) for name in further}
        if logs is not None:
            logs.update(values)


class AnnealBinarization(tf.keras.callbacks.Callback):
    r"""Turns real weights and activations binary, one part after the other.

    The parts share `steps` steps evenly; in each share \(\lambda\) of a part's `Binarizer`s rises linearly from 0 to
    1. At the end of an epoch all parts are binary, so that the callbacks behind this one see the model that will be
    exported. The next epoch goes on with the \(\lambda\) of its step.

    Args:
        parts: the binarizers of each part, in the order in which the parts turn binary.
        steps: steps of the whole schedule.
    """

    def __init__(self, parts: Sequence[Sequence[Binarizer]], steps: int) -> None:
        super().__init__()
        self.parts, self.steps = parts, steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = int(self.model.optimizer.iterations.numpy())
        for number, binarizers in enumerate(self.parts):
            fraction = step * len(self.parts) / self.steps - number if self.steps else 1.0
            self._set(binarizers, min(max(fraction, 0.0), 1.0))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for binarizers in self.parts:
            self._set(binarizers, 1.0)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        for binarizers in self.parts:
            for binarizer in binarizers:
                binarizer.finish()

    def _set(self, binarizers: Sequence[Binarizer], fraction: float) -> None:
        for binarizer in binarizers:
            if binarizer.fraction != fraction:
                binarizer.fraction = fraction


class SaveBest(tf.keras.callbacks.Callback):
    """Writes the logs of each epoch to `history.json`, and the weights of the best epoch to `best.weights.h5`.

    A training that continues reads both, and drops the logs of epochs that it does again.

    Args:
        folder: the run folder.
        slack: best value so far → difference that counts as noise, see `kept_epoch`.
        writes: whether this process writes the files; each worker of a cluster keeps the weights in memory.

    Raises:
        BeexError: the loss or the monitored log is no finite number, or the disk is full.
    """

    def __init__(
        self, folder: Path, slack: Callable[[float], float] | None = None, writes: bool = True
    ) -> None:
        super().__init__()
        self.folder, self.slack, self.writes = folder, slack, writes
        self.history: dict[str, list[float]] = {}
        self._weights: list[np.ndarray] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch and not self.history:
            self.history = run_folder.read_history(self.folder, epoch)
            model = _classifier(self.model)
            current = model.get_weights()
            load_weights(model, self.folder / run_folder.BEST_WEIGHTS)
            self._weights = model.get_weights()
            model.set_weights(current)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        for name in (MONITOR, "loss"):
            if not math.isfinite(value := self.history[name][-1]):
                ended = f"Epoch {epoch + 1} ended with {name}={value}"
                raise BeexError(f"{ended}; start anew with a lower learning rate.")
        model = _classifier(self.model)
        if kept_epoch(self.history[MONITOR], self.slack) == epoch:
            self._weights = model.get_weights()
            if self.writes:
                with atomic_path(self.folder / run_folder.BEST_WEIGHTS) as path:
                    save_weights(model, path)
        if self.writes:
            history = json.dumps(self.history, indent=2) + "\n"
            write_atomically(self.folder / run_folder.HISTORY, history)

    def restore(self, model: tf.keras.Model) -> None:
        """Gives a model the weights of the best epoch."""
        model.set_weights(self._weights)


class StopEarly(tf.keras.callbacks.EarlyStopping):
    """Keras' early stopping by the calibrated accuracy; a training that continues counts the epochs of its history.

    Args:
        folder: the run folder.
        patience: number of epochs without a better value after which training stops.
    """

    def __init__(self, folder: Path, patience: int) -> None:
        super().__init__(MONITOR, patience=patience, mode="max")
        self.folder, self._is_new = folder, True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch and self._is_new:
            values = run_folder.read_history(self.folder, epoch)[MONITOR]
            for number, value in enumerate(values):
                self.on_epoch_end(number, {MONITOR: value})
        self._is_new = False


class SaveSteps(tf.keras.callbacks.BackupAndRestore):
    """Saves a checkpoint every `steps` steps, from which the next `fit` continues.

    It saves nothing after the last step of an epoch: a training that continued there would skip the callbacks of
    the epoch's end.

    Args:
        folder: folder of the checkpoints.
        steps: number of steps between two checkpoints.
        steps_per_epoch: number of steps of an epoch.

    Attributes:
        first_step: number of steps that were done before this `fit`.
    """

    def __init__(self, folder: Path, steps: int, steps_per_epoch: int) -> None:
        super().__init__(str(folder), save_freq=steps, delete_checkpoint=False)
        self.folder, self.steps_per_epoch = folder, steps_per_epoch
        self.first_step = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self.first_step = int(self.model.optimizer.iterations.numpy())

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch + 1 < self.steps_per_epoch:
            super().on_train_batch_end(batch, logs)

    def _backup(self, epoch: int, batch: int = 0) -> None:
        check_room(self.folder, room_for([*self.model.weights, *self.model.optimizer.variables]))
        super()._backup(epoch, batch)


def kept_epoch(values: Sequence[float], slack: Callable[[float], float] | None = None) -> int:
    """The epoch whose weights are kept, from 0: the best one, or a later one that is nearly as good.

    Args:
        values: the monitored log of each epoch; the highest is best.
        slack: best value so far → by how much a later epoch may fall short of it and still be kept, since its
            learning rate is lower; None keeps the best epoch.
    """
    kept, best = 0, -math.inf
    for epoch, value in enumerate(values):
        if value > best or (slack is not None and value >= best - slack(best)):
            kept = epoch
        best = max(best, value)
    return kept


def _classifier(model: tf.keras.Model) -> tf.keras.Model:
    """The classifier that `fit` trains, which a `Distiller` has as its student."""
    return getattr(model, "student", model)
