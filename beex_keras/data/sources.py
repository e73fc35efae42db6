"""Reads rows from files, and from tables in memory."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.data.rows import Columns, NumberedRow, Rows, missing_column
from beex_keras.errors import BeexError
from beex_keras.files import parse_json, read_text

FilePath = str | os.PathLike[str]

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv")
"""Endings of the files that can be read."""


def read_rows(source: Any, columns: Columns, split: str) -> Rows:
    """Reads the rows of one split.

    A .jsonl or .json file has an object on each line, or an array of objects. A .csv file may have
    semicolons or tabs in place of commas. A .tsv file has no quotes.

    Args:
        source: a file, (texts, labels), or a table with columns.
        columns: the columns to read.
        split: the name of the split, for errors.

    Raises:
        BeexError: the source cannot be read or understood, or its rows are faulty.
    """
    if not isinstance(source, str | os.PathLike):
        return _read_table(source, columns, f"the {split} data")
    path = Path(source)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in SUFFIXES:
        raise BeexError(f"{path} is no data file; give a .jsonl, .json, .csv or .tsv file.")
    content = read_text(path, "data file")
    if suffix in (".jsonl", ".json"):
        is_array = content.lstrip().startswith("[")
        rows = _array_rows(content, path) if is_array else _line_rows(content, path)
        return Rows(rows, columns, str(path), "item" if is_array else "line")
    delimiter, quoting = "\t", csv.QUOTE_NONE
    if suffix == ".csv":
        header = content.partition("\n")[0]
        delimiter = next((mark for mark in ",;\t" if mark in header), ",")
        quoting = csv.QUOTE_MINIMAL
    return Rows(_csv_rows(content, path, columns, delimiter, quoting), columns, str(path))


def class_names(data: Any, columns: Columns) -> tuple[str, ...]:
    """The names that a Hugging Face `Dataset` has for the labels 0, 1, 2, ...; else none."""
    features = getattr(data, "features", None)
    label = features.get(columns.label) if isinstance(features, Mapping) else None
    return tuple(getattr(label, "names", None) or ())


# === Files ===


def _line_rows(content: str, path: Path) -> Iterator[NumberedRow]:
    # Not splitlines(), which also breaks at characters that JSON allows inside strings.
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            place = f"Line {number} of {path}"
            row = parse_json(line, place, "write one JSON object on each line")
            yield number, _checked(row, place)


def _array_rows(content: str, path: Path) -> Iterator[NumberedRow]:
    fix = "write an array of JSON objects, or one object on each line"
    for number, row in enumerate(parse_json(content, str(path), fix), 1):
        yield number, _checked(row, f"Item {number} of {path}")


def _checked(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        fix = 'write objects such as {"text": "...", "label": "..."}'
        raise BeexError(f"{place} is not a JSON object; {fix}.")
    return row


def _csv_rows(
    content: str, path: Path, columns: Columns, delimiter: str, quoting: int
) -> Iterator[NumberedRow]:
    csv.field_size_limit(2**31 - 1)  # a text may be longer than the module's 128 KB
    lines = io.StringIO(content, newline="")
    reader = csv.reader(
        lines,
        delimiter=delimiter,
        quoting=quoting,  # type: ignore[arg-type]
        skipinitialspace=quoting != csv.QUOTE_NONE,  # a quote after a space opens a value, too
        strict=True,
    )
    header: list[str] | None = None
    start = 1
    try:
        for values in reader:
            if header is None:
                header = [name.strip() for name in values]
                _check_header(header, path, columns)
            elif values:
                if len(values) != len(header):
                    found = f"Line {start} of {path} has {len(values)} columns"
                    raise BeexError(f"{found}, but its header has {len(header)}; repair the line.")
                yield start, dict(zip(header, values, strict=True))
            start = reader.line_num + 1
    except csv.Error as error:
        place = f"The row that begins on line {start} of {path}"
        raise BeexError(f"{place} is not valid CSV ({error}); check its quotes.") from None


def _check_header(header: list[str], path: Path, columns: Columns) -> None:
    for column in columns:
        if column not in header:
            fix = "add a first line with the names of the columns"
            raise BeexError(missing_column(f"the first line of {path}", column, header, fix))


# === Memory ===


def _read_table(data: Any, columns: Columns, source: str) -> Rows:
    """Reads (texts, labels), a dictionary of lists, a pandas DataFrame or a Hugging Face `Dataset`."""
    names = getattr(data, "column_names", None)
    if names is None:
        names = getattr(data, "columns", None)
    if names is None and isinstance(data, Mapping):
        names = list(data)
    if names is None:
        data, columns = _two_lists(data)
        names = list(data)
    for name in columns:
        if name not in names:
            raise BeexError(missing_column(source, name, names))
    by_name = {name: list(data[name]) for name in columns}
    lengths = {name: len(values) for name, values in by_name.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise BeexError(f"The columns of {source} differ in length ({found}); give equal lengths.")
    rows = (dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=True))
    return Rows(enumerate(rows, 1), columns, source, "row")


def _two_lists(data: Any) -> tuple[dict[str, list[Any]], Columns]:
    """The columns of (texts, labels), where texts are strings or pairs of strings."""
    if not (isinstance(data, tuple | list) and len(data) == 2) or isinstance(data[0], str):
        forms = "a file, (texts, labels), a dictionary of lists, a data frame or a Dataset"
        raise BeexError(f"A {type(data).__name__} is no data; give {forms}.")
    texts, labels = map(list, data)
    if not any(isinstance(text, tuple | list | np.ndarray) for text in texts):
        return {"text": texts, "label": labels}, Columns()
    try:
        first, second = (list(side) for side in zip(*texts, strict=True))
    except (TypeError, ValueError):
        raise BeexError("A text must be a string, or a pair of strings.") from None
    return {"text": first, "pair": second, "label": labels}, Columns(pair="pair")
