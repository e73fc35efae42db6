"""What a task is: three splits of labelled texts, and what they are scored by."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled texts.

    Attributes:
        texts: n texts.
        pairs: n second texts, or None for single texts.
        labels: class numbers, int32, (n,).
    """

    texts: list[str]
    pairs: list[str] | None
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, indices: Sequence[int] | np.ndarray) -> "Split":
        """The rows of the given numbers, in that order."""
        texts, labels = [self.texts[i] for i in indices], self.labels[np.asarray(indices, np.int64)]
        return Split(
            texts, None if self.pairs is None else [self.pairs[i] for i in indices], labels
        )


@dataclass(frozen=True, eq=False)
class Task:
    """A text classification task.

    Attributes:
        name: as given to `load_task`.
        labels: names of the classes, in the order of their numbers.
        train, validation, test: for weights, for choices such as the exit's threshold, and for the
            figures that are reported.
        metric: "accuracy", "matthews" or "f1".
        notes: where each split came from.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    metric: str
    notes: str

    @property
    def is_pair(self) -> bool:
        return self.train.pairs is not None

    def splits(self) -> dict[str, Split]:
        """The splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def training_texts(self) -> list[str]:
        """The texts of the training split alone; of pairs, both texts, each for itself."""
        return [*self.train.texts, *(self.train.pairs or [])]

    def fingerprint(self, more: Iterable[str] = ()) -> str:
        """A hash of all texts and labels, and of what else training reads: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for split in self.splits().values():
            for texts in (split.texts, split.pairs or [], map(str, split.labels.tolist())):
                for text in texts:
                    digest.update(text.encode() + b"\0")
                digest.update(b"\1")
        for text in more:
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()[:16]
