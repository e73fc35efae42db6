"""The end of a training: the calibrated exit, the figures on held-out texts, and their files."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.data import Task
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.evaluation.calibration import Calibration, calibrate
from beex_keras.evaluation.scores import Evaluation, evaluate, standard_error
from beex_keras.files import write_atomically
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime.model_runner import exit_logits
from beex_keras.training import run_folder
from beex_keras.training.callbacks import MONITOR, kept_epoch
from beex_keras.training.config import TrainingConfig


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
    """

    directory: Path
    model: BEExformerClassifier
    epoch: int
    history: dict[str, list[float]]
    calibration: Calibration
    evaluation: Evaluation
    exit_logits: dict[str, np.ndarray] = dataclasses.field(repr=False)


def calibration_options(
    task: Task, model: BEExformerClassifier, config: TrainingConfig
) -> dict[str, Any]:
    """The arguments of `calibrate` beside policy, logits and labels."""
    return {
        "costs": relative_costs(model.config),
        "metric": task.metric,
        "value_scale": task.value_scale,
        "tolerance": config.tolerance,
        "margin": config.margin,
    }


def slack(task: Task, config: TrainingConfig) -> Callable[[float], float] | None:
    """Best validation score → the difference from it that counts as noise."""
    margin, count = config.margin, len(task.validation)
    if not margin:
        return None
    return lambda best: margin * standard_error(best, count, task.metric)


def measure(
    model: BEExformerClassifier,
    task: Task,
    ids: dict[str, np.ndarray],
    config: TrainingConfig,
    folder: Path,
    history: dict[str, list[float]],
) -> Run:
    """Calibrates the exit of a model on validation data, gives it this policy, and evaluates it on test data.

    Args:
        model: the trained classifier.
        task: the held-out splits.
        ids: token ids int32 (n, T) of the splits "validation" and "test".
        config: configuration of the training.
        folder: the run folder.
        history: the logs of each epoch.
    """
    logits = {part: exit_logits(model, ids[part]) for part in ("validation", "test")}
    options = calibration_options(task, model, config)
    policy = exits.get(config.policy or exits.default(task.problem_type))
    calibration = calibrate(policy, logits["validation"], task.validation.labels, **options)
    model.policy = calibration.policy
    evaluation = evaluate(
        logits["test"],
        task.test.labels,
        model.policy,
        options["costs"],
        task.metric,
        task.value_scale,
    )
    epoch = 1 + kept_epoch(history[MONITOR], slack(task, config))
    return Run(folder, model, epoch, history, calibration, evaluation, logits)


def save(run: Run, task: Task, ids: dict[str, np.ndarray], config: TrainingConfig) -> None:
    """Writes the model, and then the results, which mark a run as finished.

    A weights-only model has a second set of figures: `beex convert` gives it activations of 8 bits.
    """
    run.model.save_pretrained(run.directory / run_folder.MODEL)
    results = _figures(run)
    splits = {"validation": task.validation, "test": task.test}
    results["held_out"] = {name: split.fingerprint() for name, split in splits.items()}
    if run.model.config.precision.name == "weights-only":
        model = run.model.with_activations(8)
        results["w1a8"] = _figures(measure(model, task, ids, config, run.directory, run.history))
    write_atomically(run.directory / run_folder.RESULTS, json.dumps(results, indent=2) + "\n")


def _figures(run: Run) -> dict[str, Any]:
    return {"calibration": run.calibration.to_dict(), "test": run.evaluation.to_dict()}
