"""Holds out sentences of a training set that also has the parts of its sentences, such as SST-2's.

SST-2's training rows are the phrases of a treebank: each sentence, and separately most of its
constituents. If single rows were held out, training would still have their words and their labels.
Accuracy on them would lie far above the accuracy on new sentences, and keep rising while a model
overfits. So a sentence is held out together with all its parts.
"""

from collections import defaultdict

import numpy as np

from beex_keras.data import Split
from beex_keras.data.splits import hold_out
from beex_keras.errors import BeexError

_SHORTEST = 3  # words; shorter phrases belong to many sentences


def hold_out_sentences(split: Split, share: float) -> tuple[Split, Split]:
    """Splits off a share of the whole sentences: (the rest, the sentences).

    The parts of a held-out sentence are in neither. Phrases of one or two words stay in training.

    Raises:
        BeexError: a class would have no row left.
    """
    wholes = whole_sentences(split.texts)
    if (wholes < 0).all():  # without a sentence, every row counts as one
        wholes = np.arange(len(split))
    rest, held = hold_out(split.rows(np.unique(wholes[wholes >= 0])), share)
    kept = set(rest.texts)
    stays = [whole < 0 or split.texts[whole] in kept for whole in wholes]
    return split.rows(np.flatnonzero(stays)), held


def without_parts(split: Split) -> Split:
    """The rows that are no part of a longer row: the whole sentences.

    Raises:
        BeexError: no row has three words.
    """
    alone = np.flatnonzero(whole_sentences(split.texts) == np.arange(len(split)))
    if not len(alone):
        none = f"No training text has {_SHORTEST} words, so none is a sentence"
        raise BeexError(f"{none}; take the task that keeps all phrases.")
    return split.rows(alone)


def whole_sentences(texts: list[str]) -> np.ndarray:
    """For each text the number of the longest text that contains its words in a row: int64, (n,).

    A text that no other contains has its own number. A text of fewer than three words has -1.
    """
    words = [text.lower().split() for text in texts]
    longest_first = sorted(range(len(texts)), key=lambda i: (-len(words[i]), texts[i]))
    wholes = np.full(len(texts), -1, np.int64)
    # Candidates by their runs of three words, which few sentences share.
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i in longest_first:
        run = words[i]
        if len(run) < _SHORTEST:
            break
        phrase = f" {' '.join(run)} "
        found = (j for j in holders[tuple(run[:_SHORTEST])] if phrase in f" {' '.join(words[j])} ")
        wholes[i] = next(found, i)
        if wholes[i] == i:
            for start in range(len(run) - _SHORTEST + 1):
                holders[tuple(run[start : start + _SHORTEST])].append(i)
    return wholes
