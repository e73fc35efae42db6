"""Held-out splits that are the same everywhere: by label and by a hash of the text."""

import hashlib

import numpy as np

from beex_keras.data import same_text
from beex_keras.data.task import Split
from beex_keras.errors import BeexError


def complete_splits(
    train: Split, validation: Split | None, test: Split | None
) -> tuple[tuple[Split, Split, Split], list[str]]:
    """Takes the missing splits out of `train`; a given split stays as it is.

    Without a test split, it is a tenth of `train`. Without a validation split, it is a tenth too,
    or, of 10,000 rows and more beside a given test split, a twentieth and at most about 2,500. That
    of a regression is twice as large, so that the threshold of its exit depends less on chance.

    Returns:
        (train, validation, test), and a note on each split that was made.

    Raises:
        BeexError: a class has too few rows to be in all the splits.
    """
    rows, notes = len(train), []
    by = "label and a hash of the text" if _has_classes(train) else "a hash of the text"
    taken = f"of the {rows:,} rows for training, taken out by {by}"
    share = min(0.05, 2500 / rows) if rows >= 10_000 else 0.1
    if test is None:
        train, test = hold_out(train, 0.1)
        share = 1 / 9  # of the nine tenths that are left
        notes.append(f"test: {len(test):,} {taken}")
    if validation is None:
        train, validation = hold_out(train, share if _has_classes(train) else 2 * share)
        notes.append(f"validation: {len(validation):,} {taken}")
    return (train, validation, test), notes


def hold_out(split: Split, share: float) -> tuple[Split, Split]:
    """Splits off a share of every class: (the rest, the share).

    The texts of a class with the smallest hashes go, at least one. A repeated text (whatever its
    case, spacing and label) is never on both sides.

    Raises:
        BeexError: a class would have no row left.

    The targets of a regression are one class.
    """
    strata = split.labels if _has_classes(split) else np.zeros(len(split), np.int32)
    pairs = split.pairs or [""] * len(split)
    hashes = np.array([_hash(*row) for row in zip(split.texts, pairs, strict=True)])
    classes = np.unique(strata)
    chosen: set[str] = set()
    for label in classes:
        own = np.unique(hashes[strata == label])
        chosen.update(own[: max(1, round(share * len(own)))].tolist())
    held = np.fromiter((h in chosen for h in hashes.tolist()), bool, len(split))
    if len(lost := np.setdiff1d(classes, strata[~held])):
        number = int(np.sum(strata == lost[0]))
        few = "There are" if strata is not split.labels else f"A class of {number} rows has"
        few += " too few different texts to be split into training, validation and test"
        raise BeexError(f"{few}; add rows, or give the validation and test files.")
    return split.rows(np.flatnonzero(~held)), split.rows(np.flatnonzero(held))


def _has_classes(split: Split) -> bool:
    """Whether its labels are class numbers, not a regression's targets."""
    return split.labels.dtype.kind == "i"


def _hash(text: str, pair: str) -> str:
    return hashlib.sha256("\t".join(same_text.key(text, pair)).encode("utf-8")).hexdigest()
