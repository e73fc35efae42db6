"""What the steps read where a teacher answers: its logits, computed once, and texts without labels.

Ids and answers stand in files of the run folder, of which a batch is in memory at a time: millions of
texts take no more of it than thousands.

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

from beex_keras.data import Split, Task, same_text
from beex_keras.data.row_file import RowFile
from beex_keras.errors import BeexError, BeexWarning
from beex_keras.files import atomic_path, open_lines, read_text, write_atomically
from beex_keras.text import TextPreprocessor

IDS, ANSWERS, ABOUT = "texts.ids", "texts.answers", "texts.json"
_CHUNK, _SAMPLE = 2048, 100_000
_SECONDS = 10.0
_LINE = 65536
"""Bytes of a line, beyond which it is no text to learn from."""

Answer = Callable[[Sequence[str], Sequence[str] | None], np.ndarray]
"""The teacher's logits (n, C) of texts, and of the second ones of pairs."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """What the steps read.

    Attributes:
        ids: int32 (n, L).
        labels: class numbers int32 (n,), or standardized targets; of texts without a label what
            `no_label` says.
        answers: the teacher's logits, float32 (n, C), or None if it is asked in each step.
    """

    ids: np.ndarray | RowFile
    labels: np.ndarray
    answers: RowFile | None = None


def no_label(labels: np.ndarray) -> Any:
    """What stands in the place of a label: -1, or not a number where labels are targets."""
    return labels.dtype.type(np.nan if labels.dtype.kind == "f" else -1)


def file_names(paths: Sequence[Path]) -> list[str]:
    """Each file by the hash of what it holds, for the settings of a run; errors as `open_lines`."""
    found = []
    for path in paths:
        with open_lines(path, "file of unlabelled texts") as lines:
            digest = hashlib.sha256()
            while part := lines.read(2**20):
                digest.update(part)
            found.append(digest.hexdigest()[:16])
    return found


def count_lines(paths: Sequence[Path]) -> int:
    """How many lines files have together; errors as `open_lines`."""
    count = 0
    for path in paths:
        with open_lines(path, "file of unlabelled texts") as lines:
            last = b"\n"
            while part := lines.read(2**20):
                count += part.count(b"\n")
                last = part[-1:]
            count += last != b"\n"  # the last line may lack its end
    return count


def check_new_texts(paths: Sequence[Path], task: Task) -> None:
    """Raises `BeexError` if a file cannot be read, or no line of all of them is a text that `task` has not."""
    tables = (".csv", ".json", ".jsonl") if task.is_pair else (".csv", ".tsv", ".json", ".jsonl")
    for path in paths:
        if path.suffix.lower() in tables:
            fix = "write the texts alone into a text file, one a line"
            raise BeexError(
                f"The unlabelled texts in {path} would be whole rows of a table; {fix}."
            )
    if next(_Lines(task).of(paths), None) is None:
        names = ", ".join(map(str, paths))
        kind = "pairs, with a tab between the two texts" if task.is_pair else "texts"
        raise BeexError(f"No line of {names} is a new text; give {kind}, one a line.")


def sample_texts(paths: Sequence[Path], task: Task) -> list[str]:
    """The first texts of each file that `task` has not, for a vocabulary; of pairs both, each for itself."""
    found: list[str] = []
    lines = _Lines(task)
    for path in paths:
        rows = lines.of([path])
        for row in itertools.islice(rows, _SAMPLE // len(paths)):
            found += [text for text in row if text is not None]
    return found


def write_texts(
    folder: Path,
    task: Task,
    labels: np.ndarray,
    paths: Sequence[Path],
    preprocessor: TextPreprocessor,
    answer: Answer | None,
    say: Callable[[str], None] = lambda line: None,
) -> Texts:
    """Labelled texts and then those of files, as ids and with what a teacher answers.

    A file has a text a line, or a pair with a tab between its texts, as `beex predict` reads it. Lines that
    are empty, too long, no UTF-8 or no pair are left out, with one warning. Texts of the labelled splits are
    left out, too, whatever their case and spacing. Ids, answers and description that the folder has are only opened.

    Args:
        folder: of the run.
        task: the labelled texts.
        labels: what the exits learn of those for training.
        paths: of the files.
        preprocessor: of the student.
        answer: the teacher; None leaves out answers.
        say: is told how far it is.

    Raises:
        BeexError: a file cannot be read.
    """
    # A training that has ended keeps the description, and removes the others.
    if not all((folder / name).exists() for name in (IDS, ANSWERS, ABOUT)):
        about = _write(folder, task, paths, preprocessor, answer, say)
        write_atomically(folder / ABOUT, json.dumps(about, indent=2) + "\n")
    about = json.loads(read_text(folder / ABOUT, "description of texts"))
    dtype = _id_dtype(preprocessor)
    ids = RowFile(folder / IDS, preprocessor.max_length, dtype, np.int32)
    answers = None
    if answer is not None:
        answers = RowFile(folder / ANSWERS, about["outputs"], np.float16, np.float32)
    unlabelled = np.full(len(ids) - len(labels), no_label(labels), labels.dtype)
    return Texts(ids, np.concatenate([labels, unlabelled]), answers)


def _id_dtype(preprocessor: TextPreprocessor) -> type:
    return np.uint16 if preprocessor.vocabulary_size <= 2**16 else np.int32


def _write(
    folder: Path,
    task: Task,
    paths: Sequence[Path],
    preprocessor: TextPreprocessor,
    answer: Answer | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Writes both files; returns what is known of them."""
    train, lines = task.train, _Lines(task)
    count, outputs, said = 0, 0, time.monotonic()
    labelled = zip(train.texts, train.pairs or itertools.repeat(None), strict=False)
    with ExitStack() as within:
        parts = [within.enter_context(atomic_path(folder / name)) for name in (IDS, ANSWERS)]
        ids, answers = (within.enter_context(open(path, "wb")) for path in parts)
        for chunk in _chunks(itertools.chain(labelled, lines.of(paths))):
            texts = [text for text, _ in chunk]
            pairs = None if train.pairs is None else [str(pair) for _, pair in chunk]
            preprocessor.encode(texts, pairs).astype(_id_dtype(preprocessor)).tofile(ids)
            if answer is not None:
                logits = answer(texts, pairs)
                outputs = logits.shape[1]
                logits.astype(np.float16).tofile(answers)
            count += len(chunk)
            if time.monotonic() - said > _SECONDS:
                say(f"{count:,} texts read" + (" and answered" if answer is not None else ""))
                said = time.monotonic()
    unlabelled = count - len(train)
    if lines.faulty:
        left = f"{lines.faulty:,} lines of unlabelled text are left out"
        warnings.warn(f"{left}; the first is {lines.first}.", BeexWarning, stacklevel=2)
    return {
        "labelled": len(train),
        "unlabelled": unlabelled,
        "known already": lines.known,
        "faulty lines": lines.faulty,
        "outputs": outputs,
    }


def _chunks(items: Iterator[Any]) -> Iterator[list[Any]]:
    while chunk := list(itertools.islice(items, _CHUNK)):
        yield chunk


class _Lines:
    """The texts of files that a task has not, and counts of what else is there."""

    def __init__(self, task: Task) -> None:
        self.has_pairs, self.both_orders = task.is_pair, task.both_orders
        self.known, self.faulty, self.first = 0, 0, ""
        self._own = {self._key(*row) for split in task.splits().values() for row in _rows(split)}

    def _key(self, text: str, pair: str | None) -> tuple[str, ...]:
        return same_text.key(text, pair, self.both_orders)

    def of(self, paths: Sequence[Path]) -> Iterator[tuple[str, str | None]]:
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
        """What is wrong with a line, and its text or texts."""
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
