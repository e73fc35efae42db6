"""Findings about the data of a task, which a training prints before its first step."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from beex_keras.data.rows import is_whole
from beex_keras.data.splits import dedup_keys
from beex_keras.data.task import Task
from beex_keras.text import TextPreprocessor

_FREQUENT = 0.8
"""A class with a larger share of the texts is reported. Our reading."""

_MANY_NUMBERS = 10
"""More classes than these that are whole numbers may be amounts. Our reading."""

_CUT = 0.01
"""A larger share of cut texts is reported. Our reading."""

_LONGEST = 512
"""The most tokens that MiniLM and the packaged starts read."""


def check_task(task: Task, ids: np.ndarray, preprocessor: TextPreprocessor) -> list[str]:
    """Describes the data in one line, and each finding that may be a mistake in another.

    Args:
        task: the data.
        ids: token ids (B, T) of the training texts.
        preprocessor: the tokenizer that gave them.
    """
    sizes = f"{len(task.train):,} for training, {len(task.validation):,} for validation, {len(task.test):,} for the test"
    kind = "numbers as labels" if task.is_regression else f"{len(task.labels)} classes"
    lines = [f"{'Pairs' if task.is_pair else 'Texts'}: {sizes}, with {kind}."]
    keys = {
        name: dedup_keys(split.texts, split.pairs, task.both_orders)
        for name, split in task.splits().items()
    }
    lines += _repeated_texts(keys)
    if not task.is_regression:
        lines += _classes(task, keys["train"])
    return lines + _cut_texts(task, ids, preprocessor)


def _repeated_texts(keys: Mapping[str, Sequence[tuple[str, ...]]]) -> list[str]:
    known, lines = set(keys["train"]), []
    for name in ("validation", "test"):
        if learned := sum(key in known for key in keys[name]):
            are = "is a training text" if learned == 1 else "are training texts"
            again = f"{learned:,} of the {len(keys[name]):,} {name} texts {are}, too"
            lines.append(f"warning: {again}, so the accuracy there may be too high.")
    return lines


def _classes(task: Task, texts: Sequence[tuple[str, ...]]) -> list[str]:
    """`texts` are the keys of the training split."""
    lines, labels = [], task.train.labels
    alike = Counter(label.casefold() for label in task.labels)
    twice = [label for label in task.labels if alike[label.casefold()] > 1]
    if twice:
        lines.append(f"warning: The classes {', '.join(twice)} differ only in case.")
    labels_of = Counter(text for text, _ in set(zip(texts, labels.tolist(), strict=True)))
    if unclear := sum(number > 1 for number in labels_of.values()):
        have = "text has" if unclear == 1 else "texts have"
        lines.append(f"warning: {unclear:,} training {have} more than one label.")
    most = int(np.bincount(labels).argmax())
    share = float(np.mean(labels == most))
    if share > _FREQUENT:
        often = (
            f"The class {task.labels[most]} has {share:.0%} of the {len(labels):,} training texts"
        )
        lines.append(f"{often}, so a model that always answers it has that accuracy.")
    if len(task.labels) > _MANY_NUMBERS and all(map(is_whole, task.labels)):
        lines.append("Each whole number is a class; --task-kind regression takes them as amounts.")
    return lines


def _cut_texts(task: Task, ids: np.ndarray, preprocessor: TextPreprocessor) -> list[str]:
    most, split = preprocessor.max_length, task.train
    full = np.flatnonzero(ids[:, -1])  # the others are shorter
    pairs = None if split.pairs is None else [split.pairs[row] for row in full]
    lengths = preprocessor.lengths([split.texts[row] for row in full], pairs)
    share = float(np.sum(lengths > most)) / len(split)
    if share < _CUT:
        return []
    line = f"{share:.0%} of the training texts have more than the {most} tokens that the model reads, and are cut"
    longer = f"; max_length={2 * most} reads more and takes longer" if 2 * most <= _LONGEST else ""
    return [f"{line}{longer}."]
