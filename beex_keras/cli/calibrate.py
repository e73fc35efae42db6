"""`beex calibrate`: another exit policy for a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import rich_click as click

from beex_keras.cli.held_out import warn_of_learned_rows
from beex_keras.cli.options import (
    chosen_task,
    data_options,
    json_option,
    model_argument,
    require_data,
    setting,
)
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError
from beex_keras.files import read_bytes, write_atomically
from beex_keras.training.config import TrainingConfig

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

    A weights-only run gets a second threshold, for the 8-bit activations that 'beex convert' gives it.
    """
    allowed = {name: options[name] for name in ("tolerance", "margin")}
    TrainingConfig(**allowed)  # raises where they are out of range
    require_data(options, "validation")
    from beex_keras.evaluation import plots

    by_bits, classifier, task = _chosen(model, options, allowed)
    found = next(iter(by_bits.values()))
    if figure:  # first, since its name may be wrong
        plots.save(plots.trade_off(found), figure)
    if classifier is None:
        _keep_in_file(found, model)
    else:
        _keep_in_run(by_bits, classifier, model)
    warn_of_learned_rows(model, task, "validation", options)
    figures = found.to_dict()
    row = {**figures, "policy": repr(found.policy)}
    print_figures(figures, as_json, lambda: [row], "Validation split")


def _chosen(
    model: str, options: dict[str, Any], allowed: dict[str, Any]
) -> tuple[dict[int, "Calibration"], "BEExformerClassifier | None", "Task"]:
    """Calibrations by bits of activations, the model's own first; the Keras model of a run; and the task.

    A file is closed, so that it can be replaced.
    """
    from beex_keras import exits
    from beex_keras.evaluation import calibrate as choose
    from beex_keras.evaluation.accounting import relative_costs
    from beex_keras.evaluation.scores import split_labels, split_logits

    runner = _load(model)
    task = chosen_task(options, "validation", runner)
    labels, costs = split_labels(runner, task, task.validation), relative_costs(runner.config)
    policy = exits.get(options["policy"] or exits.default(task.problem_type))
    chosen = {**allowed, "metric": task.metric, "value_scale": runner.task.scaler}
    classifier, runners = None, [runner]
    if not Path(model).is_file():
        from beex_keras.runtime import KerasRunner

        classifier = cast(KerasRunner, runner).classifier
        if classifier.config.precision.name == "weights-only":
            runners.append(KerasRunner(classifier.with_activations(8)))
    by_bits = {
        each.config.activation_bits: choose(
            policy, split_logits(each, task.validation), labels, costs, **chosen
        )
        for each in runners
    }
    return by_bits, classifier, task


def _load(model: str) -> "Runner":
    from beex_keras import pretrained, runtime

    path = pretrained.find(model)
    if path.suffix != ".beex" or path.is_dir():
        from beex_keras.models.saving import model_directory

        return runtime.load(model_directory(path))
    if not Path(model).exists():
        fix = f"make a file of it by `beex convert {model} -o {model}.beex`, and calibrate that"
        raise BeexError(f"The packaged model {model} stays as it is; {fix}.")
    return runtime.load(path)


def _keep_in_file(found: "Calibration", file: str) -> None:
    from beex_keras.export import beex

    data, figures = read_bytes(file, "model"), found.to_dict()
    write_atomically(file, beex.rewrite(data, policy=found.policy, calibration=figures))


def _keep_in_run(
    by_bits: dict[int, "Calibration"], classifier: "BEExformerClassifier", model: str
) -> None:
    from beex_keras.models.saving import model_directory
    from beex_keras.training import run_folder

    if (Path(model) / run_folder.RESULTS).is_file():
        figures = {bits: found.to_dict() for bits, found in by_bits.items()}
        run_folder.save_calibrations(Path(model), figures)
    classifier.policy = by_bits[classifier.config.activation_bits].policy
    classifier.save_pretrained(model_directory(model))
