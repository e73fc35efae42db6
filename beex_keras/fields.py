"""Dataclasses whose fields are settings: checked when made, described by their docstring."""

import dataclasses
import difflib
import inspect
import itertools
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from beex_keras.errors import BeexError

_FIELD = re.compile(r"^(\w+(?:, \w+)*): (.*(?:\n +.*)*)", re.MULTILINE)


def names(config: type) -> list[str]:
    """Names of a dataclass' fields."""
    return [field.name for field in dataclasses.fields(config)]


def descriptions(config: type) -> dict[str, str]:
    """What the section "Attributes" of a dataclass' docstring says of each field."""
    section = inspect.getdoc(config).split("Attributes:\n")[1].split("\n\n")[0]  # type: ignore[union-attr]
    found = {}
    for match in _FIELD.finditer(inspect.cleandoc(section)):
        for name in match[1].split(", "):
            found[name] = " ".join(match[2].split())
    return found


def choices(config: type) -> dict[str, tuple[Any, ...]]:
    """The values that a field's type allows, of each field whose type is `Literal`, or that or None."""
    found = {}
    for name, hint in typing.get_type_hints(config).items():
        kinds = typing.get_args(hint) if type(None) in typing.get_args(hint) else (hint,)
        if any(typing.get_origin(kind) is typing.Literal for kind in kinds):
            values = (typing.get_args(kind) or (None,) for kind in kinds)
            found[name] = tuple(itertools.chain(*values))
    return found


def check_known(name: str, known: Sequence[str]) -> None:
    """Raises `BeexError` if there is no setting of that name; the error names those most like it, or all."""
    if name in known:
        return
    if like := difflib.get_close_matches(name, known):
        raise BeexError(f"There is no setting '{name}'; did you mean {' or '.join(like)}?")
    raise BeexError(f"There is no setting '{name}'; the settings are {', '.join(known)}.")


def check_choices(config: Any) -> None:
    """Raises `BeexError` if a field has a value that its `Literal` type does not allow."""
    for name, allowed in choices(type(config)).items():
        value = getattr(config, name)
        if value not in allowed:
            known = ", ".join(map(str, allowed))
            raise BeexError(f"{name}={value!r} is unknown; choose one of {known}.")


def check_flags(**flags: bool) -> None:
    """Raises `BeexError` unless all are true or false."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise BeexError(f"{name}={value!r} must be true or false.")


def check_whole(config: Any, **minima: int) -> None:
    """Raises `BeexError` unless the named fields are whole numbers of at least so much."""
    for name, minimum in minima.items():
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise BeexError(f"{name}={value!r} must be a whole number of at least {minimum}.")


def check_share(config: Any, *fields: str) -> None:
    """Raises `BeexError` unless the named fields lie in [0, 1)."""
    _check(config, fields, lambda value: 0 <= value < 1, "lie in [0, 1)")


def check_positive(config: Any, *fields: str) -> None:
    """Raises `BeexError` unless the named fields are greater than 0."""
    _check(config, fields, lambda value: value > 0, "be greater than 0")


def check_not_negative(config: Any, *fields: str) -> None:
    """Raises `BeexError` unless the named fields are at least 0."""
    _check(config, fields, lambda value: value >= 0, "be at least 0")


def _check(config: Any, names: Iterable[str], holds: Callable[[float], bool], must: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or not holds(value):
            raise BeexError(f"{name}={value!r} must {must}.")
