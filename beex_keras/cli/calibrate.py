"""`beex calibrate`: another exit policy for a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import rich_click as click

from beex_keras.cli.held_out import warn_of_learned_rows
from beex_keras.cli.options import (
    chosen_data,
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
    from beex_keras.runtime import Runner


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

    A weights-only run has a second threshold, for the activations of 8 bits to which it is converted.
    """
    allowed = {name: options[name] for name in ("tolerance", "margin")}
    TrainingConfig(**allowed)  # raises where they are out of range
    if not is_alone(options, "validation"):
        chosen_data(options)  # raises before the model is loaded, which takes longer
    from beex_keras.evaluation import plots

    both, classifier, task = _chosen(model, options, allowed)
    found = both[0]
    if figure:  # first, since its name may be wrong
        plots.save(plots.trade_off(found), figure)
    _keep(both, classifier, model)
    if not is_alone(options, "validation"):
        warn_of_learned_rows(model, task, "validation", options)
    figures = found.to_dict()
    row = {**figures, "policy": repr(found.policy)}
    print_figures(figures, as_json, lambda: [row], "Validation split")


def _chosen(
    model: str, options: dict[str, Any], allowed: dict[str, Any]
) -> tuple[list["Calibration"], "BEExformerClassifier | None", "Task"]:
    """The calibration, of a weights-only run also the one for activations of 8 bits; the run's Keras model; the task.

    A file is closed, so that it can be replaced.
    """
    from beex_keras import exits
    from beex_keras.evaluation import calibrate as choose
    from beex_keras.evaluation.accounting import relative_costs
    from beex_keras.runtime.measure import known_labels, split_logits

    runner = _load(model)
    is_regression = runner.config.is_regression
    if is_alone(options, "validation"):
        task = chosen_file(options, "validation", runner.labels, is_regression)
    else:
        task = chosen_task(options, is_regression)
    labels, costs = known_labels(runner, task, task.validation), relative_costs(runner.config)
    policy = exits.get(options["policy"] or exits.default(task.is_regression))
    chosen = {**allowed, "metric": task.metric, "value_scale": runner.value_scale}
    classifier, runners = None, [runner]
    if not Path(model).is_file():
        from beex_keras.runtime import KerasRunner

        classifier = cast(KerasRunner, runner).classifier
        if classifier.config.precision.name == "weights-only":
            runners.append(KerasRunner(classifier.with_activations(8)))
    found = [
        choose(policy, split_logits(each, task.validation), labels, costs, **chosen)
        for each in runners
    ]
    return found, classifier, task


def _load(model: str) -> "Runner":
    from beex_keras import pretrained, runtime

    path = pretrained.find(model)
    if path.suffix != ".beex" or path.is_dir():
        return runtime.load(runtime.model_directory(path))
    if not Path(model).exists():
        fix = f"make a file of it by `beex convert {model} -o {model}.beex`, and calibrate that"
        raise BeexError(f"The packaged model {model} stays as it is; {fix}.")
    return runtime.load(path)


def _keep(both: list["Calibration"], classifier: "BEExformerClassifier | None", model: str) -> None:
    found = both[0]
    if classifier is None:
        from beex_keras.export import beex

        data, figures = read_bytes(model, "model"), found.to_dict()
        write_atomically(model, beex.rewrite(data, policy=found.policy, calibration=figures))
        return
    from beex_keras.runtime import model_directory
    from beex_keras.training import run_folder

    if (Path(model) / run_folder.RESULTS).is_file():
        bits = classifier.config.activation_bits, 8
        by_bits = {number: each.to_dict() for number, each in zip(bits, both, strict=False)}
        run_folder.save_calibrations(Path(model), by_bits)
    classifier.policy = found.policy
    classifier.save_pretrained(model_directory(model))
