"""`beex train`: the arguments of `beex_keras.train` as options."""

import sys
from contextlib import nullcontext, redirect_stdout
from typing import Any

import rich_click as click

from beex_keras import fields
from beex_keras.cli.options import assignments, chosen_data, data_options, given, setting
from beex_keras.cli.terminal import print_figures
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.precision import KINDS
from beex_keras.training.config import RECIPES, TrainingConfig

_OTHERS = ("data", "train", "unlabelled", "max_length", "output", "as_json", "settings")
"""Options that are no arguments of `beex_keras.train`, or that it names otherwise."""

_MODEL_FIELDS = fields.names(BEExformerConfig)


@click.command()
@data_options("Data")
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    panel="Model",
    help="Choose the size; the default is that of the start, or 'tiny' for random weights.",
)
@click.option(
    "--bits",
    type=click.Choice(list(KINDS)),
    panel="Model",
    help="Choose what is binarized; the default is 'weights-only'.",
)
# --set has what is hidden; the help stays short.
@setting(BEExformerConfig, "max_length", "Model", hidden=True)
@click.option(
    "--init",
    type=click.Path(),
    panel="Start",
    help="Start from these weights: 'minilm', 'binary-minilm' or 'binary-minilm-pairs', a folder of a BERT-style "
    "encoder, a run folder, a .keras or .beex file, the name of a packaged model, or 'none' for random weights. The "
    "default with at most 200,000 labelled texts and no --preset is a packaged binary MiniLM.",
)
@click.option(
    "--teacher",
    type=click.Path(),
    panel="Start",
    help="Learn from this model's outputs beside the labels; takes the values of --init.",
)
@click.option(
    "--unlabelled",
    type=click.Path(),
    multiple=True,
    panel="Start",
    help="Learn from the teacher's answers to the texts of this file, one a line; may be repeated.",
)
@click.option(
    "--recipe",
    type=click.Choice(list(RECIPES)),
    panel="Training",
    help="Take the defaults from this recipe; by default the number of texts and the start choose it.",
)
@setting(TrainingConfig, "epochs", "Training")
@setting(TrainingConfig, "learning_rate", "Training", hidden=True)
@setting(TrainingConfig, "seed", "Training")
@setting(TrainingConfig, "policy", "Exit")
@setting(TrainingConfig, "tolerance", "Exit")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    panel="Run",
    help="Write the run to this folder.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    panel="Run",
    help="Set any other field of the configuration, such as batch_size=32; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, panel="Run", help="Print JSON instead of a table.")
def train(**options: Any) -> None:
    """Train a classifier on DATA, calibrate its exit and test it.

    DATA is a .jsonl, .json, .csv or .tsv file with texts and labels, a folder with train.csv and other
    splits, or rotten_tomatoes, the example task. The same command continues a training that was interrupted.
    """
    arguments = given(options, *(name for name in options if name not in _OTHERS))
    model = given(options, "max_length")
    known = sorted(
        {*fields.names(TrainingConfig), *_MODEL_FIELDS, "both_orders", "clip"} - {"model"}
    )
    for name, value in assignments(options["settings"], known, {**arguments, **model}).items():
        (model if name in _MODEL_FIELDS else arguments)[name] = value
    if files := options["unlabelled"]:
        arguments["unlabelled"] = files
    data, output, as_json = chosen_data(options), options["output"], options["as_json"]

    from beex_keras.evaluation import plots
    from beex_keras.training import train as run_training

    # Progress is no JSON, and goes where warnings go.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        run = run_training(data, output, model=model, **arguments)
    plots.save_run_figures(run)
    calibration, test = run.calibration.to_dict(), run.evaluation.to_dict()
    figures = {"run": output, "calibration": calibration, "test": test}
    print_figures(figures, as_json, run.evaluation.rows, "Test split")
