"""Keras callbacks that know about exits."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from beex_keras.evaluation.calibration import Calibration, calibrate
from beex_keras.evaluation.exit_logits import predict_exit_logits
from beex_keras.exits import ExitPolicy
from beex_keras.training.distribution import from_chief, is_chief


class CalibratedAccuracy(tf.keras.callbacks.Callback):
    """Calibrates a policy on validation data after each epoch and logs what it reaches.

    Adds `val_calibrated_accuracy` and `val_calibrated_depth` to the epoch's logs, so that the
    callbacks behind it in the list can use them: ``EarlyStopping("val_calibrated_accuracy",
    mode="max")``, ``TensorBoard(...)``. Under a strategy one process computes them, and the other
    workers of a cluster are told.

    Args:
        ids: validation inputs, int32 (B, T).
        labels: whole numbers (B,).
        policy: the policy to calibrate.
        tolerance, costs, margin, metric: as in `calibrate`.

    Attributes:
        calibration: the last; None on the workers that are only told.
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
    ) -> None:
        super().__init__()
        self.ids = ids
        self.labels = labels
        self.policy = policy
        self.tolerance = tolerance
        self.costs = costs
        self.margin = margin
        self.metric = metric
        self.calibration: Calibration | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        strategy, num_exits = self.model.distribute_strategy, self.model.output_shape[1]
        names = [
            *(f"val_exit_{number}" for number in range(1, num_exits + 1)),
            "val_calibrated_accuracy",
            "val_calibrated_depth",
        ]
        values = self._measure() if is_chief(strategy) else [0.0] * len(names)
        values = from_chief(strategy, values).tolist()
        if logs is not None:
            logs.update(zip(names, values, strict=True))

    def _measure(self) -> list[float]:
        exit_logits = predict_exit_logits(self.model, self.ids)
        self.calibration = calibrate(
            self.policy, exit_logits, self.labels, self.costs, self.tolerance, self.margin,
            self.metric,
        )  # fmt: skip
        accuracy = (exit_logits.argmax(axis=2) == self.labels[:, None]).mean(axis=0)
        return [*accuracy.tolist(), self.calibration.accuracy, self.calibration.depth]


class OneEpoch(tf.keras.callbacks.Callback):
    """Ends `fit` after one epoch, so that the next can have its own shuffle; the last callback.

    Attributes:
        asked_to_stop: whether a callback before it had asked to end the training.
    """

    asked_to_stop = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.asked_to_stop = self.model.stop_training
        self.model.stop_training = True


class StepCheckpoint(tf.keras.callbacks.Callback):
    """Saves a checkpoint whenever `seconds` have passed, counting the epoch's finished steps.

    What is saved does not depend on when: a training that resumes from any checkpoint does the
    steps that were left and ends with the same weights.
    """

    def __init__(
        self,
        save: Callable[[], Any],
        step: tf.Variable,
        steps_per_epoch: int,
        seconds: float,
    ) -> None:
        super().__init__()
        self.save = save
        self.step = step
        self.steps_per_epoch = steps_per_epoch
        self.seconds = seconds
        self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step.assign_add(1)
        # Not after the last step: an epoch without any step left could not be resumed.
        last = int(self.step) == self.steps_per_epoch
        if not last and time.monotonic() - self._last >= self.seconds:
            self.save()
            self._last = time.monotonic()
