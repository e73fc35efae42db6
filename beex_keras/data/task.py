"""What a task is: three splits of labelled texts, and what they are scored by."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beex_keras.data import same_text
from beex_keras.errors import BeexError
from beex_keras.value_scale import VALUE_LABELS, ValueScale


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

    def fingerprint(self) -> str:
        """A hash of its texts and labels: 16 hexadecimal digits."""
        return _hash(self)

    def rows(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """The rows of the given numbers, (n,) from 0, in that order."""
        texts, labels = [self.texts[i] for i in indices], self.labels[np.asarray(indices, np.int64)]
        return Split(
            texts, None if self.pairs is None else [self.pairs[i] for i in indices], labels
        )


@dataclass(frozen=True, eq=False)
class Task:
    """A text classification task, or a regression.

    Attributes:
        name: as given to `load_task`.
        labels: names of the classes, in the order of their numbers; a regression has the one name "value".
        train, validation, test: splits for training, for choices such as the exit's threshold, and for the
            reported figures.
        metric: "accuracy", "matthews" or "f1"; for a regression "pearson", "spearman" or
            "mean_absolute_error".
        notes: where each split came from.
        both_orders: whether the training split contains each pair in both orders.
        clip: whether a regression keeps its answers in the range of the training targets.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    metric: str
    notes: str
    both_orders: bool = False
    clip: bool = True

    @property
    def is_regression(self) -> bool:
        """Whether the labels are numbers, and not classes."""
        return self.labels == VALUE_LABELS

    @property
    def value_scale(self) -> ValueScale | None:
        """The scale of a regression's answers, computed from the training targets; None for classes.

        Raises:
            BeexError: all targets are the same, or they vary too little.
        """
        return ValueScale.of(self.train.labels, self.clip) if self.is_regression else None

    @property
    def is_pair(self) -> bool:
        return self.train.pairs is not None

    def splits(self) -> dict[str, Split]:
        """The splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def in_both_orders(self) -> "Task":
        """Returns the task with each training pair added a second time, with its texts exchanged.

        This is for pairs that mean the same in either order, so a training pair that is in the validation or test
        split, in whatever order, is left out. These splits do not change.

        Raises:
            BeexError: the texts are single ones.
        """
        train = self.train
        if train.pairs is None:
            raise BeexError(
                "Single texts have no order; leave out both_orders, or name a pair column."
            )
        splits = train, self.validation, self.test
        keys, *others = (same_text.keys(part.texts, part.pairs, True) for part in splits)
        held_out = {key for part in others for key in part}
        kept = [row for row, key in enumerate(keys) if key not in held_out]
        notes = f"{self.notes}; train has each pair in both orders"
        if left := len(train) - len(kept):
            notes += f", but for {left:,} that are held out"
        train = train.rows(kept)
        assert train.pairs is not None
        texts, pairs = [*train.texts, *train.pairs], [*train.pairs, *train.texts]
        doubled = Split(texts, pairs, np.concatenate([train.labels, train.labels]))
        return replace(self, train=doubled, notes=notes, both_orders=True)

    def training_texts(self) -> list[str]:
        """The texts of the training split; both texts of a pair are listed separately."""
        return [*self.train.texts, *(self.train.pairs or [])]

    def fingerprint(self, more: Iterable[str] = ()) -> str:
        """A hash of all texts, labels and other values that training reads: 16 hexadecimal digits."""
        return _hash(*self.splits().values(), more=more)


def _hash(*splits: Split, more: Iterable[str] = ()) -> str:
    digest = hashlib.sha256()
    for split in splits:
        for texts in (split.texts, split.pairs or [], map(str, split.labels.tolist())):
            for text in texts:
                digest.update(text.encode() + b"\0")
            digest.update(b"\1")
    for text in more:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:16]
