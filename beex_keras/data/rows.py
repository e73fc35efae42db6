"""Checks the rows of texts and labels of any source, and makes a task of them."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from beex_keras.data.splits import Split, complete_splits, dedup_keys
from beex_keras.data.task import Task
from beex_keras.errors import BeexError
from beex_keras.tasks import VALUE_LABELS, TargetScaler

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"(-?\d+)\.0+", re.ASCII)
"""A whole number in a column of floats."""

NumberedRow = tuple[int, Mapping[str, Any]]
"""The number of a row in its source, and its values by column."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of the columns that hold the text, the second text of a pair, and the label."""

    text: str = "text"
    pair: str | None = None
    label: str = "label"

    def __iter__(self) -> Iterator[str]:
        return iter(name for name in (self.text, self.pair, self.label) if name is not None)


class Rows:
    """The checked rows of one split.

    Args:
        rows: the rows, with their numbers.
        columns: the columns to read.
        source, unit: names of the source, such as a path, and of one of its rows, for errors.

    Raises:
        BeexError: there is no row, a column is missing, or a text or a label is empty or of a wrong type.
    """

    def __init__(
        self, rows: Iterable[NumberedRow], columns: Columns, source: str, unit: str = "line"
    ) -> None:
        for name in columns:
            if [*columns].count(name) > 1:
                raise BeexError(f"The column '{name}' is named twice; each column holds one thing.")
        self.source, self.unit, self.label_column = source, unit, columns.label
        self.numbers: list[int] = []
        self.texts: list[str] = []
        self.pairs: list[str] | None = None if columns.pair is None else []
        self.labels: list[str] = []
        for number, row in rows:
            place = f"{unit} {number} of {source}"
            for column in columns:
                if column not in row:
                    raise BeexError(missing_column(place, column, row))
            self.numbers.append(number)
            self.texts.append(_value(row, columns.text, place, str))
            if columns.pair is not None and self.pairs is not None:
                self.pairs.append(_value(row, columns.pair, place, str))
            self.labels.append(_value(row, columns.label, place, str | int | float).strip())
        if not self.texts:
            raise BeexError(f"{source} has no rows; give texts and labels.")

    def name_labels(self, names: Sequence[str]) -> None:
        """Gives the labels 0, 1, 2, ... these names, if all labels are such numbers."""
        numbers = {str(number): name for number, name in enumerate(names)}
        if set(self.labels) <= numbers.keys():
            self.labels = [numbers[label] for label in self.labels]

    def are_targets(self) -> bool:
        """Whether all labels are numbers and not all of them are whole."""
        return None not in map(as_number, self.labels) and not all(map(is_whole, self.labels))

    def targets(self) -> Split:
        """The rows with numbers as labels; raises `BeexError` for a label that is no number."""
        values = [as_number(label) for label in self.labels]
        if None in values:
            place = f"The column '{self.label_column}' on {self._place(row := values.index(None))}"
            fix = "a regression needs a finite number such as 3.5 there"
            raise BeexError(f"{place} holds '{self.labels[row]}'; {fix}.")
        return Split(self.texts, self.pairs, np.array(values, np.float64))

    def split(self, classes: Sequence[str]) -> Split:
        """The rows with class numbers as labels; raises `BeexError` for a label that is no class."""
        numbers = {label: number for number, label in enumerate(classes)}
        found = [numbers.get(label, numbers.get(_whole(label))) for label in self.labels]
        if None in found:
            unknown = f"The label '{self.labels[row := found.index(None)]}' on {self._place(row)}"
            known = f"the classes are {', '.join(classes)}"
            raise BeexError(f"{unknown} does not occur in training; {known}.")
        return Split(self.texts, self.pairs, np.array(found, np.int32))

    def check_counts(self, needed: int) -> None:
        """Raises `BeexError` unless each label has as many different texts as `needed`."""
        keys = dedup_keys(self.texts, self.pairs)
        counts = Counter(label for label, _ in set(zip(self.labels, keys, strict=True)))
        few = sorted(label for label, count in counts.items() if count < needed)
        if not few:
            return
        sentences = [
            f"The label '{few[0]}' has too few different texts in {self.source}: it has "
            f"{counts[few[0]]}, and training and the missing splits need {needed}."
        ]
        if len(few) > 1:
            sentences.append(f"The same is true of {len(few) - 1:,} other labels.")
        if as_number(few[0]) is not None:
            kind = "task_kind='regression' (--task-kind regression)"
            sentences.append(f"If the labels are amounts, say {kind}.")
        raise BeexError(" ".join(sentences))

    def _place(self, row: int) -> str:
        return f"{self.unit} {self.numbers[row]} of {self.source}"


def make_task(
    rows: dict[str, Rows],
    name: str,
    notes: list[str],
    class_names: Sequence[str] = (),
    kind: str | None = None,
) -> Task:
    """Makes a task whose classes are the labels of "train"; missing splits are taken out of "train".

    Args:
        rows: the rows by split.
        name: the name of the task.
        notes: notes on the origin of the splits.
        class_names: names that decide the order of the classes, if they contain all labels. Otherwise
            classes are in numerical order if all are whole numbers, and else in alphabetical order.
        kind: out of `PROBLEM_TYPES`; if None, the task is a regression if all labels are numbers and not all of
            them are whole.

    Raises:
        BeexError: a label is unknown from training, a class has too few rows, there is one class only, or
            the splits differ in whether they have pairs; a target is no number, or all are the same.
    """
    train, others = rows["train"], [rows.get(split) for split in ("validation", "test")]
    for split, part in rows.items():
        if (part.pairs is None) != (train.pairs is None):
            kinds = ["single texts" if of.pairs is None else "pairs" for of in (part, train)]
            differ = f"The {split} data has {kinds[0]}, the training data {kinds[1]}"
            raise BeexError(f"{differ}; give the same kind.")
    if kind == "regression" or (kind is None and train.are_targets()):
        first, metric = train.targets(), "pearson"
        labels: tuple[str, ...] = VALUE_LABELS
        TargetScaler.fit(first.labels)  # raises if all targets are the same
        given = [None if part is None else part.targets() for part in others]
    else:
        if all(map(is_whole, train.labels)):
            train.labels = list(map(_whole, train.labels))
        labels, metric = _classes(set(train.labels), class_names), "accuracy"
        if len(labels) < 2:
            same = f"Every row of {train.source} has the label '{labels[0]}'"
            raise BeexError(f"{same}; give at least two classes.")
        if None in others:
            train.check_counts(1 + others.count(None))
        first = train.split(labels)
        given = [None if part is None else part.split(labels) for part in others]
    splits, made = complete_splits(first, *given)
    return Task(name, labels, *splits, metric, "; ".join([*notes, *made]))


def missing_column(place: str, column: str, columns: Iterable[Any], *other_fixes: str) -> str:
    """The error for a source without a column."""
    present = ", ".join(map(str, columns)) or "none"
    present = present if len(present) < 200 else f"{present[:200]} ..."
    fix = "name yours by text_column, pair_column or label_column (--text-column and so on)"
    fixes = ", or ".join([fix, *other_fixes])
    return f"There is no column '{column}' on {place}, whose columns are {present}; {fixes}."


def as_number(text: str) -> float | None:
    """The finite number that a text holds, such as "3.5", or None.

    Python reads more as a float: "1_000", digits of other scripts, "nan" and "infinity".
    """
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def is_whole(text: str) -> bool:
    """Whether a text holds a whole number, such as "3" or "3.0"."""
    value = as_number(text)
    return value is not None and value % 1 == 0


def _whole(label: str) -> str:
    """A label such as "3.0" without its zeros."""
    found = _WHOLE.fullmatch(label)
    return found[1] if found else label


def _classes(labels: set[str], names: Sequence[str]) -> tuple[str, ...]:
    """The labels in order, see `make_task`."""
    if labels <= set(names):
        return tuple(name for name in names if name in labels)
    try:
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    except ValueError:  # not all are numbers
        return tuple(sorted(labels))


def _value(row: Mapping[str, Any], column: str, place: str, kind: Any) -> str:
    """The value of a column as a string; it must be of a type out of `kind`."""
    value, place = row[column], f"The column '{column}' on {place}"
    if isinstance(value, np.generic):
        value = value.item()
    is_nan = isinstance(value, float) and math.isnan(value)
    missing = value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")
    if missing or not str(value).strip():
        raise BeexError(f"{place} is empty; fill it or remove the row.")
    if not isinstance(value, kind):
        needed = "a string" if kind is str else "a string or a number"
        raise BeexError(f"{place} holds a value of type {type(value).__name__}; give {needed}.")
    try:
        return str(value).encode("utf-8").decode("utf-8")
    except UnicodeEncodeError:
        raise BeexError(f"{place} is not valid Unicode; repair its encoding.") from None
