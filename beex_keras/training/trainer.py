"""A training, top to bottom: from labelled texts to a trained, calibrated and tested model.

`train` takes the arguments of a call apart. `Trainer` does the work: the run folder, the model, what it
starts from and learns from, the epochs, and in the end the exit's threshold and the figures. The gradient
step is in `beex_keras.training.step`, what goes on around the steps in `beex_keras.training.epochs`.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.backend import tf
from beex_keras.data import Task, load_task, make_dataset, steps_per_epoch
from beex_keras.errors import BeexError
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.losses import SoftRoutingLoss
from beex_keras.metrics import exit_metrics
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.models.saving import load_weights
from beex_keras.text import TextPreprocessor, learn_vocabulary, read_vocabulary
from beex_keras.training import (
    binary_minilm,
    distribution,
    epochs,
    notes,
    run_folder,
)
from beex_keras.training.annealing import Annealing
from beex_keras.training.arguments import NONE, TWIN, Arguments, Source
from beex_keras.training.callbacks import CalibratedAccuracy
from beex_keras.training.distillation import Distillation, Lessons
from beex_keras.training.matrix_dtype import matrix_dtype
from beex_keras.training.optimizer import make_optimizer
from beex_keras.training.recipe import RunOptions, TrainingConfig
from beex_keras.training.results import MONITOR, HeldOut, Run, measure_baselines
from beex_keras.training.settings import Data, Resolved, resolve
from beex_keras.training.step import gradient_step
from beex_keras.training.transfer import Transfer
from beex_keras.training.unlabelled import (
    ANSWERS,
    IDS,
    Texts,
    check_new_texts,
    count_lines,
    file_names,
    sample_texts,
)
from beex_keras.training.warm_starts import is_real, warm_start


def train(
    data: Any,
    output: str | os.PathLike[str],
    *,
    validation: Any = None,
    test: Any = None,
    model: BEExformerConfig | None = None,
    training: TrainingConfig | None = None,
    init: Source = None,
    teacher: Source = None,
    unlabelled: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    vocabulary: str | os.PathLike[str] | Sequence[str] | None = None,
    strategy: str | tf.distribute.Strategy = "none",
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **settings: Any,
) -> Run:
    """Trains a classifier, calibrates its exit on validation data and evaluates it on test data.

    If the labels of the task are numbers, the model is a regression, see `load_task`.

    The options of `beex train` are these arguments and settings.

    The run folder holds `run.json` (all settings), `vocab.txt`, `history.json`, checkpoints while
    it trains, and at the end `model/` (see `BEExformerClassifier.save_pretrained`) and
    `results.json`. Called again on an unfinished folder with equal settings it continues from the
    last checkpoint and ends with the weights of an undisturbed run; on a finished one it trains
    nothing, and measures the model again.

    Args:
        data, validation, test: a task's name, a file, lists, or a data frame; everything that `load_task`
            takes.
        output: the run folder.
        model: the configuration of the model, in place of settings; classes, segments and special ids are
            set from the data.
        training: the configuration of the training, in place of settings.
        init: where the initial weights come from: "minilm", "binary-minilm" or "binary-minilm-pairs", a folder
            of a BERT-style encoder, a run folder, a ``.keras`` or ``.beex`` file, the name of a packaged model, or a
            `WarmStart`; they are random if "none". By default a binary model with at most 200,000 labelled texts in
            English starts from a packaged binary MiniLM, see `beex_keras.training.binary_minilm`, unless the call
            gives a preset, a size that this does not fit, a vocabulary, `model` or `training`; others start from
            random weights.
        teacher: a model from which the training learns beside the labels, given like `init`, see
            `beex_keras.training.teacher`; or "twin", the float32 twin, which is then trained first, in the
            folder `twin` of the run; or "none". By default a binary model that starts from an encoder learns
            from its twin if it has at most 20,000 labelled texts (10,000
            with more than 20 classes), or unlabelled texts. Other models have no
            teacher.
        unlabelled: files of texts without labels, for which the teacher computes the targets; each line is
            a text, or a pair with a tab between its texts.
        vocabulary: WordPiece tokens, or the path of a ``vocab.txt``. If None, it is that of `init`, or it
            is learned from the training split and unlabelled texts, with at most `vocabulary_size` entries.
        strategy: the strategy that distributes the steps, or its name, see `make_strategy`. It changes
            results only by rounding and by the masks of dropout. In a cluster each worker calls this
            function, with the same folder.
        callbacks: further Keras callbacks; a callback that sets `stop_training` ends the training. Each
            epoch is a separate call of `fit`, so a callback cannot count epochs; use `patience` to stop
            early.
        verbose: verbosity of Keras' progress display; "auto" is a bar in a terminal, and otherwise a line
            for each epoch.
        settings: `preset` (a size, see `PRESETS`) and `bits` ("float", "weights-only", "w1a8" or "fully-binary");
            fields of `BEExformerConfig`, of `TrainingConfig` and of `RunOptions`; `data_dir`,
            `text_column`, `pair_column`, `label_column`, `task_kind`, `both_orders` and `clip` of
            `load_task`; `init_layers`, the layers (from 0) of a BERT-style encoder from which the blocks
            start. The page on warm starts has the defaults.

    Raises:
        BeexError: an unknown setting or one that is out of range; faulty data; the folder holds a run
            with other settings or cannot be written; the model cannot start from `init` or learn from
            `teacher`; settings that do not go together; or a worker of the cluster has ended.

    Example:
        >>> run = beex.train("rotten_tomatoes", "runs/movies", preset="micro", epochs=1, verbose=0)
        >>> run.model.labels, sorted(run.calibration.policy.get_config())
        (('negative', 'positive'), ['p'])
    """
    arguments = Arguments.read(settings, model, training, init, teacher, bool(unlabelled))
    if isinstance(strategy, str):  # made before TensorFlow computes anything
        report = partial(print, file=sys.stderr)
        strategy = distribution.make_strategy(strategy, arguments.run.wait_seconds, report)
    if strategy.num_replicas_in_sync > 1 and arguments.teacher is None:
        # Replicas cannot learn from a teacher.
        arguments = dataclasses.replace(arguments, teacher=NONE)
    if vocabulary is not None and init is None:
        arguments = dataclasses.replace(arguments, init=NONE)  # a start brings its own
    arguments = arguments.going_on(run_folder.read_training(Path(output)))
    task = load_task(data, validation, test, **arguments.data)
    if isinstance(vocabulary, str | os.PathLike):
        vocabulary = read_vocabulary(vocabulary)
    named = [unlabelled] if isinstance(unlabelled, str | os.PathLike) else unlabelled
    files = tuple(map(Path, named))
    if files:
        check_new_texts(files, task)
    about = Data(
        labelled=len(task.train),
        classes=len(task.labels),
        unlabelled=count_lines(files),
        is_regression=task.is_regression,
        is_pair=task.is_pair,
        both_orders=task.both_orders,
        are_long=arguments.leave_length_open and binary_minilm.are_long(task.train),
        is_known_language=not arguments.leave_start_open
        or binary_minilm.knows_language(task.training_texts()),
    )
    trainer = Trainer(
        task,
        resolve(arguments, about),
        Path(output),
        vocabulary,
        strategy,
        callbacks,
        arguments.run,
        verbose,
        files,
    )
    return trainer.run()


@dataclasses.dataclass
class Trainer:
    """One training; its parts are its methods, in the order in which they run.

    What it is made of are the arguments of `train`, read and settled.
    """

    task: Task
    found: Resolved
    folder: Path
    vocabulary: Sequence[str] | None
    strategy: tf.distribute.Strategy
    callbacks: Sequence[tf.keras.callbacks.Callback]
    options: RunOptions
    verbose: int | str
    unlabelled: tuple[Path, ...] = ()
    is_twin: bool = False

    def __post_init__(self) -> None:
        found = self.found
        self.config, self.init, self.teacher = found.training, found.init, found.teacher
        learns = found.twin or self.teacher or self.config.soft_targets
        if learns and self.strategy.num_replicas_in_sync > 1:
            raise BeexError("Learning from a teacher needs one replica; train without a strategy.")
        self.model_config = found.model.replace(
            num_classes=len(self.task.labels), num_segments=2 if self.task.is_pair else 1
        )
        if self.init is not None:
            self.init.check(self.model_config)
            if self.vocabulary is not None:
                raise BeexError("A start brings its own vocabulary; leave yours out.")
        self.chief = distribution.is_chief(self.strategy)
        self.value_scale = self.task.value_scale
        self.twin = None if found.twin is None else self.trainer_of_twin(found.twin)

    def trainer_of_twin(self, its: Resolved) -> "Trainer":
        """The trainer of the twin, which has the same data and vocabulary."""
        folder = self.folder / TWIN
        return dataclasses.replace(self, found=its, folder=folder, unlabelled=(), is_twin=True)

    @property
    def identity(self) -> dict[str, Any]:
        """What the settings of the run say of its twin."""
        start = {} if self.init is None else {"init": self.init.identity}
        return {"kind": TWIN, "epochs": self.config.epochs, **start}

    def run(self) -> Run:
        """Trains, unless the folder holds the finished run, and measures."""
        preprocessor = self.open_folder()
        with run_folder.removed_if_refused(self.folder) if self.chief else nullcontext():
            return self.run_in_folder(preprocessor)

    def run_in_folder(self, preprocessor: TextPreprocessor) -> Run:
        """As `run`, in the folder that was opened."""
        splits = self.task.splits().items()
        self.ids = {name: preprocessor.encode(split.texts, split.pairs) for name, split in splits}
        # Everything random from here on follows from the seed.
        tf.keras.utils.set_random_seed(self.config.seed)
        with distribution.scope(self.strategy):
            model = self.new_model(preprocessor)
        self.held_out = HeldOut(self.task, self.ids, self.config, relative_costs(model.config))
        done = (self.folder / run_folder.RESULTS).exists()
        finished = bool(distribution.from_chief(self.strategy, [done]).all())
        run = None
        if not finished:
            with run_folder.only_process(self.folder) if self.chief else nullcontext():
                run = self.train(model, preprocessor)
            distribution.wait_for_all(self.strategy)  # the other workers read what the first wrote
        if run is None:
            model = BEExformerClassifier.from_pretrained(self.folder / run_folder.MODEL)
            baselines = run_folder.read_results(self.folder).get("baselines", {})
            run = self.measure(model, baselines)
        distribution.wait_for_all(self.strategy)  # who left early would seem lost to the others
        return run

    def train(self, model: BEExformerClassifier, preprocessor: TextPreprocessor) -> Run | None:
        """Trains the twin, if there is one, and the model; the first worker measures and saves it."""
        if self.verbose and self.chief:
            for line in notes.of_training(
                self.task, self.found, self.ids["train"], preprocessor, self.is_twin
            ):
                print(line, file=sys.stderr)
        if self.twin is not None:
            # With other tokens its blocks could not be learned from.
            self.twin.vocabulary = preprocessor.vocabulary
            self.teacher = warm_start(self.twin.run().directory)
            is_binary = self.model_config.weight_bits == 1
            if is_binary and self.init is not None and is_real(self.init.bits):
                self.init = self.teacher  # real weights that know the task already
        self.fit(model)
        if not self.chief:
            return None
        model = distribution.local_copy(model)
        load_weights(model, self.folder / epochs.BEST_WEIGHTS)
        # They need MiniLM, which may have to be downloaded, so somebody has to ask for it.
        asked = not (self.is_twin or self.found.start_by_default)
        run = self.measure(model, measure_baselines(self.task, self.found.init) if asked else {})
        self.held_out.save(run)
        self.remove_unneeded()
        return run

    def measure(self, model: BEExformerClassifier, baselines: dict[str, float]) -> Run:
        """The run that ends with this model, measured on held-out texts."""
        run = self.held_out.measure(model, self.folder)
        return dataclasses.replace(run, is_chief=self.chief, baselines=baselines)

    def remove_unneeded(self) -> None:
        """Removes checkpoints, which are three times as large as the model, and the answers of a teacher."""
        epochs.remove_weights(self.folder)
        for name in (IDS, ANSWERS):
            (self.folder / name).unlink(missing_ok=True)

    def open_folder(self) -> TextPreprocessor:
        """Makes the run folder, or checks that it holds this very run; the run's preprocessor."""
        sources = {"init": self.init, "teacher": self.teacher}
        settings = {
            "task": self.task.name,
            "data": self.task.fingerprint(self.vocabulary or ()),
            "model": self.model_config.to_dict(),
            "training": self.config.to_dict(),
            **({"both_orders": True} if self.task.both_orders else {}),
            **({} if self.value_scale is None else {"value_scale": self.value_scale.to_dict()}),
            **{name: source.identity for name, source in sources.items() if source is not None},
            **({} if self.twin is None else {"teacher": self.twin.identity}),
            **({"unlabelled": file_names(self.unlabelled)} if self.unlabelled else {}),
        }
        length = self.model_config.max_length
        lower_case = self.init is None or self.init.lower_case
        with distribution.chief_first(self.strategy):
            run_folder.open_run(self.folder, settings, create=self.chief)
            with run_folder.removed_if_refused(self.folder) if self.chief else nullcontext():
                return run_folder.open_preprocessor(
                    self.folder, length, lower_case, self.new_vocabulary
                )

    def new_vocabulary(self) -> Sequence[str]:
        if self.vocabulary is not None:
            return self.vocabulary
        texts, size = self.task.training_texts(), self.model_config.vocabulary_size
        texts += sample_texts(self.unlabelled, self.task)
        if self.init is not None:
            return self.init.vocabulary(size, texts)
        return learn_vocabulary(texts, size, pieces=self.config.pieces)

    def new_model(self, preprocessor: TextPreprocessor) -> BEExformerClassifier:
        """A model with random weights, whose shape follows the data where it has to."""
        config = self.model_config.replace(
            vocabulary_size=preprocessor.vocabulary_size,
            separator_id=preprocessor.separator_id,
        )
        policy = exits.get(self.config.policy)
        parts = preprocessor, self.task.labels, policy, self.value_scale
        return BEExformerClassifier(config, *parts)

    def fit(self, model: BEExformerClassifier) -> None:
        """Trains all exits at once; calibrated accuracy decides which epoch is kept."""
        config = self.config
        start = Transfer() if self.init is None else self.init.apply(model, self.ids["train"])
        lessons = self.lessons(model)
        texts = lessons.texts
        steps = steps_per_epoch(texts.ids, config.batch_size)
        all_steps = config.epochs * steps
        with distribution.scope(self.strategy):
            model.compile(
                make_optimizer(config, all_steps, model.config),
                SoftRoutingLoss(config.loss, label_smoothing=config.label_smoothing),
                # Weighted, since rows that only fill up a replica's share must not count.
                metrics=[],
                weighted_metrics=exit_metrics(
                    model.config.num_blocks, model.policy, model.value_scale
                ),
            )
        annealing = Annealing(start, round(config.anneal * all_steps))
        validation, labels = self.ids["validation"], self.task.validation.labels
        calibrated = CalibratedAccuracy(
            validation, labels, model.policy, **self.held_out.calibration
        )
        callbacks = [annealing, calibrated, *self.callbacks]
        if self.options.tensorboard:
            callbacks.insert(2, tf.keras.callbacks.TensorBoard(self.folder / "tensorboard"))
        batches = partial(make_dataset, texts.ids, texts.labels, texts.answers, training=True)

        def make_epoch(epoch: int, skip: int) -> tf.data.Dataset:
            return batches(batch_size=config.batch_size, seed=config.seed, epoch=epoch, skip=skip)

        with ExitStack() as within:
            within.enter_context(matrix_dtype(model, config.precision))
            all_labelled = not self.unlabelled
            taught = lessons.teacher, config, lessons.share
            within.enter_context(gradient_step(model, *taught, all_labelled))
            within.enter_context(annealing.quantizers(model))
            epochs.fit(
                model,
                make_epoch,
                steps,
                config.epochs,
                self.folder,
                monitor=MONITOR,
                slack=self.held_out.slack,
                patience=config.patience,
                callbacks=callbacks,
                trackables={"annealing_step": annealing.step},
                checkpoint_seconds=self.options.checkpoint_seconds,
                verbose=self.verbose,
            )

    def lessons(self, model: BEExformerClassifier) -> Lessons:
        """What the steps learn from."""
        own = self.ids["train"], self.targets
        if self.teacher is None:
            return Lessons(Texts(*own), share=self.config.soft_targets)
        parts = self.unlabelled, self.folder, self.say
        return Distillation(self.task, self.teacher, *parts).lessons(model, *own, self.config)

    def say(self, line: str) -> None:
        """Prints a line, if the training is to say something."""
        if self.verbose:
            print(line)

    @property
    def targets(self) -> np.ndarray:
        """What the training split's exits learn: class numbers, or standardized numbers."""
        labels = self.task.train.labels
        return labels if self.value_scale is None else self.value_scale.standardize(labels)
