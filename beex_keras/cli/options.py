"""Options that several commands share, and what they mean."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from beex_keras.errors import BeexError

if TYPE_CHECKING:
    import tensorflow as tf

    from beex_keras.data import Task
    from beex_keras.exits import ExitPolicy

PRESETS = ("micro", "tiny", "small", "minilm", "base")
POLICIES = ("fractional_entropy", "entropy", "confidence", "patience", "fixed_depth")
STRATEGIES = ("none", "mirrored", "multiworker")
BITS = {"float": (32, 32), "weights-only": (1, 32), "fully-binary": (1, 1)}


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

policy_options = _together(
    click.option("--policy", type=click.Choice(POLICIES),
                 help="Exit policy instead of the model's own."),
    click.option("--threshold", type=float, help="Its threshold."),
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
