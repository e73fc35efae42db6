"""`beex evaluate`: how good a model is, and what its exits save."""

from typing import Any

import rich_click as click

from beex_keras.cli.options import (
    chosen_policy,
    chosen_task,
    data_options,
    json_option,
    model_argument,
    policy_options,
)
from beex_keras.cli.terminal import print_figures

SPLITS = click.Choice(["train", "validation", "test"])


@click.command()
@model_argument
@data_options()
@click.option("--split", type=SPLITS, default="test", show_default=True)
@policy_options
@json_option
def evaluate(model: str, split: str, as_json: bool, **options: Any) -> None:
    """Accuracy of a MODEL (as for predict) with its policy, and at each exit if it computes all."""
    task = chosen_task(options)
    from beex_keras import runtime

    runner = runtime.load(model)
    rule = chosen_policy(runner.policy, options)
    found = runtime.evaluate_runner(runner, task, getattr(task, split), rule)
    print_figures(found.to_dict(), as_json, found.rows, f"{task.name}, {split} split")
