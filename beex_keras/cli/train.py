"""`beex train`: from a task to a run folder."""

from pathlib import Path
from typing import Any

import click

from beex_keras.cli.options import (
    BITS,
    POLICIES,
    PRESETS,
    chosen_strategy,
    chosen_task,
    data_options,
    json_option,
    strategy_options,
)
from beex_keras.cli.terminal import assignment, print_figures


@click.command()
@data_options
@click.option("--preset", type=click.Choice(PRESETS), default="tiny", show_default=True)
@click.option("--bits", type=click.Choice(list(BITS)), default="weights-only", show_default=True,
              help="Which of weights and activations are binarized.")  # fmt: skip
@click.option("--embedding-bits", type=click.Choice(["1", "32"]),
              help="Token table; by default 1, and 32 with --bits float.")  # fmt: skip
@click.option("--vocabulary", "vocabulary_file", type=click.Path(),
              help="A vocab.txt; learned from the training split by default.")  # fmt: skip
@click.option("--vocabulary-size", type=int, help="Entries to learn, instead of the preset's.")
@click.option("--pieces/--whole-words", default=None,
              help="Learn a vocabulary with pieces of rare words, or of whole words alone.")  # fmt: skip
@click.option("--max-length", type=int, help="Tokens read of a text, instead of the preset's.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
              help="Any other field of BEExformerConfig; may be repeated.")  # fmt: skip
@click.option("--epochs", type=int)
@click.option("--batch-size", type=int)
@click.option("--learning-rate", type=float)
@click.option("--loss", type=click.Choice(["uniform", "linear", "routed", "last"]),
              help="How the exits' losses are weighted.")  # fmt: skip
@click.option("--policy", type=click.Choice(POLICIES), help="Exit policy to calibrate.")
@click.option("--tolerance", type=float, help="Accuracy that early exit may cost, such as 0.005.")
@click.option("--patience", type=int, help="Stop after so many epochs without improvement.")
@click.option("--seed", type=int)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Time between checkpoints within an epoch.",
)
@click.option("--tensorboard", is_flag=True, help="Write logs for TensorBoard to the run folder.")
@click.option("-o", "--output", type=click.Path(), required=True, help="Run folder.")
@strategy_options
@json_option
def train(**options: Any) -> None:
    """Train a classifier into a run folder; calibrate its exit and test it.

    The same command continues a training that was interrupted.
    """
    from beex_keras.models.config import BEExformerConfig
    from beex_keras.training.config import TrainingConfig

    weight_bits, activation_bits = BITS[options["bits"]]
    overrides: dict[str, Any] = {
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "embedding_bits": int(options["embedding_bits"] or min(32, weight_bits)),
        **dict(assignment(text) for text in options["settings"]),
    }
    for name in ("vocabulary_size", "max_length"):
        if options[name] is not None:
            overrides[name] = options[name]
    model_config = BEExformerConfig.preset(options["preset"], **overrides)
    names = (
        "epochs",
        "batch_size",
        "learning_rate",
        "loss",
        "policy",
        "tolerance",
        "patience",
        "pieces",
    )
    given = {name: options[name] for name in (*names, "seed") if options[name] is not None}
    training_config = TrainingConfig(**given)
    strategy = chosen_strategy(options)
    task = chosen_task(options)

    import tensorflow as tf

    from beex_keras.evaluation import plots
    from beex_keras.text import read_vocabulary
    from beex_keras.training import train as run_recipe
    from beex_keras.training.distribution import is_chief

    callbacks = []
    if options["tensorboard"]:
        callbacks.append(tf.keras.callbacks.TensorBoard(Path(options["output"]) / "tensorboard"))
    file = options["vocabulary_file"]
    run = run_recipe(
        task, model_config, training_config, options["output"],
        vocabulary=read_vocabulary(file) if file else None,
        callbacks=callbacks,
        checkpoint_seconds=options["checkpoint_seconds"],
        verbose=0 if options["as_json"] else "auto",
        strategy=strategy,
    )  # fmt: skip
    if is_chief(strategy):
        plots.save_run_figures(run)
    figures = {
        "run": options["output"],
        "calibration": run.calibration.to_dict(),
        "test": run.evaluation.to_dict(),
    }
    print_figures(figures, options["as_json"], run.evaluation.rows, "Test split")
