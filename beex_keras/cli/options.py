"""Options that several commands share, and options that stand for a setting."""

import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import rich_click as click

from beex_keras import fields
from beex_keras.cli.terminal import assignment
from beex_keras.errors import BeexError
from beex_keras.training.recipe import TrainingConfig

if TYPE_CHECKING:
    from beex_keras.data import Task
    from beex_keras.exits import ExitPolicy

POLICIES = fields.choices(TrainingConfig)["policy"]

Decorator = Callable[[Any], Any]


def together(*options: Decorator) -> Decorator:
    """Options as one decorator, in their order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def setting(config: type, name: str, panel: str | None = None, default: Any = None) -> Decorator:
    """An option for a field of a dataclass, which describes it; `default` where it is not given."""
    allowed = fields.choices(config).get(name)
    text = fields.descriptions(config)[name].split("; ")[0].split(", see ")[0].rstrip(".")
    return click.option(
        f"--{name.replace('_', '-')}",
        type=click.Choice(allowed) if allowed else typing.get_type_hints(config)[name],
        default=default,
        show_default=default is not None,
        panel=panel,
        help=f"{text[0].upper()}{text[1:]}.".replace("`", ""),
    )


def data_options(panel: str | None = None) -> Decorator:
    """The argument DATA, and where its parts are: what `load_task` takes."""
    return together(
        click.argument("data", default="rotten_tomatoes"),
        click.option(
            "--data-dir",
            type=click.Path(),
            panel=panel,
            help="Folder with a GLUE download, or with the JSON lines of sick, trec, snips.",
        ),
        click.option(
            "--validation",
            type=click.Path(),
            panel=panel,
            help="Your own validation file; taken out of DATA by default.",
        ),
        click.option(
            "--test",
            type=click.Path(),
            panel=panel,
            help="Your own test file; taken out of DATA by default.",
        ),
        click.option("--text-column", panel=panel, help="Column of the text, 'text' by default."),
        click.option("--pair-column", panel=panel, help="Column of the second text, for pairs."),
        click.option(
            "--label-column", panel=panel, help="Column of the label, 'label' by default."
        ),
    )


policy_options = together(
    click.option(
        "--policy", type=click.Choice(POLICIES), help="Exit policy instead of the model's own."
    ),
    click.option("--threshold", type=float, help="Its threshold."),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
model_argument = click.argument("model", type=click.Path())


def chosen_task(options: dict[str, Any]) -> "Task":
    """The task that `data_options` name."""
    from beex_keras.data import load_task

    names = ("data", "validation", "test", "data_dir", "text_column", "pair_column", "label_column")
    return load_task(**given(options, *names))


def given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of the named options that the user gave."""
    return {name: options[name] for name in names if options[name] is not None}


def assignments(texts: tuple[str, ...], known: list[str], taken: dict[str, Any]) -> dict[str, Any]:
    """The settings of `--set`, none of which may be unknown or among those that are taken."""
    found = dict(map(assignment, texts))
    for name in found:
        if name not in known:
            raise BeexError(f"Unknown setting '{name}'; known are {', '.join(known)}.")
        if name in taken:
            raise BeexError(f"{name} is given twice; leave out --set {name}.")
    return found


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
