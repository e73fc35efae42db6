"""What a training says before its first step: what it has read, and what it chose where the call is silent."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from beex_keras.data import Task, same_text
from beex_keras.data.numbers import is_whole
from beex_keras.text import TextPreprocessor
from beex_keras.training import binary_minilm
from beex_keras.training.settings import FEW, Resolved

_OF_RANDOM = "The start is random weights, which so few texts teach little; for English texts, --init minilm is mostly better."
_OF_BINARY = (
    "The start is the packaged binary MiniLM, which knows English. --init minilm takes longer and is mostly better; "
    "--init none starts from random weights."
)
_OF_FOREIGN = "The start is random weights, since the texts do not look like English; if they are, add --init {name}."
_OF_TWIN = "The float32 twin is trained first, and teaches the model; --teacher none leaves it out."

_FREQUENT, _MANY_NUMBERS = 0.8, 10
"""Above which share of the texts a class is frequent, and above how many whole numbers as classes a training says that
they are. Our reading."""

_CUT, _POSITIONS = 0.01, 512
"""From which share of cut training texts a training says so, and how many tokens MiniLM and the packaged starts read at
most."""


def of_training(
    task: Task, found: Resolved, ids: np.ndarray, preprocessor: TextPreprocessor, is_twin: bool
) -> list[str]:
    """All lines of a training; `ids` (B, T) are those of the training split."""
    read = [] if is_twin else _of_data(task)  # a twin reads what its student reads
    return [*read, *_of_choices(task, found), *_of_cut_texts(task, found, ids, preprocessor)]


def _of_data(task: Task) -> list[str]:
    sizes = f"{len(task.train):,} for training, {len(task.validation):,} for validation, {len(task.test):,} for the test"
    answers = "numbers as labels" if task.is_regression else f"{len(task.labels)} classes"
    lines = [f"{'Pairs' if task.is_pair else 'Texts'}: {sizes}, with {answers}."]
    keys = {
        name: same_text.keys(split.texts, split.pairs, task.both_orders)
        for name, split in task.splits().items()
    }
    lines += _of_repeated_texts(keys)
    return lines if task.is_regression else [*lines, *_of_classes(task, keys["train"])]


def _of_repeated_texts(keys: Mapping[str, Sequence[tuple[str, ...]]]) -> list[str]:
    known, lines = set(keys["train"]), []
    for name in ("validation", "test"):
        if learned := sum(key in known for key in keys[name]):
            are = "is a training text" if learned == 1 else "are training texts"
            again = f"{learned:,} of the {len(keys[name]):,} {name} texts {are}, too"
            lines.append(f"warning: {again}, so the accuracy there may be too high.")
    return lines


def _of_classes(task: Task, texts: Sequence[tuple[str, ...]]) -> list[str]:
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


def _of_choices(task: Task, found: Resolved) -> list[str]:
    if found.is_foreign:
        return [_OF_FOREIGN.format(name=binary_minilm.name_for(task.is_pair))]
    if found.start_by_default:
        return [_OF_BINARY] if found.twin is None else [_OF_BINARY, _OF_TWIN]
    alone = found.init is found.teacher is found.twin is None
    return [_OF_RANDOM] if alone and len(task.train) <= FEW else []


def _of_cut_texts(
    task: Task, found: Resolved, ids: np.ndarray, preprocessor: TextPreprocessor
) -> list[str]:
    most, split = preprocessor.max_length, task.train
    full = np.flatnonzero(ids[:, -1])  # the others are shorter
    pairs = None if split.pairs is None else [split.pairs[row] for row in full]
    lengths = preprocessor.lengths([split.texts[row] for row in full], pairs)
    share = float(np.sum(lengths > most)) / len(split)
    if share < _CUT:
        return []
    line = f"{share:.0%} of the training texts have more than the {most} tokens that the model reads, and are cut"
    # A start from a model of ours has that one's length.
    if 2 * most > _POSITIONS or (found.init is not None and not found.init.is_encoder):
        return [f"{line}."]
    return [f"{line}; --set max_length={2 * most} reads more and takes longer."]
