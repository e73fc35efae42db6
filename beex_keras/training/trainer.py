"""A training from labelled texts to a trained, calibrated and tested model.

`train` decides what the call leaves open (`beex_keras.training.plan`), makes the model, and runs one `fit` of a
`Distiller`, whose `train_step` is the gradient step.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from beex_keras import exits
from beex_keras.backend import tf
from beex_keras.data import Task, load_task, make_dataset, steps_per_epoch
from beex_keras.data.checks import check_task
from beex_keras.data.unlabelled import EncodedTexts, encode_texts, remove_texts
from beex_keras.losses import SoftRoutingLoss
from beex_keras.metrics import exit_metrics
from beex_keras.models import BEExformerClassifier
from beex_keras.training import results, run_folder
from beex_keras.training.callbacks import (
    AnnealBinarization,
    CalibrateExits,
    SaveBest,
    SaveSteps,
    StopEarly,
)
from beex_keras.training.config import TrainingConfig
from beex_keras.training.distiller import Distiller
from beex_keras.training.optimizer import make_optimizer
from beex_keras.training.plan import Plan, make_plan
from beex_keras.training.results import Run
from beex_keras.training.warm_starts import check_labels, make_teacher, teacher_logits

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from beex_keras.training.config import TrainingOverrides


def train(
    data: Any,
    output: str | os.PathLike[str],
    config: TrainingConfig | None = None,
    *,
    validation: Any = None,
    test: Any = None,
    text_column: str = "text",
    pair_column: str | None = None,
    label_column: str = "label",
    task_kind: str | None = None,
    both_orders: bool = False,
    clip: bool = True,
    recipe: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[tf.keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **overrides: "Unpack[TrainingOverrides]",
) -> Run:
    """Trains a classifier, calibrates its exit on validation data and evaluates it on test data.

    If the labels of the task are numbers, the model is a regression, see `load_task`.

    The run folder holds `run.json` (all settings), `vocab.txt`, `history.json`, checkpoints while
    it trains, and at the end `model/` (see `BEExformerClassifier.save_pretrained`) and
    `results.json`. Called again on an unfinished folder with equal settings, `train` continues from the
    last checkpoint, and ends with the weights of an undisturbed run. On a finished folder it trains
    nothing, and measures the model again.

    Args:
        data, validation, test: a task's name, a file, lists, or a data frame; everything that `load_task`
            takes.
        output: the run folder.
        config: the whole configuration. Without it, a recipe gives the defaults.
        text_column, pair_column, label_column, task_kind, both_orders, clip: as in `load_task`.
        recipe: a name in `beex_keras.training.RECIPES`; by default the number of labelled texts, the start and the
            teacher choose it, see `choose_recipe`.
        strategy: a `tf.distribute` strategy whose replicas share each batch. Every worker of a
            `MultiWorkerMirroredStrategy` calls this function, with one folder that all workers can read; the first
            worker writes it.
        callbacks: further Keras callbacks. They see the logs of `CalibrateExits`.
        verbose: verbosity of Keras' progress display; "auto" is a bar in a terminal, and otherwise a line
            for each epoch. With 0 nothing is printed.
        overrides: fields of `TrainingConfig`; they replace those of `config` or of the recipe.

    Raises:
        BeexError: an unknown field or a value out of range; faulty data; the folder holds a run
            with other settings or cannot be written; the model cannot start from `init` or learn from
            `teacher`; or fields that do not go together.

    Example:
        >>> run = beex.train("rotten_tomatoes", "runs/movies", preset="micro", epochs=1, verbose=0)
        >>> run.model.labels, sorted(run.calibration.policy.get_config())
        (('negative', 'positive'), ['p'])
    """
    task = load_task(
        data,
        validation,
        test,
        text_column=text_column,
        pair_column=pair_column,
        label_column=label_column,
        task_kind=task_kind,
        both_orders=both_orders,
        clip=clip,
    )
    folder = Path(output)
    plan = make_plan(task, folder, config, recipe, overrides)
    strategy = tf.distribute.get_strategy() if strategy is None else strategy
    return _Trainer(task, folder, plan, strategy, callbacks, verbose).run()


class _Trainer:
    """One training; its methods run in the order in which they stand here."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        plan: Plan,
        strategy: tf.distribute.Strategy,
        callbacks: Sequence[tf.keras.callbacks.Callback],
        verbose: int | str,
    ) -> None:
        self.task, self.folder, self.plan, self.strategy = task, folder, plan, strategy
        self.callbacks, self.verbose = callbacks, verbose
        self.config = plan.config
        self.writes = strategy.extended.should_checkpoint
        self.texts_folder = folder

    def run(self) -> Run:
        """Trains, unless the folder holds the finished run, and measures."""
        if self.writes:
            run_folder.open_run(self.folder, self.plan.settings, self.plan.preprocessor.vocabulary)
        with ExitStack() as stack:
            if self.writes:
                stack.enter_context(run_folder.removed_if_refused(self.folder))
            else:
                self.texts_folder = Path(stack.enter_context(TemporaryDirectory()))
            encode = self.plan.preprocessor.encode
            splits = self.task.splits().items()
            self.ids = {name: encode(split.texts, split.pairs) for name, split in splits}
            if (self.folder / run_folder.RESULTS).exists():
                model = BEExformerClassifier.from_pretrained(self.folder)
                return self.measure(model, run_folder.read_history(self.folder))
            if self.writes:
                stack.enter_context(run_folder.only_process(self.folder))
            self.report()
            # The seed decides everything random from here on.
            tf.keras.utils.set_random_seed(self.config.seed)
            return self.train()

    def report(self) -> None:
        """Prints the findings about the data, and the recipe."""
        if not (self.verbose and self.writes):
            return
        lines = check_task(self.task, self.ids["train"], self.plan.preprocessor)
        for line in [*lines, *self.plan.summary()]:
            print(line, file=sys.stderr)

    def train(self) -> Run:
        """Trains a new model, measures it with the weights of its best epoch, and saves it."""
        with self.strategy.scope():
            distiller, texts, parts = self.make_distiller()
        best = self.fit(distiller, texts, parts)
        model = _new_model(self.plan, self.task)
        best.restore(model)
        run = self.measure(model, best.history)
        if self.writes:
            results.save(run, self.task, self.ids, self.config)
            shutil.rmtree(self.folder / run_folder.CHECKPOINTS, ignore_errors=True)
            (self.folder / run_folder.BEST_WEIGHTS).unlink(missing_ok=True)
            remove_texts(self.folder)
        return run

    def make_distiller(self) -> tuple[Distiller, EncodedTexts, tuple[str, ...]]:
        """The compiled model, the texts that it learns from, and its parts that turn binary in training."""
        config, plan = self.config, self.plan
        model = _new_model(plan, self.task, config.matmul_dtype)
        parts = () if plan.init is None else plan.init.apply(model, self.ids["train"])
        teacher = None
        if plan.teacher is not None:
            teaches_labels = config.distillation_alpha or config.token_replacement_rate
            if teaches_labels or plan.unlabelled or not plan.has_shape:
                check_labels(model, plan.teacher)
            if plan.has_shape:
                teacher = make_teacher(model, plan.teacher, self.ids["train"])
        texts = self.encoded_texts(model)
        distiller = Distiller(
            model,
            teacher,
            distillation_alpha=config.distillation_alpha,
            hidden_loss_weight=config.hidden_loss_weight,
            token_replacement_rate=config.token_replacement_rate,
            seed=config.seed,
        )
        steps = config.epochs * steps_per_epoch(texts.ids, config.batch_size)
        distiller.compile(
            make_optimizer(config, steps, model.config),
            SoftRoutingLoss(config.loss, label_smoothing=config.label_smoothing),
            weighted_metrics=exit_metrics(model.config.num_blocks, model.policy, model.value_scale),
        )
        return distiller, texts, parts

    def encoded_texts(self, model: BEExformerClassifier) -> EncodedTexts:
        """Token ids and targets; a teacher of another shape gives its logits for all texts at once."""
        plan, task = self.plan, self.task
        labels, scale = task.train.labels, task.value_scale
        labels = labels if scale is None else scale.transform(labels)
        asks_once = plan.teacher is not None and not plan.has_shape
        if not (asks_once or plan.unlabelled):
            return EncodedTexts(self.ids["train"], labels)
        teacher = teacher_logits(model, plan.teacher) if asks_once else None  # type: ignore[arg-type]
        report = print if self.verbose and self.writes else lambda line: None
        inputs = plan.unlabelled, plan.preprocessor, teacher
        return encode_texts(self.texts_folder, task, labels, *inputs, report)

    def fit(self, distiller: Distiller, texts: EncodedTexts, parts: Sequence[str]) -> SaveBest:
        """Trains all exits at once; calibrated accuracy decides which epoch is kept."""
        config, model, task = self.config, distiller.student, self.task
        steps = steps_per_epoch(texts.ids, config.batch_size)
        saver = SaveSteps(self.folder / run_folder.CHECKPOINTS, config.save_steps, steps)
        best = SaveBest(self.folder, results.slack(task, config), self.writes)
        options = results.calibration_options(task, model, config)
        binarizers = model.backbone.binarizers()
        callbacks = [
            AnnealBinarization(
                [[*binarizers[part].values()] for part in parts],
                round(config.binarization_fraction * config.epochs * steps),
            ),
            CalibrateExits(self.ids["validation"], task.validation.labels, model.policy, **options),
            *self.callbacks,
            *([StopEarly(self.folder, config.patience)] if config.patience else []),
            best,
            saver,
        ]
        dataset = make_dataset(
            texts.ids,
            texts.targets,
            config.batch_size,
            training=True,
            seed=config.seed,
            epochs=config.epochs,
            first_step=lambda: saver.first_step,
        )
        shown = (1 if sys.stdout.isatty() else 2) if self.verbose == "auto" else self.verbose
        distiller.fit(
            dataset,
            epochs=config.epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=shown if self.writes else 0,
        )
        return best

    def measure(self, model: BEExformerClassifier, history: dict[str, list[float]]) -> Run:
        """The run that ends with this model, measured on held-out texts."""
        return results.measure(model, self.task, self.ids, self.config, self.folder, history)


def _new_model(
    plan: Plan, task: Task, matmul_dtype: str | None = "float32"
) -> BEExformerClassifier:
    """A model with random weights."""
    return BEExformerClassifier(
        plan.model_config,
        plan.preprocessor,
        task.labels,
        exits.get(plan.config.policy or exits.default(task.problem_type)),
        task.value_scale,
        matmul_dtype=matmul_dtype or "float32",
    )
