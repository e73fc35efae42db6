"""From rows of texts and labels, wherever they came from, to a task."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from beex_keras.data import same_text
from beex_keras.data.numbers import as_number, is_whole
from beex_keras.data.splits import complete_splits
from beex_keras.data.task import Split, Task
from beex_keras.errors import BeexError
from beex_keras.value_scale import VALUE_LABELS, ValueScale

KINDS = ("classification", "regression")
"""What a task's labels are: classes, or numbers to come near."""

_FEW_WRONG = 0.1
"""Up to this share of labels that are no numbers among decimal ones are mistakes, and no classes. Our reading."""

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that no label can have, since an answer is a line of UTF-8: controls, and half of a surrogate pair."""

_WHOLE = re.compile(r"(-?\d+)\.0+", re.ASCII)
"""A whole number as a column of floats is written."""

NumberedRow = tuple[int, Mapping[str, Any]]
"""The number that a row has in its source, and its values by column."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns hold what."""

    text: str = "text"
    pair: str | None = None  # for single texts
    label: str = "label"

    def __iter__(self) -> Iterator[str]:
        return iter(name for name in (self.text, self.pair, self.label) if name is not None)


class Rows:
    """Checked rows of one split.

    Args:
        rows, columns: the rows, and which of their values to take.
        source, unit: what errors call the source, such as a path, and a row of it.

    Raises:
        BeexError: a column is missing, a text is empty or no string, a label is neither a string nor
            a number, or there is no row.
    """

    def __init__(
        self, rows: Iterator[NumberedRow], columns: Columns, source: str, unit: str = "line"
    ) -> None:
        self.source, self.unit, self.column = source, unit, columns.label
        self.texts: list[str] = []
        self.pairs: list[str] | None = None if columns.pair is None else []
        self.labels: list[str] = []
        self._numbers: list[int] = []
        self._reals: list[int] = []  # rows whose labels are numbers of type float
        check_columns(columns)
        for number, row in rows:
            where = self._where(number)
            for column in columns:
                if column not in row:
                    raise BeexError(missing_column(where, column, row))
            self.texts.append(_text(row, columns.text, where))
            if self.pairs is not None:
                self.pairs.append(_text(row, columns.pair or "", where))
            self.labels.append(_label(row, columns.label, where))
            self._numbers.append(number)
            if isinstance(row[columns.label], float | np.floating):
                self._reals.append(number)
        if not self.texts:
            raise BeexError(f"{source} has no rows; give texts and labels.")

    def are_numbers(self) -> bool:
        """Whether the labels are finite numbers, not all of them whole: targets, and no classes."""
        numbers = [as_number(label) for label in self.labels]
        return None not in numbers and any(number % 1 for number in numbers)  # type: ignore[operator]

    def check_kind(self) -> None:
        """Raises `BeexError` if labels are numbers with decimal commas, or nearly all are numbers, and not all whole."""
        numbers = [as_number(label) for label in self.labels]
        wrong = [row for row, number in enumerate(numbers) if number is None]
        if wrong and None not in [as_number(label.replace(",", ".")) for label in self.labels]:
            where, label = self._where(self._numbers[wrong[0]]), self.labels[wrong[0]]
            holds = f"The column '{self.column}' on {where} holds '{label}', a number with a decimal comma"
            fix = "write it with a point, or say task_kind='classification' (--task-kind classification)"
            raise BeexError(f"{holds}; {fix}.")
        if 0 < len(wrong) <= _FEW_WRONG * len(numbers) and any(
            (number or 0) % 1 for number in numbers
        ):
            where, label = self._where(self._numbers[wrong[0]]), self.labels[wrong[0]]
            holds = f"The column '{self.column}' on {where} holds '{label}', where nearly all rows have numbers"
            fix = "mend it, or say task_kind='classification' (--task-kind classification)"
            raise BeexError(f"{holds}; {fix}.")

    def check_classes(self) -> None:
        """Raises `BeexError` for a label that is no name of a class."""
        for number in self._reals[:1]:
            holds = f"The column '{self.column}' on {self._where(number)} holds a float"
            raise BeexError(f"{holds}; give the label as a string or an integer.")

    def are_whole(self) -> bool:
        """Whether the labels are whole numbers."""
        return all(map(is_whole, set(self.labels)))

    def name_labels(self, names: Sequence[str]) -> None:
        """Gives the labels 0, 1, 2, ... these names, if all labels are such numbers.

        Raises:
            BeexError: a label is -1, by which data sets mark rows without one.
        """
        numbers = {str(number): name for number, name in enumerate(names)}
        if not names or not set(self.labels) <= {*numbers, "-1"}:
            return
        if "-1" in self.labels:
            number = self._numbers[self.labels.index("-1")]
            holds = f"The column '{self.column}' on {self._where(number)} holds -1, which stands for no label"
            raise BeexError(f"{holds}; remove such rows.")
        self.labels = [numbers[label] for label in self.labels]

    def targets(self) -> Split:
        """The rows with labels as numbers; raises `BeexError` for one that is none."""
        for label, number in zip(self.labels, self._numbers, strict=True):
            if as_number(label) is None:
                holds = f"The column '{self.column}' on {self._where(number)} holds '{label}'"
                raise BeexError(f"{holds}; a regression needs a finite number such as 3.5 there.")
        return Split(self.texts, self.pairs, np.array([*map(as_number, self.labels)], np.float64))

    def split(self, classes: list[str]) -> Split:
        """The rows with labels as class numbers; raises `BeexError` for one that has none."""
        numbers = {label: number for number, label in enumerate(classes)}
        found = [numbers.get(label, numbers.get(_whole(label))) for label in self.labels]
        if None in found:
            row = found.index(None)
            unknown = f"The label '{self.labels[row]}' on {self._where(self._numbers[row])}"
            known = f"the classes are {', '.join(classes)}"
            raise BeexError(f"{unknown} does not occur in training; {known}.")
        return Split(self.texts, self.pairs, np.array(found, np.int32))

    def check_counts(self, needed: int) -> None:
        """Raises `BeexError` unless each label has so many different texts."""
        texts = same_text.keys(self.texts, self.pairs)
        different = Counter(label for label, _ in set(zip(self.labels, texts, strict=True)))
        few = sorted(label for label, count in different.items() if count < needed)
        if not few:
            return
        rows, count = self.labels.count(few[0]), different[few[0]]
        place = f"on {rows} row{'s' if rows > 1 else ''} of {self.source}"
        if count < rows:
            place += f", but in only {count} different text{'s' if count > 1 else ''}"
        more = f"at least {needed} are needed for training and the splits that are missing"
        sentences = [f"The label '{few[0]}' is {place}; {more}."]
        if len(few) > 1:
            sentences.append(f"The same is true of {len(few) - 1:,} other labels.")
        if self.are_whole():
            kind = "task_kind='regression' (--task-kind regression)"
            sentences.append(f"If the labels are amounts, say {kind}.")
        raise BeexError(" ".join(sentences))

    def _where(self, number: int) -> str:
        return f"{self.unit} {number} of {self.source}"


def check_columns(columns: Columns) -> None:
    """Raises `BeexError` if two things are to be read from one column."""
    names = [*columns]
    for name in names:
        if names.count(name) > 1:
            raise BeexError(f"The column '{name}' is named twice; each column holds one thing.")


def missing_column(where: str, column: str, columns: Iterable[Any], *other_fixes: str) -> str:
    """The error for a row, or data, without a column."""
    present = ", ".join(map(str, columns)) or "none"
    present = present if len(present) < 200 else f"{present[:200]} ..."
    fix = "name yours by text_column, pair_column or label_column (--text-column and so on)"
    fixes = ", or ".join([fix, *other_fixes])
    return f"There is no column '{column}' on {where}, whose columns are {present}; {fixes}."


def make_task(
    rows: dict[str, Rows],
    name: str,
    notes: list[str],
    class_names: tuple[str, ...] = (),
    kind: str | None = None,
) -> Task:
    """A task whose classes are the labels of "train"; splits that are missing are taken out of it.

    Of a `kind` from `KINDS`; if None, it is a regression where labels are numbers and not all whole.
    Classes are in the order of `class_names` if labels are these. Else they are in numerical order if all labels
    are whole numbers ("1.0" is then "1"), and otherwise in alphabetical order.

    Raises:
        BeexError: a label is not known from training, or a class has too few rows; a target is no
            number, or all are the same.
    """
    train, others = rows["train"], [rows.get(part) for part in ("validation", "test")]
    _check_pairs(rows)
    if kind is None:
        train.check_kind()
    if kind == "regression" or (kind is None and train.are_numbers()):
        return _regression(train, others, name, notes)
    for part in rows.values():
        part.check_classes()
    if train.are_whole():
        train.labels = list(map(_whole, train.labels))
    classes = _in_order(set(train.labels), class_names)
    if len(classes) < 2:
        same = f"Every row of {train.source} has the label '{classes[0]}'"
        raise BeexError(f"{same}; give at least two classes.")
    if None in others:
        train.check_counts(1 + others.count(None))
    splits = [None if part is None else part.split(classes) for part in others]
    parts, made = complete_splits(train.split(classes), *splits)
    return Task(name, tuple(classes), *parts, "accuracy", "; ".join([*notes, *made]))


def _whole(label: str) -> str:
    """A label without the zeros behind the point of a whole number."""
    found = _WHOLE.fullmatch(label)
    return found[1] if found else label


def _in_order(labels: set[str], names: Sequence[str]) -> list[str]:
    if labels <= set(names):
        return [name for name in names if name in labels]
    try:
        return sorted(labels, key=lambda label: (int(label), label))
    except ValueError:  # not all are numbers
        return sorted(labels)


def _check_pairs(rows: Mapping[str, Rows]) -> None:
    """Raises `BeexError` unless all splits have single texts, or all have pairs."""
    kinds = {
        name: "single texts" if split.pairs is None else "pairs" for name, split in rows.items()
    }
    for name, kind in kinds.items():
        if kind != kinds["train"]:
            differ = f"The {name} data has {kind}, the training data {kinds['train']}"
            raise BeexError(f"{differ}; give the same kind.")


def _regression(train: Rows, others: Sequence[Rows | None], name: str, notes: list[str]) -> Task:
    targets = train.targets()
    given = [None if part is None else part.targets() for part in others]
    ValueScale.of(targets.labels)  # raises where there is nothing to learn
    parts, made = complete_splits(targets, *given)
    return Task(name, VALUE_LABELS, *parts, "pearson", "; ".join([*notes, *made]))


def _text(row: Mapping[str, Any], column: str, where: str) -> str:
    value, place = row[column], f"The column '{column}' on {where}"
    if _is_missing(value):
        raise BeexError(f"{place} has no value; fill it or remove the row.")
    if not isinstance(value, str):
        raise BeexError(f"{place} holds {_kind(value)}; give the text as a string.")
    if not value.strip():
        raise BeexError(f"{place} is empty; fill it or remove the row.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise BeexError(f"{place} is not valid Unicode; repair its encoding.") from None
    return value


def _label(row: Mapping[str, Any], column: str, where: str) -> str:
    value, place = row[column], f"The column '{column}' on {where}"
    if isinstance(value, np.generic):
        value = value.item()
    if _is_missing(value):
        raise BeexError(f"{place} has no value; give every row a label.")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BeexError(f"{place} holds {_kind(value)}; give the label as a string or an integer.")
    label = str(value).strip()
    if not label:
        raise BeexError(f"{place} is empty; give every row a label.")
    if unfit := _UNFIT.search(label):
        found = f"the character U+{ord(unfit[0]):04X}"
        raise BeexError(f"{place} has a label with {found}, which no name can have; remove it.")
    return label


def _is_missing(value: Any) -> bool:
    """Whether a value stands for none, as pandas has NaN and NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
