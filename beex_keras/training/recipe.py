"""The recipe: from a task to a run folder with a trained, calibrated and evaluated model."""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from beex_keras import exits
from beex_keras.data import Split, Task, make_dataset, steps_per_epoch
from beex_keras.errors import BeexError
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.evaluation.calibration import Calibration, calibrate
from beex_keras.evaluation.evaluate import Evaluation, evaluate
from beex_keras.evaluation.predict import predict_exit_logits
from beex_keras.files import write_atomically
from beex_keras.losses import SoftRoutingLoss
from beex_keras.metrics import exit_metrics
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.text import TextPreprocessor, learn_vocabulary
from beex_keras.training import loop
from beex_keras.training.annealing import Annealing
from beex_keras.training.callbacks import CalibratedAccuracy
from beex_keras.training.config import TrainingConfig
from beex_keras.training.distillation import distillation, make_teacher
from beex_keras.training.distribution import (
    chief_first,
    from_chief,
    local_copy,
    scope,
    wait_for_all,
)
from beex_keras.training.initialization import Initial
from beex_keras.training.optimizer import make_optimizer
from beex_keras.training.precision import precision
from beex_keras.training.run_folder import open_preprocessor, open_run
from beex_keras.training.transfer import WarmStart

_MONITOR = "val_calibrated_accuracy"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        directory: the run folder.
        model: the classifier of the epoch that was kept, with its calibrated policy.
        epoch: its number, from 1.
        history: logs of each epoch, by name.
        calibration: on the validation split.
        evaluation: on the test split.
        exit_logits: "validation" and "test", (B, N, C) each.
    """

    directory: Path
    model: BEExformerClassifier
    epoch: int
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
    init: Initial | None = None,
    teacher: Initial | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    checkpoint_seconds: float = 60.0,
    verbose: int | str = "auto",
    strategy: tf.distribute.Strategy | None = None,
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
            `model_config.vocabulary_size` entries, or `init`'s.
        init: where the first weights come from, see `beex_keras.starts.initial`; from chance if None.
        teacher: whose weights to learn from, see `beex_keras.training.distillation`.
        callbacks: further Keras callbacks; one that sets `stop_training` ends the training. Each
            epoch is a `fit` of its own, so one that counts epochs begins anew: use `patience`.
        checkpoint_seconds: time between checkpoints within an epoch.
        verbose: of Keras' progress display; "auto" is a bar in a terminal, else a line an epoch.
        strategy: that shares the steps' work, see `make_strategy`. It changes no result beyond
            rounding and dropout's masks, and so is no setting of the run. In a cluster each worker
            calls this, with the same folder.

    Raises:
        BeexError: the folder holds a run with other settings or cannot be written; the model cannot
            start from `init` or learn from `teacher`; annealing was asked of a start from
            chance, or replaced tokens of a training without a teacher; distillation was asked of
            several replicas; or a worker of the cluster has ended.

    Example:
        >>> task = beex.load_task("rotten_tomatoes")
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=1)
        >>> run = beex.train(task, config, beex.TrainingConfig(epochs=1), "runs/movies", verbose=0)
        >>> run.model.labels, sorted(run.calibration.policy.get_config())
        (('negative', 'positive'), ['p'])
    """
    strategy = strategy or tf.distribute.get_strategy()
    directory = Path(directory)
    _check(training_config, vocabulary, init, teacher, strategy)
    if init is not None:
        model_config = init.config(model_config)
    settings = {
        "task": task.name,
        "data": task.fingerprint(vocabulary or ()),
        "model": model_config.to_dict(),
        "training": training_config.to_dict(),
        **({} if init is None else {"init": init.identity}),
        **({} if teacher is None else {"teacher": teacher.identity}),
    }

    def new_vocabulary() -> Sequence[str]:
        if vocabulary is not None:
            return vocabulary
        texts, size = task.training_texts(), model_config.vocabulary_size
        if init is not None:
            return init.vocabulary(size, texts)
        return learn_vocabulary(texts, size, pieces=training_config.pieces)

    with chief_first(strategy) as chief:
        open_run(directory, settings, create=chief)
        preprocessor = open_preprocessor(directory, model_config.max_length, new_vocabulary)
    splits = {
        name: _encode(preprocessor, getattr(task, name)) for name in ("train", "validation", "test")
    }

    # Everything random from here on follows from the seed.
    tf.keras.utils.set_random_seed(training_config.seed)
    with scope(strategy):
        model = _new_model(model_config, training_config.policy, task, preprocessor)
    costs = relative_costs(model.config)
    finished = bool(from_chief(strategy, [(directory / "results.json").exists()]).all())
    if not finished:
        ids = splits["train"][0]
        start = WarmStart() if init is None else init.apply(model, ids)
        tutor = None if teacher is None else make_teacher(model, teacher, ids)
        with (
            precision(model, training_config.precision),
            distillation(model, tutor, training_config),
        ):
            _fit(
                model, splits, task, training_config, costs, directory, start, callbacks,
                checkpoint_seconds, verbose,
            )  # fmt: skip
        if not chief:
            wait_for_all(strategy)  # the first worker finishes the run, the others then read it
    if chief and not finished:
        model = local_copy(model)
        model.load_weights(directory / loop.BEST_WEIGHTS_FILE)
    else:
        model = BEExformerClassifier.from_pretrained(directory / "model")

    exit_logits = {
        name: predict_exit_logits(model, splits[name][0]) for name in ("validation", "test")
    }
    calibration = calibrate(
        model.policy, exit_logits["validation"], task.validation.labels, costs,
        training_config.tolerance, training_config.margin, task.metric,
    )  # fmt: skip
    model.policy = calibration.policy
    evaluation = evaluate(exit_logits["test"], task.test.labels, model.policy, costs, task.metric)
    history = loop.read_history(directory)
    if chief and not finished:
        model.save_pretrained(directory / "model")
        results = {"calibration": calibration.to_dict(), "test": evaluation.to_dict()}
        write_atomically(directory / "results.json", json.dumps(results, indent=2) + "\n")
        loop.remove_checkpoints(directory)
        wait_for_all(strategy)
    wait_for_all(strategy)  # a worker that left early would seem lost to the others
    epoch = 1 + loop.kept_epoch(history[_MONITOR], _slack(task, training_config.margin))
    return Run(directory, model, epoch, history, calibration, evaluation, exit_logits)


def _check(
    config: TrainingConfig,
    vocabulary: Sequence[str] | None,
    init: Initial | None,
    teacher: Initial | None,
    strategy: tf.distribute.Strategy,
) -> None:
    """Raises `BeexError` for arguments of `train` that do not go together."""
    distilled = teacher is not None or config.soft_targets > 0
    if distilled and strategy.num_replicas_in_sync > 1:
        raise BeexError("Learning from a teacher needs one replica; train without --strategy.")
    if teacher is None and config.replaced_tokens:
        raise BeexError(
            f"replaced_tokens={config.replaced_tokens} makes texts that have no label, and there is no "
            "teacher to say what they are; give teacher, or leave it out."
        )
    if init is None and config.anneal:
        raise BeexError(
            f"anneal={config.anneal} goes from real weights to binary ones, and a training "
            "from chance has none; give init, or leave it out."
        )
    if init is not None and vocabulary is not None:
        raise BeexError("What a training starts from has a vocabulary of its own; leave yours out.")


def _new_model(
    config: BEExformerConfig, policy: str, task: Task, preprocessor: TextPreprocessor
) -> BEExformerClassifier:
    """A model from chance whose shape follows the task and the vocabulary where it has to."""
    config = config.replace(
        vocabulary_size=preprocessor.vocabulary_size,
        num_classes=len(task.labels),
        num_segments=2 if task.is_pair else 1,
        separator_id=preprocessor.separator_id,
    )
    return BEExformerClassifier(config, preprocessor, task.labels, exits.get(policy))


def _fit(
    model: BEExformerClassifier,
    splits: dict[str, tuple[np.ndarray, np.ndarray]],
    task: Task,
    config: TrainingConfig,
    costs: np.ndarray,
    directory: Path,
    start: WarmStart,
    callbacks: Sequence[tf.keras.callbacks.Callback],
    checkpoint_seconds: float,
    verbose: int | str,
) -> None:
    """Trains all exits at once; calibrated accuracy decides which epoch is kept."""
    ids, labels = splits["train"]
    steps = steps_per_epoch(ids, config.batch_size)
    with scope(model.distribute_strategy):
        model.compile(
            make_optimizer(
                config, config.epochs * steps, model.config, config.head_rate, config.layer_decay
            ),
            SoftRoutingLoss(config.loss, label_smoothing=config.label_smoothing),
            # Weighted, since rows that only fill up a replica's share must not count.
            metrics=[],
            weighted_metrics=exit_metrics(model.config.num_blocks, model.policy),
        )
    calibrated = CalibratedAccuracy(
        *splits["validation"], model.policy, config.tolerance, costs, config.margin, task.metric
    )

    def make_epoch(epoch: int, skip: int) -> tf.data.Dataset:
        return make_dataset(
            ids, labels, batch_size=config.batch_size, training=True,
            seed=config.seed, epoch=epoch, skip=skip,
        )  # fmt: skip

    annealing = Annealing(start, round(config.anneal * config.epochs * steps))
    with annealing.quantizers(model):
        loop.fit(
            model, make_epoch, steps, config.epochs, directory,
            monitor=_MONITOR,
            slack=_slack(task, config.margin),
            patience=config.patience,
            callbacks=[annealing, calibrated, *callbacks],
            trackables={"annealing_step": annealing.step},
            checkpoint_seconds=checkpoint_seconds,
            verbose=verbose,
        )  # fmt: skip


def _slack(task: Task, margin: float) -> Callable[[float], float] | None:
    r"""Best accuracy \(a\) on \(n\) validation texts → \(\mathrm{margin} \cdot \sqrt{a (1 - a) / n}\).

    By less than that chance alone makes an epoch seem better than the next. For a mean recall it
    is an approximation; rounding can take that beyond 1.
    """
    if not margin:
        return None
    return lambda best: margin * math.sqrt(best * max(1.0 - best, 0.0) / len(task.validation))


def _encode(preprocessor: TextPreprocessor, split: Split) -> tuple[np.ndarray, np.ndarray]:
    return preprocessor.encode(split.texts, split.pairs), split.labels
