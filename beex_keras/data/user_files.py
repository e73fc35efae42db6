"""Rows of the user's own JSON lines, CSV and TSV files."""

import csv
import functools
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from beex_keras.data.rows import Columns, NumberedRow, Rows, missing_column
from beex_keras.errors import BeexError
from beex_keras.files import parse_json, read_text

FilePath = str | os.PathLike[str]

_QUOTED, _DOUBLED = re.compile(r'".*"'), re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')
"""A value that is quoted, and one that has quotes within, too, which are doubled."""


def read_rows(path: FilePath, columns: Columns) -> Rows:
    """The rows of a .jsonl or .json (one object a line, or an array of them), .csv, or .tsv (no quoting).

    A .csv whose header has no comma may have semicolons or tabs in place of commas.

    Raises:
        BeexError: the file cannot be read or understood, or its rows are faulty, see `Rows`.
    """
    path = Path(path)
    readers: dict[str, Callable[[str, Path], Iterator[NumberedRow]]] = {
        ".jsonl": _json_rows,
        ".json": _json_rows,
        ".csv": functools.partial(_csv_rows, wanted=columns),
        ".tsv": functools.partial(_tsv_rows, wanted=columns),
    }
    if path.is_dir() or path.suffix.lower() not in readers:
        wrong = "is a directory" if path.is_dir() else f"ends in '{path.suffix}'"
        raise BeexError(f"{path} {wrong}; give a .jsonl, .json, .csv or .tsv file.")
    content = read_text(path, "data file")
    return Rows(readers[path.suffix.lower()](content, path), columns, str(path))


def _json_rows(content: str, path: Path) -> Iterator[NumberedRow]:
    if content.lstrip().startswith("["):
        yield from _json_array(content, path)
        return
    # Not splitlines(), which also breaks at characters that JSON allows inside strings.
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        place = f"Line {number} of {path}"
        row = parse_json(line, place, "write one JSON object on each line")
        if not isinstance(row, dict):
            fix = 'write one object on each line, such as {"text": "...", "label": "..."}'
            raise BeexError(f"{place} is not a JSON object; {fix}.")
        yield number, row


def _json_array(content: str, path: Path) -> Iterator[NumberedRow]:
    rows = parse_json(
        content, str(path), "write an array of JSON objects, or one object on each line"
    )
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            fix = 'write objects, such as {"text": "...", "label": "..."}'
            raise BeexError(f"Item {number} of {path} is not a JSON object; {fix}.")
        yield number, row


def _csv_rows(content: str, path: Path, wanted: Columns) -> Iterator[NumberedRow]:
    csv.field_size_limit(2**31 - 1)  # a text may be longer than the module's 128 KB
    first = content.partition("\n")[0]
    others = [mark for mark in ";\t" if mark in first]
    delimiter = "," if "," in first or not others else others[0]
    reader = csv.reader(
        io.StringIO(content, newline=""),
        delimiter=delimiter,
        skipinitialspace=True,  # a quote behind it opens a value, too
        strict=True,
    )
    start = 1
    header: list[str] | None = None
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            row = f"The row that begins on line {start} of {path}"
            raise BeexError(f"{row} is not valid CSV ({error}); check its quotes.") from None
        if values is None:
            return
        if header is None:
            header = _header(values, path, wanted)
        elif values:
            yield start, _by_column(header, values, start, path)
        start = reader.line_num + 1


def _tsv_rows(content: str, path: Path, wanted: Columns) -> Iterator[NumberedRow]:
    lines = [line.removesuffix("\r") for line in content.split("\n")]
    names = lines[0].split("\t")
    fix = "write it without quotes, or as a .csv file"
    if all(_QUOTED.fullmatch(name) for name in names):
        raise BeexError(f"The header of {path} has quotes around its names; {fix}.")
    header = _header(names, path, wanted)
    quoted, count = set(header), 0
    for number, line in enumerate(lines[1:], 2):
        if line:
            row = _by_column(header, line.split("\t"), number, path)
            if any(_DOUBLED.fullmatch(value) for value in row.values()):
                raise BeexError(
                    f"Line {number} of {path} has quotes as a CSV file has them; {fix}."
                )
            # One text may be a quotation, but not all.
            quoted = {name for name in quoted if _QUOTED.fullmatch(row[name])}
            count += 1
            yield number, row
    if quoted and count > 1:
        raise BeexError(f"All values of {min(quoted)} in {path} have quotes around them; {fix}.")


def _header(names: list[str], path: Path, wanted: Columns) -> list[str]:
    names = [name.strip() for name in names]
    for column in wanted:
        if any(names) and column not in names:
            # A file without a header has a text there.
            fix = "add a first line with the names of the columns"
            raise BeexError(missing_column(f"the first line of {path}", column, names, fix))
    for name in names:
        if name and names.count(name) > 1:
            raise BeexError(f"{path} has two columns '{name}'; rename or remove one.")
    return names


def _by_column(header: list[str], values: list[str], line: int, path: Path) -> dict[str, Any]:
    if len(values) != len(header):
        found = f"Line {line} of {path} has {len(values)} columns, but its header has {len(header)}"
        raise BeexError(f"{found}; repair the line.")
    return dict(zip(header, values, strict=True))
