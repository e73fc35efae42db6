"""`beex train`: the arguments of `beex_keras.train` as options."""

import sys
from contextlib import nullcontext, redirect_stdout
from typing import Any

import rich_click as click

from beex_keras.cli.options import assignments, chosen_data, data_options, given, setting
from beex_keras.cli.terminal import print_figures
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.precision import KINDS
from beex_keras.training.recipe import TrainingConfig

_ARGUMENTS = (
    *("data", "train", "validation", "test", "init", "teacher", "unlabelled"),
    *("output", "as_json", "settings"),
)


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
    "encoder, a run folder, a .keras or .beex file, the name of a packaged model, or 'none' for random ones. The "
    "default for English texts with at most 200,000 labels and no --preset is a packaged binary MiniLM; with "
    "--unlabelled or '--teacher twin' it is 'minilm'.",
)
@click.option(
    "--teacher",
    type=click.Path(),
    panel="Start",
    help="Learn from this model's outputs beside the labels; takes what --init takes, or 'twin', which "
    "trains the float32 twin first and is the default with few labels, or 'none'.",
)
@click.option(
    "--unlabelled",
    type=click.Path(),
    multiple=True,
    panel="Start",
    help="Learn from the teacher's answers to the texts of this file, one a line; may be repeated.",
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

    DATA is a .jsonl, .json, .csv or .tsv file with texts and labels, or the name of a task, such as
    rotten_tomatoes or glue/sst2. The same command continues a training that was interrupted.
    """
    from beex_keras.training import arguments

    chosen = given(options, *(name for name in options if name not in _ARGUMENTS))
    known = sorted({*arguments.known(), "strategy", "vocabulary"})
    chosen |= assignments(options["settings"], known, chosen)

    from beex_keras.evaluation import plots
    from beex_keras.training import train as run_training

    output, as_json = options["output"], options["as_json"]
    chosen |= given(options, "validation", "test", "init", "teacher")
    chosen |= {"unlabelled": files} if (files := options["unlabelled"]) else {}
    # Progress is no JSON, and goes where warnings go.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        run = run_training(chosen_data(options), output, **chosen)
    if run.is_chief:
        plots.save_run_figures(run)
    calibration, test = run.calibration.to_dict(), run.evaluation.to_dict()
    figures = {"run": output, "calibration": calibration, "test": test, "baselines": run.baselines}

    def rows() -> list[dict[str, Any]]:
        baselines = run.baselines.items()
        others = [{"exit": name, run.evaluation.metric: value} for name, value in baselines]
        return [*run.evaluation.rows(), *others]

    print_figures(figures, as_json, rows, "Test split")
