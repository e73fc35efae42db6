"""What the command line reads and writes: texts, settings, tables, JSON, and nothing else."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from beex_keras.errors import BeexError
from beex_keras.files import decode, read_text


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Runs a command without what TensorFlow's C++ libraries write to standard error.

    Our own messages still reach it. BEEX_DEBUG=1 lets everything through.
    """
    if os.environ.get("BEEX_DEBUG") == "1":
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    for name in ("tensorflow", "larq.layers_base"):
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.stderr.flush()
    python_stderr, descriptor = sys.stderr, os.dup(2)
    with open(os.devnull, "wb") as null, open(descriptor, "w", buffering=1) as ours:
        os.dup2(null.fileno(), 2)
        if python_stderr is sys.__stderr__:
            sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(descriptor, 2)


def assignment(text: str) -> tuple[str, Any]:
    """NAME=VALUE with a JSON value, or else a plain string."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BeexError(f"--set {text} must have the form NAME=VALUE.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def read_lines(texts: tuple[str, ...], file: str | None) -> list[str]:
    """The texts to classify: arguments, a file's lines, or those of standard input."""
    if texts and file:
        raise BeexError("Give texts either as arguments or by --file, not both.")
    if texts:
        return list(texts)
    if file:
        lines = read_text(file, "text file").splitlines()
    else:
        lines = decode(sys.stdin.buffer.read(), "standard input").splitlines()
    if not lines:
        raise BeexError(
            "There is no text to classify; give it as an argument or on standard input."
        )
    return lines


def split_pairs(lines: list[str]) -> tuple[list[str], list[str]]:
    """Lines of two texts with a tab between them, as two lists."""
    parts = [line.split("\t") for line in lines]
    for number, part in enumerate(parts, start=1):
        if len(part) != 2:
            raise BeexError(
                f"Text {number} is not a pair; the model reads two sentences with a tab between "
                "them, or one and --pair."
            )
    return [first for first, _ in parts], [second for _, second in parts]


def print_figures(
    values: dict[str, Any], as_json: bool, rows: Callable[[], Any], title: str
) -> None:
    """JSON for programs, or tables for people: `rows` gives one table's rows, or several tables."""
    if as_json:
        click.echo(json.dumps(values))
        return
    from beex_keras.evaluation import tables

    tables.show(rows(), title)
