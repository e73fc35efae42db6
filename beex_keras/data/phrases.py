"""Held-out sentences from a training set that also holds the sentences' parts, such as SST-2's.

SST-2's training rows are the phrases of a treebank: each sentence, and separately most of its
constituents. Rows held out one by one have their own words, and their label, left in training, so
they measure memory: accuracy on them lies far above that on new sentences, and keeps rising while a
model overfits. Here a sentence is held out together with all its parts.
"""

from collections import defaultdict

import numpy as np

from beex_keras.data.splits import hold_out
from beex_keras.data.task import Split
from beex_keras.errors import BeexError

_SHORTEST = 3  # words; shorter phrases belong to many sentences


def hold_out_sentences(split: Split, share: float) -> tuple[Split, Split]:
    """Splits off a share of the whole sentences: (the rest, the sentences).

    The parts of a sentence that is held out are in neither: they are no sentences to validate on,
    and no text to train on. Phrases of one or two words stay in training.

    Raises:
        BeexError: a class would have no row left.
    """
    wholes = whole_sentences(split.texts)
    if (wholes < 0).all():  # no sentence in sight: every row is its own
        wholes = np.arange(len(split))
    rest, held = hold_out(split.rows(np.unique(wholes[wholes >= 0])), share)
    kept = set(rest.texts)
    stays = [whole < 0 or split.texts[whole] in kept for whole in wholes]
    return split.rows(np.flatnonzero(stays)), held


def without_parts(split: Split) -> Split:
    """The rows that are no part of a longer one: the sentences, if all of them are there.

    Raises:
        BeexError: no row has three words.
    """
    alone = np.flatnonzero(whole_sentences(split.texts) == np.arange(len(split)))
    if not len(alone):
        none = f"No training text has {_SHORTEST} words, so none is a sentence"
        raise BeexError(f"{none}; take the task that keeps all phrases.")
    return split.rows(alone)


def whole_sentences(texts: list[str]) -> np.ndarray:
    """The number of the longest text that each text is a part of, word by word: int64, (n,).

    A text that is a part of no other is its own whole; one of fewer than three words has none, -1.
    """
    words = [text.lower().split() for text in texts]
    longest_first = sorted(range(len(texts)), key=lambda i: (-len(words[i]), texts[i]))
    wholes = np.full(len(texts), -1, np.int64)
    # Candidates by their runs of three words: few sentences share one.
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
