"""`beex evaluate`: how good a model is, and what its exits save."""

from typing import Any

import rich_click as click

from beex_keras.cli.held_out import warn_of_learned_rows
from beex_keras.cli.options import (
    chosen_policy,
    chosen_task,
    data_options,
    is_alone,
    json_option,
    model_argument,
    policy_options,
    require_data,
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
    if is_alone(options, "test") and split != "test":
        raise BeexError(f"--split {split} needs DATA; add it, or leave out --split.")
    require_data(options, "test")
    from beex_keras import evaluation, runtime

    runner = runtime.load(model)
    task = chosen_task(options, "test", runner)
    rule, rows = chosen_policy(runner.policy, options), task.splits()[split]
    found = evaluation.evaluate_runner(runner, task, rows, rule)
    warn_of_learned_rows(model, task, split, options)
    title = f"{task.name}, {split} split of {len(rows):,} texts"
    print_figures(found.to_dict(), as_json, found.rows, title)
