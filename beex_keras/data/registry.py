"""Tasks by name."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from beex_keras.data.glue import GLUE, load_glue
from beex_keras.data.rotten_tomatoes import load_rotten_tomatoes
from beex_keras.data.task import Task
from beex_keras.data.user_files import FilePath, load_files
from beex_keras.errors import BeexError

_QUESTIONS = ("description", "entity", "abbreviation", "human", "location", "number")


def load_task(
    name: str,
    *,
    data_dir: FilePath | None = None,
    train: FilePath | None = None,
    validation: FilePath | None = None,
    test: FilePath | None = None,
    text_column: str = "text",
    pair_column: str | None = None,
    label_column: str = "label",
) -> Task:
    """Loads a task with its three splits; those that its source lacks are taken out of training.

    Args:
        name: "rotten_tomatoes" (packaged), "glue/sst2", "glue/cola", ... (by TFDS, or from the
            folder of a GLUE download), "sick", "trec", "snips" (JSON lines in
            `data_dir`/sick/train.jsonl and so on), or "files" for your own.
        data_dir: the folder of the named task's data.
        train, validation, test: files of the task "files": .jsonl, .json, .csv or .tsv.
        text_column, pair_column, label_column: their columns; no pair column, no pairs.

    Raises:
        BeexError: the name is unknown, the options do not fit it, or its data is missing or
            faulty; each sentence says what to do.

    Example:
        >>> task = beex.load_task("rotten_tomatoes")
        >>> task.labels
        ('negative', 'positive')
    """
    own_files = [path for path in (train, validation, test) if path is not None]
    if name == "files":
        if train is None:
            raise BeexError("The task 'files' needs a training file; name one with --train.")
        if data_dir is not None:
            raise BeexError("The task 'files' reads the files you name; leave out --data-dir.")
        return load_files(
            train,
            validation,
            test,
            text_column=text_column,
            pair_column=pair_column,
            label_column=label_column,
        )
    if name == "glue/stsb":
        raise BeexError(
            "The task 'glue/stsb' is regression, similarity from 0 to 5, and a BEExformer "
            "classifies; choose one of GLUE's classification tasks, such as glue/qqp."
        )
    if name not in TASKS:
        raise BeexError(f"There is no task '{name}'; choose {', '.join(TASKS)}, or files.")
    if own_files:
        raise BeexError(f"The task '{name}' has its own data; for {own_files[0]} use 'files'.")
    return TASKS[name](_existing(data_dir))


def _packaged(data_dir: Path | None) -> Task:
    if data_dir is not None:
        raise BeexError("The task 'rotten_tomatoes' comes in a package; leave out --data-dir.")
    return load_rotten_tomatoes()


def _json_lines(
    name: str,
    data_dir: Path | None,
    pair_column: str | None = None,
    class_names: tuple[str, ...] = (),
) -> Task:
    """A public data set as JSON lines in its folder: train, and the other splits if there."""
    if data_dir is None:
        raise BeexError(
            f"The task '{name}' is read from files; pass the folder that holds "
            f"{name}/train.jsonl with --data-dir."
        )
    folder = data_dir / name
    if not folder.is_dir():
        raise BeexError(f"There is no folder {name} in {data_dir}; put train.jsonl there.")
    others = [folder / f"{part}.jsonl" for part in ("validation", "test")]
    return load_files(
        folder / "train.jsonl",
        *(path if path.is_file() else None for path in others),
        name=name,
        pair_column=pair_column,
        class_names=class_names,
    )


def _existing(data_dir: FilePath | None) -> Path | None:
    if data_dir is None:
        return None
    if not os.path.isdir(data_dir):
        raise BeexError(f"There is no folder {data_dir}; check --data-dir.")
    return Path(data_dir)


TASKS: dict[str, Callable[[Path | None], Task]] = {
    "rotten_tomatoes": _packaged,
    **{f"glue/{name}": partial(load_glue, name) for name in GLUE},
    "sick": lambda data_dir: _json_lines("sick", data_dir, pair_column="text2"),
    "trec": lambda data_dir: _json_lines("trec", data_dir, class_names=_QUESTIONS),
    "snips": lambda data_dir: _json_lines("snips", data_dir),
}
