"""`beex train`: from a task to a run folder."""

from typing import Any

import click

from beex_keras.cli.options import (
    POLICIES,
    RUN_SETTINGS,
    chosen_model,
    chosen_task,
    data_options,
    given,
    json_option,
    model_options,
    run_arguments,
    run_options,
)
from beex_keras.cli.terminal import print_figures


@click.command()
@data_options
@model_options
@click.option("--init", type=click.Path(),
              help="Start from the encoder in the run folder of a 'beex pretrain'.")  # fmt: skip
@click.option("--loss", type=click.Choice(["uniform", "linear", "routed", "last"]),
              help="How the exits' losses are weighted.")  # fmt: skip
@click.option("--policy", type=click.Choice(POLICIES), help="Exit policy to calibrate.")
@click.option("--tolerance", type=float, help="Accuracy that early exit may cost, such as 0.005.")
@run_options
@json_option
def train(**options: Any) -> None:
    """Train a classifier into a run folder; calibrate its exit and test it.

    The same command continues a training that was interrupted.
    """
    from beex_keras.training.config import TrainingConfig

    model_config = chosen_model(options)
    training_config = TrainingConfig(
        **given(options, *RUN_SETTINGS, "loss", "policy", "tolerance", "pieces")
    )
    task = chosen_task(options)

    from beex_keras.evaluation import plots
    from beex_keras.training import PretrainedEncoder
    from beex_keras.training import train as run_recipe

    run = run_recipe(
        task,
        model_config,
        training_config,
        options["output"],
        init=PretrainedEncoder(options["init"]) if options["init"] else None,
        **run_arguments(options),
    )
    plots.save_run_figures(run)
    figures = {
        "run": options["output"],
        "calibration": run.calibration.to_dict(),
        "test": run.evaluation.to_dict(),
    }
    print_figures(figures, options["as_json"], run.evaluation.rows, "Test split")
