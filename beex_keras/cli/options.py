"""Options that several commands share, and what they mean."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beex_keras.cli.terminal import assignment
from beex_keras.errors import BeexError
from beex_keras.precision import KINDS, Precision

if TYPE_CHECKING:
    import tensorflow as tf

    from beex_keras.data import Task
    from beex_keras.exits import ExitPolicy
    from beex_keras.models.config import BEExformerConfig

PRESETS = ("micro", "tiny", "small", "minilm", "base")
POLICIES = ("fractional_entropy", "entropy", "confidence", "patience", "fixed_depth")
STRATEGIES = ("none", "mirrored", "multiworker")


def _together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


data_options = _together(
    click.option("--task", default="rotten_tomatoes", show_default=True,
                 help="A named task, or 'files' for your own."),
    click.option("--data-dir", type=click.Path(),
                 help="Folder with a GLUE download, or with the JSON lines of sick, trec, snips."),
    click.option("--train", "train_file", type=click.Path(),
                 help="Your own .jsonl, .csv or .tsv (task 'files')."),
    click.option("--validation", "validation_file", type=click.Path()),
    click.option("--test", "test_file", type=click.Path()),
    click.option("--text-column", default="text", show_default=True),
    click.option("--pair-column", help="Column of the second sentence, for pairs."),
    click.option("--label-column", default="label", show_default=True),
)  # fmt: skip

model_options = _together(
    click.option("--preset", type=click.Choice(PRESETS), default="tiny", show_default=True),
    click.option("--bits", type=click.Choice(list(KINDS)), default="weights-only", show_default=True,
                 help="Which of weights and activations are binarized."),
    click.option("--embedding-bits", type=click.Choice(["1", "32"]),
                 help="Token table; by default 1, and 32 with --bits float."),
    click.option("--vocabulary", "vocabulary_file", type=click.Path(),
                 help="A vocab.txt; learned from the training texts by default."),
    click.option("--vocabulary-size", type=int, help="Entries to learn, instead of the preset's."),
    click.option("--pieces/--whole-words", default=None,
                 help="Learn a vocabulary with pieces of rare words, or of whole words alone."),
    click.option("--max-length", type=int, help="Tokens read of a text, instead of the preset's."),
    click.option("--set", "settings", multiple=True, metavar="NAME=VALUE",
                 help="Any other field of BEExformerConfig; may be repeated."),
)  # fmt: skip

RUN_SETTINGS = ("epochs", "batch_size", "learning_rate", "patience", "seed")

run_options = _together(
    click.option("--epochs", type=int),
    click.option("--batch-size", type=int),
    click.option("--learning-rate", type=float),
    click.option("--patience", type=int, help="Stop after so many epochs without improvement."),
    click.option("--seed", type=int),
    click.option("--checkpoint-seconds", type=click.FloatRange(min=0), default=60.0,
                 show_default=True, help="Time between checkpoints within an epoch."),
    click.option("--tensorboard", is_flag=True,
                 help="Write logs for TensorBoard to the run folder."),
    click.option("-o", "--output", type=click.Path(), required=True, help="Run folder."),
)  # fmt: skip

policy_options = _together(
    click.option("--policy", type=click.Choice(POLICIES),
                 help="Exit policy instead of the model's own."),
    click.option("--threshold", type=float, help="Its threshold."),
)  # fmt: skip

start_options = _together(
    click.option("--init-layers", metavar="N,N,…",
                 help="The donor's layer for each block, from 0; the first ones by default."),
    click.option("--anneal", type=float,
                 help="Share of the steps in which a start from real weights turns binary."),
    click.option("--precision", type=click.Choice(["float32", "bfloat16"]),
                 help="Of the matrices' products while training."),
)  # fmt: skip

strategy_options = _together(
    click.option("--strategy", type=click.Choice(STRATEGIES), default="none", show_default=True,
                 help="Share each step among this machine's devices, or the workers in TF_CONFIG."),
    click.option("--wait-seconds", type=click.FloatRange(min=0), default=300.0, show_default=True,
                 help="Time that the workers have to find each other."),
)  # fmt: skip

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
model_argument = click.argument("model", type=click.Path())


def chosen_task(options: dict[str, Any]) -> "Task":
    """The task that `data_options` name."""
    from beex_keras.data import load_task

    name = options["task"]
    own = {part: options[f"{part}_file"] for part in ("train", "validation", "test")}
    if own["train"] is None and (own["validation"] or own["test"]):
        raise BeexError("--validation and --test need --train beside them; name the training file.")
    return load_task(
        "files" if own["train"] else name,
        data_dir=options["data_dir"],
        text_column=options["text_column"],
        pair_column=options["pair_column"],
        label_column=options["label_column"],
        **own,
    )


def chosen_strategy(options: dict[str, Any]) -> "tf.distribute.Strategy":
    """The strategy that `strategy_options` name, made before TensorFlow computes anything."""
    from beex_keras.training.distribution import make_strategy

    def report(sentence: str) -> None:
        click.echo(sentence, err=True)

    return make_strategy(options["strategy"], options["wait_seconds"], report)


def chosen_model(options: dict[str, Any], **defaults: Any) -> "BEExformerConfig":
    """The configuration that `model_options` ask for; `defaults` replace some of the preset's."""
    from beex_keras.models.config import BEExformerConfig

    embedding_bits = options["embedding_bits"]
    others = {"embedding": int(embedding_bits)} if embedding_bits else {}
    return BEExformerConfig.preset(
        options["preset"],
        **{
            **defaults,
            **Precision.named(options["bits"], **others).bits(),
            **dict(assignment(text) for text in options["settings"]),
            **given(options, "vocabulary_size", "max_length"),
        },
    )


def given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of the named options that the user gave."""
    return {name: options[name] for name in names if options[name] is not None}


def run_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """What `model_options` and `run_options` mean for `train` beside the settings."""
    import tensorflow as tf

    from beex_keras.text import read_vocabulary

    file, folder = options["vocabulary_file"], Path(options["output"]) / "tensorboard"
    return {
        "vocabulary": read_vocabulary(file) if file else None,
        "callbacks": [tf.keras.callbacks.TensorBoard(folder)] if options["tensorboard"] else [],
        "checkpoint_seconds": options["checkpoint_seconds"],
        "verbose": 0 if options["as_json"] else "auto",
    }


def chosen_policy(own: "ExitPolicy", name: str | None, threshold: float | None) -> "ExitPolicy":
    """The model's own policy, or the one that the options ask for."""
    from beex_keras import exits

    if name is None:
        return own if threshold is None else own.with_threshold(_number(threshold))
    if threshold is None:
        raise BeexError("--policy needs --threshold beside it; or calibrate with 'beex calibrate'.")
    return exits.get(name).with_threshold(_number(threshold))


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def chosen_layers(options: dict[str, Any]) -> list[int] | None:
    """The donor's layers that `--init-layers` names.

    Raises:
        BeexError: they are no numbers.
    """
    if options["init_layers"] is None:
        return None
    try:
        return [int(number) for number in options["init_layers"].split(",")]
    except ValueError:
        raise BeexError(
            f"--init-layers {options['init_layers']} must be whole numbers, such as 0,2,4."
        ) from None
