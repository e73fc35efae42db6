"""Reads public corpora: GLUE's tasks, SICK, TREC, SNIPS and CLINC150."""

import os
from pathlib import Path

from beex_keras.data import Task, load_task
from beex_keras.data.rows import Columns, make_task
from beex_keras.data.sources import read_rows
from beex_keras.errors import BeexError

from .glue import GLUE, load_glue

_PAIR_COLUMNS = {"sick": "text2", "trec": None, "snips": None, "clinc": None}
"""The corpora in JSON lines, and the columns of their second texts."""

_CLASSES = {"trec": ("description", "entity", "abbreviation", "human", "location", "number")}
"""Names of classes that a corpus has as numbers."""

NAMES = (*(f"glue/{name}" for name in GLUE), *_PAIR_COLUMNS)


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Task:
    """Loads a corpus, or any data that `beex.load_task` reads.

    Args:
        name: a name out of `NAMES`, "rotten_tomatoes", or the path of a file or a folder.
        data_dir: the folder of the corpora. GLUE's tasks have the layout of the GLUE download; TensorFlow
            Datasets downloads them if there is no folder. The others are JSON lines, such as
            `data_dir`/sick/train.jsonl; the files validation.jsonl and test.jsonl may be missing.

    Raises:
        BeexError: a folder or a file is missing or faulty.
    """
    if name not in NAMES:
        return load_task(name)
    folder = None if data_dir is None else Path(data_dir)
    if folder is not None and not folder.is_dir():
        raise BeexError(f"There is no folder {folder}; check --data-dir.")
    if name.startswith("glue/"):
        return load_glue(name.removeprefix("glue/"), folder)
    if folder is None:
        fix = f"pass the folder that holds {name}/train.jsonl with --data-dir"
        raise BeexError(f"The corpus '{name}' is read from files; {fix}.")
    return _read_lines(name, folder / name)


def _read_lines(name: str, folder: Path) -> Task:
    if not folder.is_dir():
        raise BeexError(f"There is no folder {name} in {folder.parent}; put train.jsonl there.")
    files = {split: folder / f"{split}.jsonl" for split in ("train", "validation", "test")}
    files = {split: file for split, file in files.items() if split == "train" or file.is_file()}
    columns, classes = Columns(pair=_PAIR_COLUMNS[name]), _CLASSES.get(name, ())
    rows = {split: read_rows(file, columns, split) for split, file in files.items()}
    for part in rows.values():
        part.name_labels(classes)
    notes = [f"{split}: {file.name}" for split, file in files.items()]
    return make_task(rows, name, notes, classes)
