"""`beex calibrate`: another exit policy for a trained model."""

from typing import Any

import rich_click as click

from beex_keras.cli.held_out import warn_of_learned_rows
from beex_keras.cli.options import chosen_task, data_options, json_option, model_argument, setting
from beex_keras.cli.terminal import print_figures
from beex_keras.training.recipe import TrainingConfig


@click.command()
@model_argument
@data_options()
@setting(TrainingConfig, "policy")
@setting(TrainingConfig, "tolerance", default=TrainingConfig.tolerance)
@setting(TrainingConfig, "margin", default=TrainingConfig.margin)
@click.option("--figure", type=click.Path(), help="Draw the trade-off curve to this file.")
@json_option
def calibrate(model: str, figure: str | None, as_json: bool, **options: Any) -> None:
    """Choose a Keras MODEL's exit threshold on the validation split, and keep it in MODEL."""
    allowed = {name: options[name] for name in ("tolerance", "margin")}
    TrainingConfig(**allowed)  # raises where they are out of range
    task = chosen_task(options)
    from beex_keras import exits, runtime
    from beex_keras.evaluation import calibrate as choose
    from beex_keras.evaluation import plots
    from beex_keras.evaluation.accounting import relative_costs
    from beex_keras.runtime.measure import known_labels, split_logits

    folder = runtime.model_directory(model)
    classifier = runtime.load_classifier(folder)
    runner = runtime.KerasRunner(classifier)
    labels = known_labels(runner, task, task.validation)
    logits, costs = split_logits(runner, task.validation), relative_costs(classifier.config)
    policy = exits.get(options["policy"] or exits.default(task.is_regression))
    scale = runner.value_scale
    found = choose(policy, logits, labels, costs, **allowed, metric=task.metric, value_scale=scale)
    classifier.policy = found.policy
    if figure:  # first, since its name may be wrong
        plots.save(plots.trade_off(found), figure)
    classifier.save_pretrained(folder)
    warn_of_learned_rows(model, task, "validation", options)
    figures = found.to_dict()
    row = {**figures, "policy": repr(found.policy)}
    print_figures(figures, as_json, lambda: [row], "Validation split")
