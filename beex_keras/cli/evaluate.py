"""`beex evaluate`: how good a model is, and what its exits save."""

from typing import Any

import rich_click as click

from beex_keras.cli.held_out import warn_of_learned_rows
from beex_keras.cli.options import (
    chosen_file,
    chosen_policy,
    chosen_task,
    data_options,
    is_alone,
    json_option,
    model_argument,
    policy_options,
)
from beex_keras.cli.terminal import print_figures
from beex_keras.errors import BeexError

SPLITS = click.Choice(["train", "validation", "test"])


@click.command()
@model_argument
@data_options()
@click.option(
    "--split", type=SPLITS, default="test", show_default=True, help="Evaluate on this split."
)
@policy_options
@json_option
def evaluate(model: str, split: str, as_json: bool, **options: Any) -> None:
    """Measure the accuracy of a MODEL with its exit policy.

    MODEL is anything that 'beex predict' accepts. If it computes all exits, the command also measures
    the accuracy at each of them. Without DATA, it evaluates all rows of the file --test.
    """
    alone = is_alone(options, "test")
    if alone and split != "test":
        raise BeexError(f"--split {split} needs DATA; add it, or leave out --split.")
    task = None if alone else chosen_task(options)
    from beex_keras import runtime

    runner = runtime.load(model)
    if task is None:
        task = chosen_file(options, "test", runner.labels, runner.config.is_regression)
    rule = chosen_policy(runner.policy, options)
    found = runtime.evaluate_runner(runner, task, getattr(task, split), rule)
    if not alone:
        warn_of_learned_rows(model, task, split, options)
    print_figures(found.to_dict(), as_json, found.rows, f"{task.name}, {split} split")
