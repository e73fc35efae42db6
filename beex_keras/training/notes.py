"""What a training says before its first step: what it has read, and what it chose where the call is silent."""

from collections import Counter

import numpy as np

from beex_keras.data import Task
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
    alike = Counter(label.casefold() for label in task.labels)
    twice = [label for label in task.labels if alike[label.casefold()] > 1]
    if twice:
        lines.append(f"warning: The classes {', '.join(twice)} differ only in case.")
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
