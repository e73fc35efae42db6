"""Tasks by name, and tasks of one's own data in any usual form."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from beex_keras import fields
from beex_keras.data.columns import class_names, take_rows
from beex_keras.data.glue import GLUE, load_glue
from beex_keras.data.rotten_tomatoes import load_rotten_tomatoes
from beex_keras.data.rows import KINDS, Columns, make_task
from beex_keras.data.task import Task
from beex_keras.data.user_files import FilePath, read_rows
from beex_keras.errors import BeexError

_PARTS = ("train", "validation", "test")
_MISNAMED = ("val", "valid", "dev", "eval")
"""What people also call a validation split. Others, such as unlabelled texts, are left alone."""

_QUESTIONS = ("description", "entity", "abbreviation", "human", "location", "number")


def load_task(
    data: Any,
    validation: Any = None,
    test: Any = None,
    *,
    data_dir: FilePath | None = None,
    text_column: str = "text",
    pair_column: str | None = None,
    label_column: str = "label",
    task_kind: str | None = None,
    both_orders: bool = False,
    clip: bool = True,
) -> Task:
    """Loads the task of that name, or your own data; missing splits are taken from the training split.

    Labels are strings or integers. The labels of the training data are the classes, in numerical order if
    all are integers, and otherwise in alphabetical order. If the labels are numbers and not all of them are
    whole, they are the targets of a regression.

    Args:
        data: a name: "rotten_tomatoes" (packaged), "glue/sst2", "glue/stsb", ... (by TFDS, or from
            the folder of a GLUE download), "sick", "trec", "snips", "clinc" (JSON lines in
            `data_dir`/sick/train.jsonl and so on). Or training data: a .jsonl, .json, .csv or .tsv
            file; (texts, labels), with pairs of strings as texts of pairs; anything with columns, such
            as a dictionary of lists, a pandas DataFrame or a Hugging Face `Dataset`. Or a `Task`, or a
            `DatasetDict`, which have all splits.
        validation, test: splits of your own data, in any of these forms.
        data_dir: the folder of a named task's data.
        text_column, pair_column, label_column: columns of your own data; without a pair column, texts are
            single.
        task_kind: "classification" or "regression", for your own data; the labels decide if None.
        both_orders: train each pair in both orders, for pairs that mean the same in either.
        clip: whether a regression keeps its answers in the range of the training targets.

    Raises:
        BeexError: the name is unknown, the arguments do not go together, or the data is missing or
            faulty: a column is missing, a text is empty, a label is not known from training, a class
            has too few rows, a target is no finite number. Each sentence says what to do.

    Example:
        >>> beex.load_task("rotten_tomatoes").labels
        ('negative', 'positive')
        >>> texts, labels = ["a good film", "a bad film"] * 20, ["positive", "negative"] * 20
        >>> task = beex.load_task((texts, labels), validation=(texts, labels), test=(texts, labels))
        >>> task.labels, len(task.train)
        (('negative', 'positive'), 40)
    """
    fields.check_flags(both_orders=both_orders, clip=clip)
    if task_kind not in (None, *KINDS):
        raise BeexError(f"task_kind={task_kind!r} is unknown; choose one of {', '.join(KINDS)}.")
    source = data, validation, test
    task = _load(*source, data_dir, Columns(text_column, pair_column, label_column), task_kind)
    if task_kind not in (None, KINDS[task.is_regression]):
        known = f"The task '{task.name}' is of kind {KINDS[task.is_regression]}"
        raise BeexError(f"{known}; leave out task_kind.")
    if not clip:
        if not task.is_regression:
            raise BeexError("Classes have no range to clip answers to; leave out clip.")
        task = replace(task, clip=False)
    return task.in_both_orders() if both_orders else task


def _load(
    data: Any,
    validation: Any,
    test: Any,
    data_dir: FilePath | None,
    columns: Columns,
    task_kind: str | None,
) -> Task:
    if isinstance(data, Mapping) and "train" in data:
        for name in _MISNAMED:
            if name in data:
                raise BeexError(f"There is no split '{name}'; the splits are {', '.join(_PARTS)}.")
        given = {"validation": validation, "test": test}
        splits = {**data, **{part: value for part, value in given.items() if value is not None}}
        data, validation, test = (splits.get(part) for part in _PARTS)
    if data is None:
        raise BeexError(
            "There is no training data; give a file, lists of texts and labels, or a task."
        )
    is_name = isinstance(data, str) and (
        data in TASKS or not (Path(data).suffix or Path(data).exists())
    )
    if data_dir is not None and not is_name:
        raise BeexError("Your own data needs no other folder; leave out --data-dir.")
    if isinstance(data, Task) or is_name:
        name = data if is_name else data.name
        if validation is not None or test is not None:
            raise BeexError(f"The task '{name}' has all splits; leave out validation and test.")
        if columns != Columns():
            raise BeexError(f"The task '{name}' has columns of its own; leave out yours.")
        return _named(data, data_dir) if is_name else data
    parts = {"train": data, "validation": validation, "test": test}
    return _own(parts, columns, class_names(data, columns), kind=task_kind)


def load_file(path: FilePath, columns: Columns, labels: tuple[str, ...], number: bool) -> Task:
    """The task of a trained model and one file of labelled texts: each split has all of them.

    Args:
        path: of the file; errors as `read_rows`.
        columns: of the file.
        labels: the model's.
        number: whether it answers a number.

    Raises:
        BeexError: a label is none of the model's, or no number where it answers one.
    """
    rows = read_rows(path, columns)
    split = rows.targets() if number else rows.split(list(labels))
    metric = "pearson" if number else "accuracy"
    return Task(
        Path(path).name, labels, split, split, split, metric, f"all splits: {Path(path).name}"
    )


def _own(
    parts: dict[str, Any],
    columns: Columns,
    names: tuple[str, ...] = (),
    task: str | None = None,
    kind: str | None = None,
) -> Task:
    """A task of files or of what is in memory, whose labels 0, 1, 2, ... may have names."""
    rows, notes = {}, []
    for name, part in parts.items():
        if isinstance(part, str | os.PathLike):
            rows[name] = read_rows(part, columns)
            notes.append(f"{name}: {Path(part).name}")
        elif part is not None:
            rows[name] = take_rows(part, columns, name)
        if part is not None:
            # Numbers of two sources may stand for other names.
            rows[name].name_labels(class_names(part, columns) or names)
    task = task or ("files" if isinstance(parts["train"], str | os.PathLike) else "data")
    return make_task(rows, task, notes, names, kind)


def _named(name: str, data_dir: FilePath | None) -> Task:
    if name not in TASKS:
        fix = f"choose {', '.join(TASKS)}, or give a .jsonl, .json, .csv or .tsv file"
        raise BeexError(f"There is no task '{name}' and no such file; {fix}.")
    if data_dir is not None and not os.path.isdir(data_dir):
        raise BeexError(f"There is no folder {data_dir}; check --data-dir.")
    return TASKS[name](None if data_dir is None else Path(data_dir))


def _packaged(data_dir: Path | None) -> Task:
    if data_dir is not None:
        raise BeexError("The task 'rotten_tomatoes' comes in a package; leave out --data-dir.")
    return load_rotten_tomatoes()


def _json_lines(
    name: str, data_dir: Path | None, pair_column: str | None = None, names: tuple[str, ...] = ()
) -> Task:
    """A public data set as JSON lines in its folder: train, and the other splits if there."""
    if data_dir is None:
        fix = f"pass the folder that holds {name}/train.jsonl with --data-dir"
        raise BeexError(f"The task '{name}' is read from files; {fix}.")
    folder = data_dir / name
    if not folder.is_dir():
        raise BeexError(f"There is no folder {name} in {data_dir}; put train.jsonl there.")
    files = {part: folder / f"{part}.jsonl" for part in _PARTS}
    parts = {part: file for part, file in files.items() if part == "train" or file.is_file()}
    return _own(parts, Columns(pair=pair_column), names, name)


TASKS: dict[str, Callable[[Path | None], Task]] = {
    "rotten_tomatoes": _packaged,
    **{f"glue/{name}": partial(load_glue, name) for name in GLUE},
    "sick": lambda data_dir: _json_lines("sick", data_dir, pair_column="text2"),
    "trec": lambda data_dir: _json_lines("trec", data_dir, names=_QUESTIONS),
    "snips": lambda data_dir: _json_lines("snips", data_dir),
    "clinc": lambda data_dir: _json_lines("clinc", data_dir),
}
