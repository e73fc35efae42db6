"""The recipe: from a task to a run folder with a trained, calibrated and evaluated model."""

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from beex_keras import exits
from beex_keras.data import Split, Task, make_dataset, steps_per_epoch
from beex_keras.errors import BeexError
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.evaluation.calibration import Calibration, calibrate
from beex_keras.evaluation.evaluate import Evaluation, evaluate
from beex_keras.evaluation.predict import predict_exit_logits
from beex_keras.files import atomic_path, read_text, write_atomically
from beex_keras.losses import SoftRoutingLoss
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.text import TextPreprocessor, learn_vocabulary, read_vocabulary
from beex_keras.training.callbacks import CalibratedAccuracy, OneEpoch, StepCheckpoint
from beex_keras.training.config import TrainingConfig
from beex_keras.training.optimizer import make_optimizer

_VOCABULARY_FILE = "vocab.txt"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        directory: the run folder.
        model: the classifier of the best epoch, with its calibrated policy.
        history: logs of each epoch, by name.
        calibration: on the validation split.
        evaluation: on the test split.
        exit_logits: "validation" and "test", (B, N, C) each.
    """

    directory: Path
    model: BEExformerClassifier
    history: dict[str, list[float]]
    calibration: Calibration
    evaluation: Evaluation
    exit_logits: dict[str, np.ndarray] = dataclasses.field(repr=False)


def train(
    task: Task,
    model_config: BEExformerConfig,
    training_config: TrainingConfig,
    directory: str | os.PathLike[str],
    vocabulary: Sequence[str] | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    checkpoint_seconds: float = 60.0,
    verbose: int | str = "auto",
) -> Run:
    """Trains a classifier, calibrates its exit on validation data and evaluates it on test data.

    The run folder holds `run.json` (all settings), `vocab.txt`, `history.json`, checkpoints while
    it trains, and at the end `model/` (see `BEExformerClassifier.save_pretrained`) and
    `results.json`. Called again on an unfinished folder with equal settings it continues from the
    last checkpoint and ends with the weights of an undisturbed run; on a finished one it only loads
    the results.

    Args:
        task: texts and labels, see `load_task`.
        model_config: size and bits; classes, segments and special ids are set from the task.
        training_config: the recipe's settings.
        directory: of the run.
        vocabulary: WordPiece vocabulary; learned from the training split if None, with at most
            `model_config.vocabulary_size` entries.
        callbacks: further Keras callbacks; one that sets `stop_training` ends the training. Each
            epoch is a `fit` of its own, so one that counts epochs begins anew: use `patience`.
        checkpoint_seconds: time between checkpoints within an epoch.
        verbose: of Keras' progress display; "auto" is a bar in a terminal, else a line an epoch.

    Raises:
        BeexError: the folder holds a run with other settings or cannot be written.
    """
    directory = Path(directory)
    settings = {
        "task": task.name,
        "data": task.fingerprint(vocabulary or ()),
        "model": model_config.to_dict(),
        "training": training_config.to_dict(),
    }
    _open_run(directory, settings)
    if vocabulary is None and not (directory / _VOCABULARY_FILE).exists():
        texts = [*task.train.texts, *(task.train.pairs or [])]
        vocabulary = learn_vocabulary(
            texts, model_config.vocabulary_size, pieces=training_config.pieces
        )
    preprocessor = _preprocessor(model_config, directory, vocabulary)
    splits = {
        name: _encode(preprocessor, getattr(task, name)) for name in ("train", "validation", "test")
    }

    # Everything random from here on follows from the seed.
    tf.keras.utils.set_random_seed(training_config.seed)
    model = BEExformerClassifier(
        model_config.replace(
            vocabulary_size=preprocessor.vocabulary_size,
            num_classes=len(task.labels),
            num_segments=2 if task.is_pair else 1,
            separator_id=preprocessor.separator_id,
        ),
        preprocessor,
        task.labels,
        exits.get(training_config.policy),
    )
    costs = relative_costs(model.config)
    if not (directory / "results.json").exists():
        _fit(
            model, splits, training_config, costs, directory, callbacks, checkpoint_seconds, verbose
        )
        model.load_weights(directory / "best.weights.h5")
    else:
        model = BEExformerClassifier.from_pretrained(directory / "model")

    exit_logits = {
        name: predict_exit_logits(model, splits[name][0]) for name in ("validation", "test")
    }
    calibration = calibrate(
        model.policy, exit_logits["validation"], task.validation.labels, costs,
        training_config.tolerance,
    )  # fmt: skip
    model.policy = calibration.policy
    evaluation = evaluate(exit_logits["test"], task.test.labels, model.policy, costs, task.metric)
    history = json.loads(read_text(directory / "history.json", "history"))
    if not (directory / "results.json").exists():
        model.save_pretrained(directory / "model")
        results = {"calibration": calibration.to_dict(), "test": evaluation.to_dict()}
        write_atomically(directory / "results.json", json.dumps(results, indent=2) + "\n")
        _remove_checkpoints(directory)
    return Run(directory, model, history, calibration, evaluation, exit_logits)


def _fit(
    model: BEExformerClassifier,
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    config: TrainingConfig,
    costs: np.ndarray,
    directory: Path,
    callbacks: Sequence[tf.keras.callbacks.Callback],
    checkpoint_seconds: float,
    verbose: int | str,
) -> None:
    """Trains to the last epoch, from the last checkpoint if there is one.

    The weights of the best calibrated epoch go to `best.weights.h5`, the logs to `history.json`.
    """
    ids, labels = splits["train"]
    steps = steps_per_epoch(ids, config.batch_size)
    optimizer = make_optimizer(config, config.epochs * steps, model.config)
    model.compile(optimizer, SoftRoutingLoss(config.loss, label_smoothing=config.label_smoothing))
    optimizer.build(model.trainable_variables)

    state = {
        "epoch": tf.Variable(0, dtype=tf.int64),
        "step": tf.Variable(0, dtype=tf.int64),
        "best": tf.Variable(-1.0, dtype=tf.float64),
        "best_epoch": tf.Variable(-1, dtype=tf.int64),
    }
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, **state)
    manager = tf.train.CheckpointManager(checkpoint, directory / "checkpoints", max_to_keep=2)
    if manager.latest_checkpoint:
        checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()

    history = _read_history(directory, int(state["epoch"]))
    calibrated = CalibratedAccuracy(*splits["validation"], model.policy, config.tolerance, costs)
    saver = StepCheckpoint(manager, state["step"], steps, checkpoint_seconds)
    one_epoch = OneEpoch()
    if verbose == "auto":  # a moving bar for people, a line an epoch for files
        verbose = 1 if sys.stdout.isatty() else 2
    while (epoch := int(state["epoch"])) < config.epochs and not one_epoch.asked_to_stop:
        if config.patience and epoch - int(state["best_epoch"]) > config.patience:
            break
        skip = int(state["step"])
        dataset = make_dataset(
            ids, labels, batch_size=config.batch_size, training=True,
            seed=config.seed, epoch=epoch, skip=skip,
        )  # fmt: skip
        logs = model.fit(
            dataset,
            epochs=config.epochs,
            initial_epoch=epoch,
            callbacks=[calibrated, saver, *callbacks, one_epoch],
            verbose=verbose,
        ).history
        for name, values in logs.items():
            history.setdefault(name, []).append(float(values[-1]))
        if logs["val_calibrated_accuracy"][-1] > float(state["best"]):
            state["best"].assign(logs["val_calibrated_accuracy"][-1])
            state["best_epoch"].assign(epoch)
            with atomic_path(directory / "best.weights.h5") as path:
                model.save_weights(path)
        write_atomically(directory / "history.json", json.dumps(history, indent=2) + "\n")
        state["epoch"].assign(epoch + 1)
        state["step"].assign(0)
        manager.save()


def _open_run(directory: Path, settings: dict[str, Any]) -> None:
    """Makes the run folder, or checks that it holds a run with the same settings."""
    file = directory / "run.json"
    if file.exists():
        try:
            found = json.loads(read_text(file, "run settings"))
        except json.JSONDecodeError:
            raise BeexError(f"{file} is damaged; remove {directory} to start anew.") from None
        if found != settings:
            changed = ", ".join(_differences(found, settings))
            raise BeexError(
                f"{directory} holds a run with other settings ({changed}); choose another folder, "
                "or remove this one to start anew."
            )
        return
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BeexError(f"{directory} exists and is not a run folder; choose another path.")
    write_atomically(file, json.dumps(settings, indent=2) + "\n")


def _differences(found: Any, wanted: dict[str, Any]) -> list[str]:
    """Names of the settings that differ."""
    if not isinstance(found, dict):
        return ["all"]
    names = []
    for key, value in wanted.items():
        other = found.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            names += [name for name in value if value[name] != other.get(name)]
        elif value != other:
            names.append(key)
    return names or ["fields"]


def _preprocessor(
    config: BEExformerConfig, directory: Path, vocabulary: Sequence[str] | None
) -> TextPreprocessor:
    """The preprocessor with the run's vocabulary: as saved, or as given and then saved."""
    file = directory / _VOCABULARY_FILE
    if vocabulary is not None and not file.exists():
        write_atomically(file, "\n".join(vocabulary) + "\n")
    return TextPreprocessor(read_vocabulary(file), config.max_length)


def _encode(preprocessor: TextPreprocessor, split: Split) -> tuple[np.ndarray, np.ndarray]:
    return preprocessor.encode(split.texts, split.pairs), split.labels


def _read_history(directory: Path, epochs: int) -> dict[str, list[float]]:
    """The logs of the first `epochs` epochs; later ones are about to be done again."""
    file = directory / "history.json"
    if not epochs or not file.exists():
        return {}
    history = json.loads(read_text(file, "history"))
    return {name: values[:epochs] for name, values in history.items()}


def _remove_checkpoints(directory: Path) -> None:
    """Checkpoints carry the optimizer's state, three times the model; a finished run needs none."""

    shutil.rmtree(directory / "checkpoints", ignore_errors=True)
    (directory / "best.weights.h5").unlink(missing_ok=True)
