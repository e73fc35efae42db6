"""Texts without labels, for pre-training: from files, or from a task's training split."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from beex_keras.data.splits import hold_out
from beex_keras.data.task import Split, Task
from beex_keras.data.user_files import FilePath, read_column
from beex_keras.errors import BeexError
from beex_keras.files import decode, open_lines


def read_corpus(files: Iterable[FilePath], text_column: str = "text") -> list[str]:
    """The texts of several files, in their order.

    Args:
        files: .txt (one text a line, empty lines left out), .jsonl or .json (one object a line),
            .csv, or .tsv (no quoting).
        text_column: of all that are not .txt.

    Raises:
        BeexError: a file cannot be read or understood, or holds no text.
    """
    texts: list[str] = []
    for file in map(Path, files):
        found = _lines(file) if file.suffix.lower() == ".txt" else read_column(file, text_column)
        if not found:
            raise BeexError(f"{file} holds no text; give a file with one text a line or row.")
        texts += found
    if not texts:
        raise BeexError("There is no text to read; name at least one file.")
    return texts


def task_corpus(task: Task) -> list[str]:
    """The texts of a task's training split alone; of pairs, both texts, each for itself."""
    return [*task.train.texts, *(task.train.pairs or [])]


def split_corpus(texts: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Holds out a share of the texts, those with the smallest hashes: (the rest, the share).

    A repeated text (whatever its case and spacing) is never on both sides.

    Raises:
        BeexError: fewer than two different texts.
    """
    if len({" ".join(text.lower().split()) for text in texts}) < 2:
        raise BeexError(
            "Pre-training holds out a share of the texts for validation, and there are fewer than "
            "two different ones; give more texts."
        )
    rest, held = hold_out(Split(list(texts), None, np.zeros(len(texts), np.int32)), share)
    return rest.texts, held.texts


def corpus_fingerprint(texts: Iterable[str], more: Iterable[str] = ()) -> str:
    """A hash of all texts, and of what else training reads: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in (texts, more):
        for text in part:
            digest.update(text.encode() + b"\0")
        digest.update(b"\1")
    return digest.hexdigest()[:16]


def _lines(file: Path) -> list[str]:
    with open_lines(file, "text file") as lines:
        texts = [decode(line, f"text file {file}", n).strip() for n, line in enumerate(lines, 1)]
    return [text for text in texts if text]
