"""From rows of texts and labels, wherever they came from, to a task."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from beex_keras.data.splits import complete_splits
from beex_keras.data.task import Split, Task
from beex_keras.errors import BeexError


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns hold what.

    Attributes:
        text: the text.
        pair: the second text; None for single texts.
        label: the label.
    """

    text: str = "text"
    pair: str | None = None
    label: str = "label"

    def __iter__(self) -> Iterator[str]:
        return iter(name for name in (self.text, self.pair, self.label) if name is not None)


class Rows:
    """Checked rows of one split.

    Args:
        rows: the number that a row has in its source, and its values by column.
        columns: which ones to take.
        source: what errors call the source, such as a path.
        unit: what errors call a row: "line" of a file, or "row".

    Raises:
        BeexError: a column is missing, a text is empty or no string, a label is neither a string nor
            a whole number, or there is no row.
    """

    def __init__(
        self,
        rows: Iterator[tuple[int, Mapping[str, Any]]],
        columns: Columns,
        source: str,
        unit: str = "line",
    ) -> None:
        self.source, self.unit = source, unit
        self.texts: list[str] = []
        self.pairs: list[str] | None = None if columns.pair is None else []
        self.labels: list[str] = []
        self._numbers: list[int] = []
        for number, row in rows:
            where = self._where(number)
            for column in columns:
                if column not in row:
                    raise BeexError(
                        f"There is no column '{column}' on {where}; its columns are "
                        f"{', '.join(map(str, row)) or 'none'}."
                    )
            self.texts.append(_text(row[columns.text], columns.text, where))
            if self.pairs is not None:
                self.pairs.append(_text(row[columns.pair or ""], columns.pair or "", where))
            self.labels.append(_label(row[columns.label], columns.label, where))
            self._numbers.append(number)
        if not self.texts:
            raise BeexError(f"{source} has no rows; give texts and labels.")

    def split(self, classes: list[str]) -> Split:
        """The rows with labels as class numbers.

        Raises:
            BeexError: a label is none of `classes`.
        """
        numbers = {label: number for number, label in enumerate(classes)}
        for label, number in zip(self.labels, self._numbers, strict=True):
            if label not in numbers:
                raise BeexError(
                    f"The label '{label}' on {self._where(number)} does not occur in training; "
                    f"the classes are {', '.join(classes)}."
                )
        labels = np.array([numbers[label] for label in self.labels], np.int32)
        return Split(self.texts, self.pairs, labels)

    def _where(self, number: int) -> str:
        return f"{self.unit} {number} of {self.source}"


def make_task(
    train: Rows,
    validation: Rows | None,
    test: Rows | None,
    name: str,
    notes: list[str],
    class_names: tuple[str, ...] = (),
) -> Task:
    """A task whose classes are the labels of `train`; splits that are missing are taken out of it.

    Classes are in numerical order if all labels are whole numbers, else in alphabetical order.

    Args:
        train, validation, test: the rows.
        name: of the task.
        notes: where the splits came from.
        class_names: names for the labels 0, 1, 2, ... where the rows have just these.

    Raises:
        BeexError: a label is not known from training, or a class has too few rows.
    """
    classes = sorted(set(train.labels), key=_class_order(set(train.labels)))
    if len(classes) < 2:
        raise BeexError(
            f"Every row of {train.source} has the label '{classes[0]}'; give at least two classes."
        )
    needed = 1 + (validation is None) + (test is None)
    for label in classes:
        if (count := train.labels.count(label)) < needed:
            raise BeexError(
                f"The label '{label}' is on {count} row{'s' if count > 1 else ''} of {train.source}, "
                f"but at least {needed} are needed for training and the splits that are missing."
            )
    others = [None if rows is None else rows.split(classes) for rows in (validation, test)]
    parts, made = complete_splits(train.split(classes), others[0], others[1])
    if classes == [str(number) for number in range(len(class_names))]:
        classes = list(class_names)
    return Task(name, tuple(classes), *parts, "accuracy", "; ".join([*notes, *made]))


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
    if isinstance(value, np.generic):
        value = value.item()
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
