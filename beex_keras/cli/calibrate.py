"""`beex calibrate`: another exit policy for a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import rich_click as click

from beex_keras.cli.held_out import warn_of_learned_rows
from beex_keras.cli.options import (
    chosen_file,
    chosen_task,
    data_options,
    is_alone,
    json_option,
    model_argument,
    setting,
)
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
from beex_keras.files import read_bytes, write_atomically
from beex_keras.training.recipe import TrainingConfig

if TYPE_CHECKING:
    from beex_keras.data import Task
    from beex_keras.evaluation.calibration import Calibration
    from beex_keras.models import BEExformerClassifier
    from beex_keras.runtime import KerasRunner, Runner


@click.command()
@model_argument
@data_options()
@setting(TrainingConfig, "policy")
@setting(TrainingConfig, "tolerance", default=TrainingConfig.tolerance)
@setting(TrainingConfig, "margin", default=TrainingConfig.margin)
@click.option("--figure", type=click.Path(), help="Draw the trade-off curve to this file.")
@json_option
def calibrate(model: str, figure: str | None, as_json: bool, **options: Any) -> None:
    """Choose a MODEL's exit threshold on the validation split, and keep it in MODEL.

    MODEL is a run folder or a .beex file. Without DATA, the command uses all rows of the file --validation.
    """
    allowed = {name: options[name] for name in ("tolerance", "margin")}
    TrainingConfig(**allowed)  # raises where they are out of range
    alone = is_alone(options, "validation")
    task = None if alone else chosen_task(options)
    from beex_keras.evaluation import plots

    found, classifier = _chosen(model, task, options, allowed)
    if figure:  # first, since its name may be wrong
        plots.save(plots.trade_off(found), figure)
    _keep(found, classifier, model)
    if task is not None:
        warn_of_learned_rows(model, task, "validation", options)
    figures = found.to_dict()
    row = {**figures, "policy": repr(found.policy)}
    print_figures(figures, as_json, lambda: [row], "Validation split")


def _chosen(
    model: str, task: "Task | None", options: dict[str, Any], allowed: dict[str, float]
) -> tuple["Calibration", "BEExformerClassifier | None"]:
    """The calibration, and the Keras model of a run folder; a file is closed, so that it can be replaced."""
    from beex_keras import exits
    from beex_keras.evaluation import calibrate as choose
    from beex_keras.evaluation.accounting import relative_costs
    from beex_keras.runtime.measure import known_labels, split_logits

    runner = _load(model)
    if task is None:
        task = chosen_file(options, "validation", runner.labels, runner.config.is_regression)
    labels = known_labels(runner, task, task.validation)
    logits, costs = split_logits(runner, task.validation), relative_costs(runner.config)
    policy = exits.get(options["policy"] or exits.default(task.is_regression))
    scale = runner.value_scale
    found = choose(policy, logits, labels, costs, **allowed, metric=task.metric, value_scale=scale)
    return found, None if Path(model).is_file() else cast("KerasRunner", runner).classifier


def _load(model: str) -> "Runner":
    from beex_keras import pretrained, runtime

    path = pretrained.find(model)
    if path.suffix != ".beex" or path.is_dir():
        return runtime.load(runtime.model_directory(path))
    if not Path(model).exists():
        fix = f"make a file of it by `beex convert {model} -o {model}.beex`, and calibrate that"
        raise BeexError(f"The packaged model {model} stays as it is; {fix}.")
    return runtime.load(path)


def _keep(found: "Calibration", classifier: "BEExformerClassifier | None", model: str) -> None:
    if classifier is None:
        from beex_keras.export import beex

        data, figures = read_bytes(model, "model"), found.to_dict()
        write_atomically(model, beex.rewrite(data, policy=found.policy, calibration=figures))
        return
    from beex_keras.runtime import model_directory

    classifier.policy = found.policy
    classifier.save_pretrained(model_directory(model))
