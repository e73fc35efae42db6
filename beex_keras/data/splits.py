"""Labelled texts, and held-out splits that are the same on every machine."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from beex_keras.errors import BeexError


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled texts.

    Attributes:
        texts: n texts.
        pairs: n second texts, or None for single texts.
        labels: class numbers, int32 (n,), or the targets of a regression, float64 (n,).
    """

    texts: list[str]
    pairs: list[str] | None
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def has_classes(self) -> bool:
        """Whether the labels are class numbers."""
        return self.labels.dtype.kind == "i"

    def rows(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """The rows of the given numbers, (n,) from 0, in that order."""
        texts, labels = [self.texts[i] for i in indices], self.labels[np.asarray(indices, np.int64)]
        pairs = None if self.pairs is None else [self.pairs[i] for i in indices]
        return Split(texts, pairs, labels)

    def inputs(self) -> list[str] | list[tuple[str, str]]:
        """The texts, or (text, text_pair) tuples, as models read them."""
        return self.texts if self.pairs is None else list(zip(self.texts, self.pairs, strict=True))

    def fingerprint(self) -> str:
        """A hash of the texts and labels: 16 hexadecimal digits."""
        return fingerprint([self])


def fingerprint(splits: Iterable[Split], more: Iterable[str] = ()) -> str:
    """A hash of all texts and labels, and of further strings: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for split in splits:
        for texts in (split.texts, split.pairs or [], map(str, split.labels.tolist())):
            for text in texts:
                digest.update(text.encode() + b"\0")
            digest.update(b"\1")
    for text in more:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]


def dedup_keys(
    texts: Sequence[str], pairs: Sequence[str] | None, both_orders: bool = False
) -> list[tuple[str, ...]]:
    """The `dedup_key` of each text, or of each pair."""
    if pairs is None:
        return [dedup_key(text) for text in texts]
    return [dedup_key(text, pair, both_orders) for text, pair in zip(texts, pairs, strict=True)]


def dedup_key(text: str, pair: str | None = None, both_orders: bool = False) -> tuple[str, ...]:
    """A key that rows share if they have the same text or pair, whatever its case and spacing.

    Args:
        text: the text, or the first one of a pair.
        pair: the second one.
        both_orders: whether a pair is the same with its texts exchanged.
    """
    parts = [" ".join(part.lower().split()) for part in (text, pair) if part is not None]
    return tuple(sorted(parts) if both_orders else parts)


def complete_splits(
    train: Split, validation: Split | None, test: Split | None
) -> tuple[tuple[Split, Split, Split], list[str]]:
    """Takes the missing splits out of `train`; a given split stays as it is.

    Without a test split, it is a tenth of `train`. Without a validation split, it is a tenth too,
    or, of 10,000 rows and more beside a given test split, a twentieth and at most about 2,500. The
    validation split of a regression is twice as large, so that the threshold of its exit depends less
    on chance.

    Returns:
        (train, validation, test), and a note on each split that was made.

    Raises:
        BeexError: a class has too few rows to be in all the splits.
    """
    rows, notes = len(train), []
    by = "label and a hash of the text" if train.has_classes else "a hash of the text"
    taken = f"of the {rows:,} rows for training, taken out by {by}"
    share = min(0.05, 2500 / rows) if rows >= 10_000 else 0.1
    if test is None:
        train, test = hold_out(train, 0.1)
        share = 1 / 9  # of the nine tenths that are left
        notes.append(f"test: {len(test):,} {taken}")
    if validation is None:
        train, validation = hold_out(train, share if train.has_classes else 2 * share)
        notes.append(f"validation: {len(validation):,} {taken}")
    return (train, validation, test), notes


def hold_out(split: Split, share: float) -> tuple[Split, Split]:
    """Splits off a share of every class: (the rest, the share).

    The share has the texts of a class with the smallest hashes, at least one. A repeated text (whatever
    its case, spacing and label) is never on both sides. The targets of a regression count as one class.

    Raises:
        BeexError: a class would have no row left.
    """
    strata = split.labels if split.has_classes else np.zeros(len(split), np.int32)
    pairs = split.pairs or [""] * len(split)
    hashes = np.array([_hash(*row) for row in zip(split.texts, pairs, strict=True)])
    classes = np.unique(strata)
    chosen: set[str] = set()
    for label in classes:
        of_class = np.unique(hashes[strata == label])
        chosen.update(of_class[: max(1, round(share * len(of_class)))].tolist())
    held = np.fromiter((h in chosen for h in hashes.tolist()), bool, len(split))
    if len(lost := np.setdiff1d(classes, strata[~held])):
        rows = (
            f"A class of {np.sum(strata == lost[0])} rows has" if split.has_classes else "There are"
        )
        few = f"{rows} too few different texts to be split into training, validation and test"
        raise BeexError(f"{few}; add rows, or give the validation and test files.")
    return split.rows(np.flatnonzero(~held)), split.rows(np.flatnonzero(held))


def _hash(text: str, pair: str) -> str:
    return hashlib.sha256("\t".join(dedup_key(text, pair)).encode("utf-8")).hexdigest()
