"""Reads GLUE's tasks from a folder in the layout of the public download, or by TFDS.

GLUE does not publish the labels of its test sets, so the public development set is the test split
here, and validation is taken out of the training set.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from beex_keras.data import Split, Task
from beex_keras.data.rows import as_number
from beex_keras.data.splits import complete_splits
from beex_keras.errors import BeexError
from beex_keras.files import read_text
from beex_keras.tasks import VALUE_LABELS

from .phrases import hold_out_sentences, without_parts
from .tfds import Row, read_tfds

_SENTENCE_SHARE = 0.08
_ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class _Glue:
    """The layout of a task's files, and the names of its classes in the order of their numbers."""

    folder: str
    texts: tuple[str, ...]  # names of one text column, or of two
    label: str  # name of the label column
    labels: tuple[str, ...]  # `VALUE_LABELS` for a regression
    # Accuracy also for MRPC and QQP, as in the published tables.
    metric: str = "accuracy"
    dev: str = "dev.tsv"
    header: tuple[str, ...] | None = None  # for files without a header
    features: tuple[str, ...] = ()  # names of the text columns in TFDS, if they differ
    tfds: str = ""  # the task's name in TFDS, if it differs
    tfds_dev: str = "validation"
    phrases: bool = False  # whether the training set also has phrases, parts of its sentences
    parts: bool = True  # whether the phrases stay in the training set


_SENTENCE, _SENTENCES = ("sentence",), ("sentence1", "sentence2")
_QUESTIONS, _STRINGS = ("question1", "question2"), ("#1 String", "#2 String")
_SST2 = _Glue("SST-2", _SENTENCE, "label", ("negative", "positive"), phrases=True)

GLUE = {
    "sst2": _SST2,
    "cola": _Glue(
        "CoLA",
        _SENTENCE,
        "label",
        ("unacceptable", "acceptable"),
        metric="matthews",
        header=("source", "label", "mark", "sentence"),
    ),
    "mrpc": _Glue(
        "MRPC", _STRINGS, "Quality", ("not_equivalent", "equivalent"), features=_SENTENCES
    ),
    "stsb": _Glue("STS-B", _SENTENCES, "score", VALUE_LABELS, metric="pearson"),
    "rte": _Glue("RTE", _SENTENCES, "label", _ENTAILMENT),
    "qnli": _Glue("QNLI", ("question", "sentence"), "label", _ENTAILMENT),
    "qqp": _Glue("QQP", _QUESTIONS, "is_duplicate", ("not_duplicate", "duplicate")),
    "mnli": _Glue(
        "MNLI",
        _SENTENCES,
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        dev="dev_matched.tsv",
        features=("premise", "hypothesis"),
        tfds_dev="validation_matched",
    ),
    "sst2-sentences": replace(_SST2, parts=False, tfds="sst2"),
}


def load_glue(name: str, data_dir: Path | None) -> Task:
    """Loads the GLUE task "sst2", "cola", ..., from `data_dir`/SST-2 and so on, or by TFDS if None.

    The training split of "sst2-sentences" has only the whole sentences of sst2, not their parts. Rows
    with a wrong number of columns or an empty text, which QQP has, are left out and counted in the notes.

    Raises:
        BeexError: the folder or a file is missing or has another layout, there are no sentences, or
            TFDS has not prepared the task and cannot download it.
    """
    glue = GLUE[name]
    if data_dir is None:
        sources = {"train": "train", "test": glue.tfds_dev}
        in_tfds, features = f"glue/{glue.tfds or name}", glue.features or glue.texts
        origin = f"TFDS {in_tfds}"
        read = read_tfds(in_tfds, features, list(sources.values()))
    else:
        folder = _folder(data_dir, glue.folder)
        sources = {"train": "train.tsv", "test": glue.dev}
        origin = folder.name
        read = {file: _read_tsv(folder / file, glue) for file in sources.values()}
    splits, notes = {}, []
    for part, source in sources.items():
        kind = len(glue.texts) > 1, glue.labels == VALUE_LABELS
        splits[part], left_out = _split(read[source], *kind, f"{origin} {source}")
        notes.append(f"{part}: {origin} {source}")
        if left_out:
            notes[-1] += f" without {left_out} malformed row{'s' if left_out > 1 else ''}"
    validation = None
    if glue.phrases:
        rows = len(splits["train"])
        splits["train"], validation = hold_out_sentences(splits["train"], _SENTENCE_SHARE)
        notes.append(
            f"validation: {len(validation):,} whole sentences taken out of train, whose parts are "
            f"left out ({len(splits['train']):,} of {rows:,} rows remain)"
        )
        if not glue.parts:
            splits["train"] = without_parts(splits["train"])
            notes.append(f"{len(splits['train']):,} of these are no part of another")
    parts, made = complete_splits(splits["train"], validation, splits["test"])
    return Task(f"glue/{name}", glue.labels, *parts, glue.metric, "; ".join([*notes, *made]))


def _folder(data_dir: Path, name: str) -> Path:
    for folder in (data_dir / name, data_dir / "glue" / name):
        if folder.is_dir():
            return folder
    fix = f"give the folder of the GLUE download that holds {name}/train.tsv"
    raise BeexError(f"There is no folder {name} in {data_dir}; {fix}.")


def _read_tsv(path: Path, glue: _Glue) -> list[Row]:
    """Texts and label of each row, None for a malformed row."""
    lines = [line.removesuffix("\r") for line in read_text(path, "GLUE file").split("\n")]
    header, first = glue.header, 1
    if header is None:
        header, first = tuple(lines.pop(0).split("\t")), 2
    for column in (*glue.texts, glue.label):
        if column not in header:
            present = ", ".join(header)
            raise BeexError(f"There is no column '{column}' in {path}; its columns are {present}.")
    *texts, label = [header.index(column) for column in (*glue.texts, glue.label)]
    classes: dict[str, float] = {name: number for number, name in enumerate(glue.labels)}
    classes |= {str(number): number for number in range(len(glue.labels))}
    rows: list[Row] = []
    for number, line in enumerate(lines, first):
        values = line.split("\t")
        if line and len(values) != len(header):
            rows.append(None)
        elif line and glue.labels == VALUE_LABELS:
            target = as_number(values[label])
            if target is None:
                found = (
                    f"The column '{glue.label}' on line {number} of {path} holds '{values[label]}'"
                )
                raise BeexError(f"{found}; give a file with finite numbers there.")
            rows.append(([values[column] for column in texts], target))
        elif line and values[label] not in classes:
            found = f"The label '{values[label]}' on line {number} of {path}"
            known = ", ".join(glue.labels)
            raise BeexError(f"{found} is none of {known}; give a file with labels.")
        elif line:
            rows.append(([values[column] for column in texts], classes[values[label]]))
    return rows


def _split(rows: Iterable[Row], is_pair: bool, is_regression: bool, name: str) -> tuple[Split, int]:
    """The well-formed rows, and how many others there are."""
    rows = list(rows)
    kept = [row for row in rows if row is not None and all(text.strip() for text in row[0])]
    if not kept:
        raise BeexError(f"{name} has no well-formed row; download it again.")
    texts = [texts[0] for texts, _ in kept]
    pairs = [texts[1] for texts, _ in kept] if is_pair else None
    labels = np.array([label for _, label in kept], np.float64 if is_regression else np.int32)
    return Split(texts, pairs, labels), len(rows) - len(kept)
