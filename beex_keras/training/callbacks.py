"""A Keras callback that knows about exits."""

from typing import Any

import numpy as np

from beex_keras.backend import tf
from beex_keras.evaluation.calibration import Calibration, calibrate
from beex_keras.evaluation.scores import OF_NUMBERS, answers, score
from beex_keras.exits import ExitPolicy
from beex_keras.training.distribution import from_chief, is_chief
from beex_keras.training.inference import exit_logits
from beex_keras.value_scale import ValueScale


class CalibratedAccuracy(tf.keras.callbacks.Callback):
    """Calibrates a policy on validation data after each epoch and logs what it reaches.

    It adds `val_exit_1`…, `val_calibrated_accuracy` and `val_calibrated_depth` to the epoch's logs, so that
    later callbacks in the list can use them: ``EarlyStopping("val_calibrated_accuracy", mode="max")``,
    ``TensorBoard(...)``. For a regression, `calibrate`'s metric takes the place of accuracy, and
    `val_pearson`, `val_spearman` and `val_mean_absolute_error` are those of the exits that the policy
    chooses. Under a strategy one process computes the logs, and sends them to the other workers of a
    cluster.

    Args:
        ids: validation inputs, int32 (B, T).
        labels: class numbers (B,), or targets.
        policy: the policy to calibrate.
        tolerance, costs, margin, metric, value_scale: as in `calibrate`.

    Attributes:
        calibration: the latest calibration; None on workers that only receive the logs.

    Example:
        >>> ids, labels = np.array([[2, 7, 3]], np.int32), np.array([1])
        >>> calibrated = beex.training.CalibratedAccuracy(ids, labels, beex.Confidence())
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
        value_scale: ValueScale | None = None,
    ) -> None:
        super().__init__()
        self.ids, self.labels, self.policy = ids, labels, policy
        self.options = (costs, tolerance, margin, metric, value_scale)
        self.metric, self.value_scale = metric, value_scale
        self.calibration: Calibration | None = None

    @property
    def _further(self) -> tuple[str, ...]:
        return OF_NUMBERS if self.metric in OF_NUMBERS else ()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        strategy, num_exits = self.model.distribute_strategy, self.model.output_shape[1]
        names = [f"val_exit_{number}" for number in range(1, num_exits + 1)]
        names += ["val_calibrated_accuracy", "val_calibrated_depth"]
        names += [f"val_{name}" for name in self._further]
        values = self._measure() if is_chief(strategy) else [0.0] * len(names)
        values = from_chief(strategy, values).tolist()
        if logs is not None:
            logs.update(zip(names, values, strict=True))

    def _measure(self) -> list[float]:
        logits = exit_logits(self.model, self.ids)
        self.calibration = calibrate(self.policy, logits, self.labels, *self.options)
        answered, taken = answers(logits, self.value_scale), self.calibration.policy.choose(logits)
        chosen = answered[np.arange(len(taken)), taken]
        own = self.metric if self._further else "accuracy"
        return [
            *(score(self.labels, column, own) for column in answered.T),
            self.calibration.accuracy,
            self.calibration.depth,
            *(score(self.labels, chosen, name) for name in self._further),
        ]
