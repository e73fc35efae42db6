"""Rows of what is in memory: lists, dictionaries of columns, data frames, Hugging Face data sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from beex_keras.data.rows import Columns, Rows, missing_column
from beex_keras.errors import BeexError


def take_rows(data: Any, columns: Columns, part: str) -> Rows:
    """The rows of (texts, labels), where texts are strings or pairs of them, or of what has columns.

    That is a dictionary of lists, a pandas DataFrame, a Hugging Face `Dataset`; errors name the part.

    Raises:
        BeexError: `data` is nothing of these, columns differ in length, or the rows are faulty.
    """
    by_name, columns = _by_name(data, columns, part)
    lengths = {name: len(values) for name, values in by_name.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        differ = f"The columns of the {part} data differ in length ({found})"
        raise BeexError(f"{differ}; give every text its label.")
    rows = [dict(zip(by_name, row, strict=True)) for row in zip(*by_name.values(), strict=False)]
    return Rows(enumerate(rows, 1), columns, f"the {part} data", "row")


def class_names(data: Any, columns: Columns) -> tuple[str, ...]:
    """The names that a Hugging Face `Dataset` has for its labels 0, 1, 2, ...; else none."""
    features = getattr(data, "features", None)
    label = features.get(columns.label) if isinstance(features, Mapping) else None
    return tuple(getattr(label, "names", None) or ())


def _by_name(data: Any, columns: Columns, part: str) -> tuple[dict[str, list[Any]], Columns]:
    names = getattr(data, "column_names", None)
    if names is None:
        names = getattr(data, "columns", None)
    if names is None and isinstance(data, Mapping):
        names = data
    if names is not None:
        for name in columns:
            if name not in names:
                raise BeexError(missing_column(f"the {part} data", name, names))
        return {name: list(data[name]) for name in columns}, columns
    if isinstance(data, tuple | list) and len(data) == 2 and not isinstance(data[0], str):
        texts, labels = (list(part) for part in data)
        if any(isinstance(text, tuple | list | np.ndarray) for text in texts):
            try:
                first, second = (list(side) for side in zip(*texts, strict=True))
            except (TypeError, ValueError):
                raise BeexError("A text must be a string, or a pair of strings.") from None
            return {"text": first, "pair": second, "label": labels}, Columns(pair="pair")
        return {"text": texts, "label": labels}, Columns()
    raise BeexError(
        f"A {type(data).__name__} is no data to train on; give a task's name, a file, a Task, "
        "(texts, labels), or columns such as a data frame's or a Hugging Face Dataset's."
    )
