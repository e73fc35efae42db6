"""Texts without labels, and the logits of a teacher that are computed once.

Token ids and logits are files of the run folder, from which a training reads a batch at a time, so millions of texts
need no more memory than thousands.

Source: a student that learns from a teacher's answers to unlabelled texts as Turc et al. (2019,
"Well-Read Students Learn Better").
"""

import codecs
import dataclasses
import hashlib
import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.data.splits import Split, dedup_key
from beex_keras.data.task import Task
from beex_keras.errors import BeexError, BeexWarning
from beex_keras.files import atomic_path, open_lines, read_text, write_atomically
from beex_keras.text import TextPreprocessor

IDS, LOGITS, DESCRIPTION = "texts.ids", "texts.logits", "texts.json"
_CHUNK, _SAMPLE = 2048, 100_000
_SECONDS = 10.0
_LINE = 65536
"""Most bytes of a line; a longer one is no text to learn from."""

TeacherFn = Callable[[Sequence[str], Sequence[str] | None], np.ndarray]
"""Returns the teacher's logits (n, C) of texts, and of the second texts of pairs."""


@dataclasses.dataclass(frozen=True)
class EncodedTexts:
    """Texts as a training reads them.

    Attributes:
        ids: token ids (n, L).
        targets: labels (n,), or "labels" and "teacher_logits" (n, C); see `Distiller`.
    """

    ids: np.ndarray
    targets: np.ndarray | dict[str, np.ndarray]


def hash_files(paths: Sequence[Path]) -> dict[str, int]:
    """The number of lines of each file by a hash of its content; errors as `open_lines`."""
    found = {}
    for path in paths:
        digest, count = hashlib.sha256(), 0
        with open_lines(path, "file of unlabelled texts") as lines:
            for line in lines:
                digest.update(line)
                count += 1
        found[digest.hexdigest()[:16]] = count
    return found


def check_new_texts(paths: Sequence[Path], task: Task) -> None:
    """Raises `BeexError` if a file cannot be read, or if all texts of the files are in `task` already."""
    tables = (".csv", ".json", ".jsonl") if task.is_pair else (".csv", ".tsv", ".json", ".jsonl")
    for path in paths:
        if path.suffix.lower() in tables:
            fix = "write the texts alone into a text file, one a line"
            raise BeexError(
                f"The unlabelled texts in {path} would be whole rows of a table; {fix}."
            )
    if next(_Lines(task).read(paths), None) is None:
        names = ", ".join(map(str, paths))
        kind = "pairs, with a tab between the two texts" if task.is_pair else "texts"
        raise BeexError(f"No line of {names} is a new text; give {kind}, one a line.")


def sample_texts(paths: Sequence[Path], task: Task) -> list[str]:
    """Texts of the files that are not in `task`, to learn a vocabulary from; both texts of a pair are listed."""
    found: list[str] = []
    lines = _Lines(task)
    for path in paths:
        rows = lines.read([path])
        for row in itertools.islice(rows, _SAMPLE // len(paths)):
            found += [text for text in row if text is not None]
    return found


def encode_texts(
    folder: Path,
    task: Task,
    labels: np.ndarray,
    paths: Sequence[Path],
    preprocessor: TextPreprocessor,
    teacher: TeacherFn | None,
    report: Callable[[str], None] = lambda line: None,
) -> EncodedTexts:
    """Encodes the training texts and then those of files, and asks the teacher for its logits.

    A file has a text a line, or a pair with a tab between its texts, as `beex predict` reads it. Lines that
    are empty, too long, no UTF-8 or no pair are left out, with one warning. Texts of the labelled splits are
    left out, too, whatever their case and spacing. Files that the folder has already are only opened.

    Args:
        folder: the run folder.
        task: the labelled texts.
        labels: labels of the training texts, as the exits learn them.
        paths: text files without labels.
        preprocessor: preprocessor of the student.
        teacher: returns the logits of texts; None leaves out logits.
        report: receives a line of progress every few seconds.

    Raises:
        BeexError: a file cannot be read.
    """
    # A training that has ended keeps the description, and removes the others.
    if not all((folder / name).exists() for name in (IDS, LOGITS, DESCRIPTION)):
        description = _write(folder, task, paths, preprocessor, teacher, report)
        write_atomically(folder / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    description = json.loads(read_text(folder / DESCRIPTION, "description of texts"))
    count = description["labelled"] + description["unlabelled"]
    shape = count, preprocessor.max_length
    ids = np.memmap(folder / IDS, _id_dtype(preprocessor), "r", shape=shape)
    missing = np.full(count - len(labels), missing_label(labels), labels.dtype)
    labels = np.concatenate([labels, missing])
    if teacher is None:
        return EncodedTexts(ids, labels)
    logits = np.memmap(folder / LOGITS, np.float16, "r", shape=(count, description["outputs"]))
    return EncodedTexts(ids, {"labels": labels, "teacher_logits": logits})


def missing_label(labels: np.ndarray) -> Any:
    """The value that stands for a missing label: -1, or NaN where labels are floats."""
    return labels.dtype.type(np.nan if labels.dtype.kind == "f" else -1)


def remove_texts(folder: Path) -> None:
    """Removes the files of ids and logits, which are large; the description stays."""
    for name in (IDS, LOGITS):
        (folder / name).unlink(missing_ok=True)


def _id_dtype(preprocessor: TextPreprocessor) -> type:
    return np.uint16 if preprocessor.vocabulary_size <= 2**16 else np.int32


def _write(
    folder: Path,
    task: Task,
    paths: Sequence[Path],
    preprocessor: TextPreprocessor,
    teacher: TeacherFn | None,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Writes ids and logits; returns the description of the texts."""
    train, lines = task.train, _Lines(task)
    count, outputs, reported = 0, 0, time.monotonic()
    labelled = zip(train.texts, train.pairs or itertools.repeat(None), strict=False)
    with ExitStack() as stack:
        ids_file, logits_file = (
            stack.enter_context(open(stack.enter_context(atomic_path(folder / name)), "wb"))
            for name in (IDS, LOGITS)
        )
        for chunk in _chunks(itertools.chain(labelled, lines.read(paths))):
            texts = [text for text, _ in chunk]
            pairs = None if train.pairs is None else [str(pair) for _, pair in chunk]
            preprocessor.encode(texts, pairs).astype(_id_dtype(preprocessor)).tofile(ids_file)
            if teacher is not None:
                logits = teacher(texts, pairs)
                outputs = logits.shape[1]
                logits.astype(np.float16).tofile(logits_file)
            count += len(chunk)
            if time.monotonic() - reported > _SECONDS:
                report(f"{count:,} texts read" + (" and labelled" if teacher is not None else ""))
                reported = time.monotonic()
    if lines.faulty:
        left = f"{lines.faulty:,} lines of unlabelled text are left out"
        warnings.warn(f"{left}; the first is {lines.first}.", BeexWarning, stacklevel=2)
    return {
        "labelled": len(train),
        "unlabelled": count - len(train),
        "known already": lines.known,
        "faulty lines": lines.faulty,
        "outputs": outputs,
    }


def _chunks(items: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(itertools.islice(items, _CHUNK)):
        yield chunk


class _Lines:
    """Reads the texts of files that are not in a task, and counts the other lines."""

    def __init__(self, task: Task) -> None:
        self.has_pairs, self.both_orders = task.is_pair, task.both_orders
        self.known, self.faulty, self.first = 0, 0, ""
        self._own = {self._key(*row) for split in task.splits().values() for row in _rows(split)}

    def _key(self, text: str, pair: str | None) -> tuple[str, ...]:
        return dedup_key(text, pair, self.both_orders)

    def read(self, paths: Sequence[Path]) -> Iterator[tuple[str, str | None]]:
        for path in paths:
            with open_lines(path, "file of unlabelled texts") as lines:
                for number, line in enumerate(lines, 1):
                    mark = codecs.BOM_UTF8 if number == 1 else b""
                    fault, row = self._row(line.removeprefix(mark))
                    if fault:
                        self.faulty += 1
                        self.first = self.first or f"line {number} of {path}, which {fault}"
                    elif self._key(*row) in self._own:
                        self.known += 1
                    else:
                        yield row

    def _row(self, line: bytes) -> tuple[str, tuple[str, str | None]]:
        """The fault of a line, or "", and its text or pair."""
        none = ("", None)
        if len(line) > _LINE:
            return f"has more than {_LINE:,} bytes", none
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            return "is not UTF-8", none
        first, _, second = (part.strip() for part in text.partition("\t"))
        if not text or (self.has_pairs and not (first and second)):
            return "has no pair with a tab between its texts" if text else "is empty", none
        return "", (first, second) if self.has_pairs else (text, None)


def _rows(split: Split) -> Iterator[tuple[str, str | None]]:
    return zip(split.texts, split.pairs or itertools.repeat(None), strict=False)
