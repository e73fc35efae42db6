"""Options that several commands share, and options that stand for a setting."""

import json
import os
import typing
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import rich_click as click

from beex_keras import fields
from beex_keras.errors import BeexError
from beex_keras.tasks import PROBLEM_TYPES
from beex_keras.training.config import TrainingConfig

if TYPE_CHECKING:
    from beex_keras.data import Task
    from beex_keras.exits import ExitPolicy
    from beex_keras.runtime import Runner
    from beex_keras.tasks import TextTask

Decorator = Callable[[Any], Any]


def together(*options: Decorator) -> Decorator:
    """Options as one decorator, in their order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _choices(config: type, name: str) -> list[str]:
    """The values that a field of a dataclass may have, except None."""
    return [value for value in fields.choices(config).get(name, ()) if value is not None]


def setting(
    config: type,
    name: str,
    panel: str | None = None,
    default: Any = None,
    hidden: bool = False,
) -> Decorator:
    """An option for a field of a dataclass, which describes it; `default` where it is not given.

    One that is hidden works, and the help leaves it out.
    """
    allowed = _choices(config, name)
    text = fields.descriptions(config)[name].split("; ")[0].split(", see ")[0].rstrip(".")
    return click.option(
        f"--{name.replace('_', '-')}",
        type=click.Choice(allowed) if allowed else typing.get_type_hints(config)[name],
        default=default,
        show_default=default is not None,
        panel=panel,
        hidden=hidden,
        help=f"{text[0].upper()}{text[1:]}.".replace("`", ""),
    )


def data_options(panel: str | None = None) -> Decorator:
    """The argument DATA, and where its parts are: what `load_task` takes."""
    option = partial(click.option, panel=panel)
    path = partial(option, type=click.Path())
    return together(
        click.argument("data", required=False),
        # DATA by another name, beside --validation and --test; the help stays short.
        path("--train", hidden=True),
        path(
            "--validation", help="Validate on this file; by default some rows of DATA are held out."
        ),
        path("--test", help="Test on this file; by default some rows of DATA are held out."),
        option("--text-column", help="Name the column that holds the text; the default is 'text'."),
        option("--pair-column", help="Name the column that holds the second text of a pair."),
        option(
            "--label-column", help="Name the column that holds the label; the default is 'label'."
        ),
        option(
            "--task-kind",
            type=click.Choice(PROBLEM_TYPES),
            help="Say whether labels are classes or numbers; by default they are numbers if all of them are "
            "and not all are whole.",
        ),
    )


policy_options = together(
    click.option(
        "--policy",
        type=click.Choice(_choices(TrainingConfig, "policy")),
        help="Use this exit policy instead of the model's own.",
    ),
    click.option("--threshold", type=float, help="Set the threshold of the exit policy."),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
model_argument = click.argument("model", type=click.Path())


def chosen_data(options: dict[str, Any]) -> str:
    """What DATA or --train names."""
    data, train = options["data"], options["train"]
    if data is not None and train is not None:
        raise BeexError("--train names the same as DATA; leave one of them out.")
    if not (data or train):
        raise BeexError(
            "There is no DATA; give a file with texts and labels, or rotten_tomatoes, the example task."
        )
    return data or train


def is_alone(options: dict[str, Any], split: str) -> bool:
    """Whether the file of a split is given without DATA."""
    return options[split] is not None and options["data"] is options["train"] is None


def require_data(options: dict[str, Any], split: str) -> None:
    """Raises `BeexError` unless DATA or the file of a split is given: before a model is loaded, which takes longer."""
    if not is_alone(options, split):
        chosen_data(options)


def chosen_task(options: dict[str, Any], split: str, runner: "Runner") -> "Task":
    """The task that `data_options` name, or that of a split's file alone; its labels are what the model answers."""
    from beex_keras.data import load_task

    if is_alone(options, split):
        return _chosen_file(options, split, runner.task)
    names = ("validation", "test", "text_column", "pair_column", "label_column")
    data, found = chosen_data(options), given(options, *names, "task_kind")
    if os.path.exists(data):  # the example task has a kind of its own
        found = {"task_kind": runner.task.problem_type, **found}
    return load_task(data, **found)


def _chosen_file(options: dict[str, Any], split: str, kind: "TextTask") -> "Task":
    from beex_keras.data.loading import load_file
    from beex_keras.data.rows import Columns

    for name in ("validation", "test", "task_kind"):
        if name != split and options[name] is not None:
            raise BeexError(f"--{name.replace('_', '-')} needs DATA; add it, or leave this out.")
    columns = given(options, "text_column", "pair_column", "label_column")
    named = Columns(**{name.removesuffix("_column"): value for name, value in columns.items()})
    return load_file(options[split], named, kind)


def given(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of the named options that the user gave."""
    return {name: options[name] for name in names if options[name] is not None}


def assignments(texts: tuple[str, ...], known: list[str], taken: dict[str, Any]) -> dict[str, Any]:
    """The settings of `--set`: NAME=VALUE with a JSON value, or else a plain string.

    None may be unknown, or among those that are `taken`.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise BeexError(f"--set {text} must have the form NAME=VALUE.")
        fields.check_known(name, known)
        if name in taken or name in found:
            raise BeexError(f"{name} is given twice; leave out --set {name}.")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def chosen_policy(own: "ExitPolicy", options: dict[str, Any]) -> "ExitPolicy":
    """The model's own policy, or the one that `policy_options` ask for."""
    from beex_keras import exits

    name, threshold = options["policy"], options["threshold"]
    if threshold is None:
        if name is None:
            return own
        raise BeexError(
            "--policy needs --threshold; add it, or choose a threshold with 'beex calibrate'."
        )
    rule = own if name is None else exits.get(name)
    return rule.with_threshold(threshold)
