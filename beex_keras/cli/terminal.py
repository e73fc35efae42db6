"""What the command line reads and writes: texts, settings, tables, JSON, and nothing else."""

import dataclasses
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click

from beex_keras.errors import BeexError, BeexWarning
from beex_keras.files import decode, open_lines, parse_json


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Runs a command without what TensorFlow's C++ libraries write to standard error.

    Our own messages and warnings still reach it. BEEX_DEBUG=1 lets everything through.
    """
    if os.environ.get("BEEX_DEBUG") == "1":
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("once", category=BeexWarning)
    warnings.showwarning = _print_warning
    for name in ("tensorflow", "larq.layers_base"):
        logging.getLogger(name).setLevel(logging.ERROR)
    sys.stderr.flush()
    python_stderr, descriptor = sys.stderr, os.dup(2)
    with (
        open(os.devnull, "wb") as null,
        # As `app.main` sets standard error up.
        open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as ours,
    ):
        os.dup2(null.fileno(), 2)
        if python_stderr is sys.__stderr__:
            sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = python_stderr
            os.dup2(descriptor, 2)


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """As `warnings.showwarning`, which would tell the line of code too."""
    click.echo(f"warning: {message}", err=True)


@dataclasses.dataclass(frozen=True)
class Record:
    """What a pipeline reads (a text, a pair, or a failure), and what is written beside its answer."""

    item: Any
    values: dict[str, Any]


def make_record(text: str, pair: str | None = None) -> Record:
    """A text, or a pair, that nothing came beside."""
    if pair is None:
        return Record(text, {"text": text})
    return Record((text, pair), {"text": text, "text2": pair})


def read_records(
    texts: tuple[str, ...], file: str | None, columns: tuple[str, str] | None, pairs: bool
) -> Iterator[Record]:
    """What to classify, read as it is asked for: arguments, or the lines of a file or standard input.

    A line that is not UTF-8 or has another form is a failure; the others are read all the same. A blank line
    between JSON objects is skipped.

    Args:
        texts: arguments; if there are any, nothing else is read.
        file: a file, or None for standard input.
        columns: where lines are JSON objects, their fields with the text and the second text.
        pairs: whether the model reads pairs; plain lines then have a tab between the two texts.

    Raises:
        BeexError: no text at all.
    """
    from beex_keras.runtime.predictions import Failure

    found = False
    name = "standard input" if file is None else f"text file {file}"
    lines: Iterable[str | bytes] = texts or _lines(file)
    for number, line in enumerate(lines, start=1):
        shown = line if isinstance(line, str) else line.decode("utf-8-sig", "replace")
        shown = shown.rstrip("\r\n")
        if columns is not None and not texts and not shown.strip():
            continue
        values: dict[str, Any] = {"text": shown}
        try:
            if isinstance(line, bytes):
                decode(line, name, number)
            if columns is not None and not texts:
                values = _json_values(shown, number)
                record = Record(_json_item(values, number, columns, pairs), values)
            else:
                record = _plain_record(shown, number, pairs)
        except BeexError as error:
            record = Record(Failure(str(error)), values)
        found = True
        yield record
    if not found:
        raise BeexError(f"The {name} has no text to classify; write one on each line.")


def _lines(file: str | None) -> Iterator[bytes]:
    with open_lines(file, "text file") if file else nullcontext(sys.stdin.buffer) as stream:
        yield from stream


def _plain_record(line: str, number: int, pairs: bool) -> Record:
    parts = line.split("\t") if pairs else [line]
    if pairs and len(parts) != 2:
        reads = "the model reads two sentences with a tab between them, or one and --pair"
        raise BeexError(f"Text {number:,} is not a pair; {reads}.")
    return make_record(*parts)


def _json_values(line: str, number: int) -> dict[str, Any]:
    values = parse_json(line, f"Line {number:,}", "write one object on each line")
    if not isinstance(values, dict):
        raise BeexError(f"Line {number:,} is not a JSON object; write one on each line.")
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        raise BeexError(
            f"Line {number:,} has a number that JSON cannot hold, such as NaN; give a finite one."
        ) from None
    return values


def _json_item(values: dict[str, Any], number: int, columns: tuple[str, str], pairs: bool) -> Any:
    """The text, or the two, in these fields of an object."""
    for name in columns if pairs else columns[:1]:
        if name not in values:
            fix = "name the fields that hold the text by --text-column and --pair-column"
            raise BeexError(f"Line {number:,} has no field '{name}'; {fix}.")
    first, second = (values.get(name) for name in columns)
    return (first, second) if pairs else first


def is_progress_shown() -> bool:
    """Whether a person sees standard error, and the output goes elsewhere."""
    return sys.stderr.isatty() and not sys.stdout.isatty()


def show_progress(items: Iterable[Any], total: int | None) -> Iterator[Any]:
    """The items, with a bar on standard error if it `is_progress_shown`."""
    if not is_progress_shown():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, "Texts", total=total, console=Console(file=sys.stderr), transient=True)


def print_figures(
    values: dict[str, Any], as_json: bool, rows: Callable[[], Any], title: str
) -> None:
    """JSON for programs, or tables for people: `rows` gives one table's rows, or several tables."""
    if as_json:
        click.echo(json.dumps(values))
        return
    from beex_keras import tables

    tables.show(rows(), title)
