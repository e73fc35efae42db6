"""Tables for people; programs get the same rows as JSON."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table

Row = Mapping[str, Any]
_READABLE = 24


def show(
    rows: Sequence[Row] | Mapping[str, Sequence[Row]], title: str = "", to_stderr: bool = False
) -> None:
    """Prints one table (`rows`, with its title) or several (a mapping from title to rows).

    Columns come in the order in which keys first appear; a key that a row lacks, or None, shows as
    a dash. Numbers are aligned right: whole ones with separators, others with four significant
    digits (from 1,000 on with one decimal). In a narrow terminal the widest column of texts wraps,
    but no digit is ever cut off; in a pipe nothing wraps.
    """
    console = Console(width=10_000, stderr=to_stderr)
    tables = rows if isinstance(rows, Mapping) else {title: rows}
    for name, part in tables.items():
        table = _table(part)
        if console.file.isatty():
            width = Measurement.get(console, console.options, table).maximum
            _narrow(table, width - Console().width)
        if name:
            console.print(f"[bold]{escape(name)}")
        console.print(table)


def _narrow(table: Table, excess: int) -> None:
    """Takes `excess` characters off the widest column of texts, as far as it stays readable."""
    texts = [column for column in table.columns if column.justify == "left"]
    if excess > 0 and texts:
        widest = max(texts, key=_width)
        widest.max_width = max(_width(widest) - excess, _READABLE)


def _width(column: Column) -> int:
    return max(len(str(cell)) for cell in (column.header, *column.cells))


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for column in columns:
        numeric = any(_is_number(row.get(column)) for row in rows)
        table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_text(row.get(column))) for column in columns))
    return table


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real):
        number = float(value)
        return f"{number:#.4g}" if abs(number) < 1000 else f"{number:,.1f}"
    return str(value)
