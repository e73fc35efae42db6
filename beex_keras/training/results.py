"""What a training ends with: the calibrated exit, the figures on held-out texts, and their files."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.data import Task
from beex_keras.evaluation.calibration import Calibration, calibrate
from beex_keras.evaluation.scores import Evaluation, evaluate, score, standard_error
from beex_keras.files import write_atomically
from beex_keras.models import BEExformerClassifier
from beex_keras.training import binary_minilm, epochs, frozen, linear, run_folder
from beex_keras.training.bert import MINILM
from beex_keras.training.inference import exit_logits
from beex_keras.training.recipe import TrainingConfig
from beex_keras.training.warm_starts import WarmStart

MONITOR = "val_calibrated_accuracy"
"""The log by which epochs are compared."""

_FEW_LABELS = 5_000
"""Up to how many training texts a linear model on embeddings is measured; more take long."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        directory: the run folder.
        model: the classifier of the epoch that was kept, with its calibrated policy.
        epoch: the number of that epoch, from 1.
        history: the logs of each epoch, by name.
        calibration: the calibration on the validation split.
        evaluation: the figures on the test split.
        exit_logits: logits (B, N, C) of the splits "validation" and "test".
        baselines: scores on the test split, by name, of MiniLM without further training; only for a start
            from MiniLM with few labels.
        is_chief: whether this process wrote the folder; in a cluster only one worker does.
    """

    directory: Path
    model: BEExformerClassifier
    epoch: int
    history: dict[str, list[float]]
    calibration: Calibration
    evaluation: Evaluation
    exit_logits: dict[str, np.ndarray] = dataclasses.field(repr=False)
    is_chief: bool = True
    baselines: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """The texts that a training does not see, and what its model reaches on them.

    Attributes:
        task: that has them.
        ids: token ids int32 (n, T) of the splits "validation" and "test".
        config: of the training.
        costs: of the model's exits, relative to full depth, (N,).
    """

    task: Task
    ids: dict[str, np.ndarray]
    config: TrainingConfig
    costs: np.ndarray

    @property
    def calibration(self) -> dict[str, Any]:
        """Arguments of `calibrate`."""
        accuracy = {"tolerance": self.config.tolerance, "margin": self.config.margin}
        of_task = {"metric": self.task.metric, "value_scale": self.task.value_scale}
        return {"costs": self.costs, **of_task, **accuracy}

    @property
    def slack(self) -> Callable[[float], float] | None:
        """Largest difference from the best score that counts as noise of the validation split."""
        margin, count = self.config.margin, len(self.task.validation)
        if not margin:
            return None
        return lambda best: margin * standard_error(best, count, self.task.metric)

    def measure(self, model: BEExformerClassifier, folder: Path) -> Run:
        """Calibrates the exit of the model of a run folder on validation data and evaluates it on test data."""
        task = self.task
        labels = task.validation.labels
        logits = {part: exit_logits(model, self.ids[part]) for part in ("validation", "test")}
        calibration = calibrate(
            exits.get(self.config.policy), logits["validation"], labels, **self.calibration
        )
        policy = model.policy = calibration.policy
        found = logits["test"], task.test.labels, policy, self.costs, task.metric
        evaluation = evaluate(*found, task.value_scale)
        history = run_folder.read_history(folder)
        epoch = 1 + epochs.kept_epoch(history[MONITOR], self.slack)
        return Run(folder, model, epoch, history, calibration, evaluation, logits)

    def save(self, run: Run) -> None:
        """Writes the model, and then the results, which mark a run as finished."""
        run.model.save_pretrained(run.directory / run_folder.MODEL)
        results = _figures(run)
        splits = {"validation": self.task.validation, "test": self.task.test}
        results["held_out"] = {name: split.fingerprint() for name, split in splits.items()}
        if run.baselines:
            results["baselines"] = run.baselines
        if run.model.config.precision.name == "weights-only":
            # As it is converted, which is to activations of 8 bits.
            converted = self.measure(run.model.with_activations(8), run.directory)
            results["w1a8"] = _figures(converted)
        write_atomically(run.directory / run_folder.RESULTS, json.dumps(results, indent=2) + "\n")


def _figures(run: Run) -> dict[str, Any]:
    return {"calibration": run.calibration.to_dict(), "test": run.evaluation.to_dict()}


def measure_baselines(task: Task, init: WarmStart | None) -> dict[str, float]:
    """Measures a linear model on MiniLM's embeddings, which needs no training of the encoder.

    It is left out of trainings that do not start from MiniLM, with many labels, for which it takes long, and
    without scikit-learn.
    """
    once = len(task.train) // (2 if task.both_orders else 1)
    if init is None or not (once <= _FEW_LABELS and init.is_encoder and linear.is_available()):
        return {}
    if init.identity["name"] not in (MINILM, *binary_minilm.FILES):
        return {}
    return {frozen.name_of(task): score(task.test.labels, frozen.predictions(task), task.metric)}
