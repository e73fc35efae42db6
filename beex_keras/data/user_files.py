"""Tasks from the user's own JSON lines, CSV and TSV files."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.data.splits import complete_splits
from beex_keras.data.task import Split, Task
from beex_keras.errors import BeexError
from beex_keras.files import read_text

FilePath = str | os.PathLike[str]
NumberedRow = tuple[int, dict[str, Any]]  # line number, values by column


def load_files(
    train: FilePath,
    validation: FilePath | None = None,
    test: FilePath | None = None,
    *,
    name: str = "files",
    text_column: str = "text",
    pair_column: str | None = None,
    label_column: str = "label",
    class_names: tuple[str, ...] = (),
) -> Task:
    """A task from one to three files; what is missing is taken out of the training file.

    Labels are strings or integers, and those of the training file are the classes: in numerical
    order if all are integers, else in alphabetical order.

    Args:
        train, validation, test: .jsonl or .json (one object a line), .csv, or .tsv (no quoting).
        name: of the task.
        text_column, pair_column, label_column: names of the columns; no pair column, no pairs.
        class_names: names for the integer labels 0, 1, 2, ... where the files have just these.

    Raises:
        BeexError: a file cannot be read or understood, a column is missing, a text is empty, a
            label is not known from training, or a class has too few rows.
    """
    columns = (text_column, pair_column, label_column)
    paths = {"train": train, "validation": validation, "test": test}
    read = {part: _read(Path(path), columns) for part, path in paths.items() if path is not None}
    classes = sorted(set(read["train"][2]), key=_class_order(set(read["train"][2])))
    if len(classes) < 2:
        raise BeexError(
            f"Every row of {train} has the label '{classes[0]}'; give at least two classes."
        )
    needed = 1 + sum(path is None for path in paths.values())
    for label in classes:
        if (count := read["train"][2].count(label)) < needed:
            raise BeexError(
                f"The label '{label}' is on {count} row{'s' if count > 1 else ''} of {train}, but "
                f"at least {needed} are needed for training and the splits that are missing."
            )
    splits = {part: _numbered(*rows, classes, f"{paths[part]}") for part, rows in read.items()}
    parts, made = complete_splits(splits["train"], splits.get("validation"), splits.get("test"))
    notes = [f"{part}: {Path(path).name}" for part, path in paths.items() if path is not None]
    if classes == [str(number) for number in range(len(class_names))]:
        classes = list(class_names)
    return Task(name, tuple(classes), *parts, "accuracy", "; ".join([*notes, *made]))


def _read(
    path: Path, columns: tuple[str, str | None, str]
) -> tuple[list[str], list[str] | None, list[str], list[int]]:
    """Texts, second texts, labels and line numbers of a file."""
    text_column, pair_column, label_column = columns
    texts, pairs, labels, lines = [], [], [], []
    for line, row in _rows(path, columns):
        where = f"line {line} of {path}"
        texts.append(_text(row[text_column], text_column, where))
        if pair_column is not None:
            pairs.append(_text(row[pair_column], pair_column, where))
        labels.append(_label(row[label_column], label_column, where))
        lines.append(line)
    if not texts:
        raise BeexError(f"{path} has no rows; give a file with texts and labels.")
    return texts, pairs if pair_column is not None else None, labels, lines


def _rows(path: Path, columns: tuple[str | None, ...]) -> Iterator[NumberedRow]:
    """The rows of a file of any kind, each of which has the columns (None stands for no column)."""
    readers = {".jsonl": _json_rows, ".json": _json_rows, ".csv": _csv_rows, ".tsv": _tsv_rows}
    if path.is_dir():
        raise BeexError(f"{path} is a directory; give a .jsonl, .json, .csv or .tsv file.")
    if path.suffix.lower() not in readers:
        raise BeexError(f"{path} ends in '{path.suffix}'; give a .jsonl, .json, .csv or .tsv file.")
    content = read_text(path, "data file")
    for line, row in readers[path.suffix.lower()](content, path):
        for column in columns:
            if column is not None and column not in row:
                raise BeexError(
                    f"There is no column '{column}' on line {line} of {path}; its columns are "
                    f"{', '.join(map(str, row)) or 'none'}."
                )
        yield line, row


def _numbered(
    texts: list[str],
    pairs: list[str] | None,
    labels: list[str],
    lines: list[int],
    classes: list[str],
    path: str,
) -> Split:
    """The split with labels as class numbers."""
    numbers = {label: number for number, label in enumerate(classes)}
    for label, line in zip(labels, lines, strict=True):
        if label not in numbers:
            raise BeexError(
                f"The label '{label}' on line {line} of {path} does not occur in training; "
                f"the classes are {', '.join(classes)}."
            )
    return Split(texts, pairs, np.array([numbers[label] for label in labels], np.int32))


def _json_rows(content: str, path: Path) -> Iterator[NumberedRow]:
    # Not splitlines(), which also breaks at characters that JSON allows inside strings.
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = getattr(error, "msg", "a value too large to read")
            raise BeexError(
                f"Line {number} of {path} is not valid JSON ({reason}); "
                "write one JSON object on each line."
            ) from None
        if not isinstance(row, dict):
            raise BeexError(
                f"Line {number} of {path} is not a JSON object; write one object on each line, "
                'such as {"text": "...", "label": "..."}.'
            )
        yield number, row


def _csv_rows(content: str, path: Path) -> Iterator[NumberedRow]:
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    start = 1
    header: list[str] | None = None
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise BeexError(
                f"The row that begins on line {start} of {path} is not valid CSV ({error}); "
                "check its quotes."
            ) from None
        if values is None:
            return
        if header is None:
            header = values
        elif values:
            yield start, _by_column(header, values, start, path)
        start = reader.line_num + 1


def _tsv_rows(content: str, path: Path) -> Iterator[NumberedRow]:
    lines = [line.removesuffix("\r") for line in content.split("\n")]
    header = lines[0].split("\t")
    for number, line in enumerate(lines[1:], 2):
        if line:
            yield number, _by_column(header, line.split("\t"), number, path)


def _by_column(header: list[str], values: list[str], line: int, path: Path) -> dict[str, Any]:
    if len(values) != len(header):
        raise BeexError(
            f"Line {line} of {path} has {len(values)} columns, but its header has {len(header)}; "
            "repair the line."
        )
    return dict(zip(header, values, strict=True))


def _text(value: Any, column: str, where: str) -> str:
    if not isinstance(value, str):
        raise BeexError(
            f"The column '{column}' on {where} holds {_kind(value)}; give the text as a string."
        )
    if not value.strip():
        raise BeexError(f"The column '{column}' on {where} is empty; fill it or remove the row.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BeexError(
            f"The column '{column}' on {where} is not valid Unicode; repair its encoding."
        ) from None
    return value


def _label(value: Any, column: str, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BeexError(
            f"The column '{column}' on {where} holds {_kind(value)}; "
            "give the label as a string or an integer."
        )
    label = str(value).strip()
    if not label:
        raise BeexError(f"The column '{column}' on {where} is empty; give every row a label.")
    return label


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"


def _class_order(labels: set[str]) -> Any:
    """Sort key: by number if all labels are integers."""
    try:
        return {label: (int(label), label) for label in labels}.__getitem__
    except ValueError:
        return str
