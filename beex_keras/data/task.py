"""A task: three splits of labelled texts, and the metric of its models."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from beex_keras import tasks
from beex_keras.data.splits import Split, dedup_keys, fingerprint
from beex_keras.errors import BeexError
from beex_keras.tasks import TargetScaler


@dataclass(frozen=True, eq=False)
class Task:
    """A text classification task, or a regression.

    Attributes:
        name: "rotten_tomatoes", the name of a folder, "files", or "data" for data in memory.
        labels: names of the classes, in the order of their numbers; a regression has the one name "value".
        train, validation, test: splits for training, for choices such as the exit's threshold, and for the
            reported figures.
        metric: "accuracy", "matthews" or "f1"; for a regression "pearson", "spearman" or
            "mean_absolute_error".
        notes: the origin of each split.
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
    def problem_type(self) -> str:
        """ "classification" or "regression"."""
        return tasks.problem_type(len(self.labels))

    @property
    def is_regression(self) -> bool:
        """Whether the labels are numbers, and not classes."""
        return self.problem_type == "regression"

    @property
    def value_scale(self) -> TargetScaler | None:
        """The scale of a regression's answers, computed from the training targets; None for classes.

        Raises:
            BeexError: all targets are the same, or they vary too little.
        """
        return TargetScaler.fit(self.train.labels, self.clip) if self.is_regression else None

    @property
    def is_pair(self) -> bool:
        return self.train.pairs is not None

    def splits(self) -> dict[str, Split]:
        """The splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def in_both_orders(self) -> "Task":
        """Returns the task with each training pair added a second time, with its texts exchanged.

        This is for pairs that mean the same in either order. Training pairs that are in the validation or
        test split, in whatever order, are left out. These splits do not change.

        Raises:
            BeexError: the texts are single ones.
        """
        train = self.train
        if train.pairs is None:
            raise BeexError(
                "Single texts have no order; leave out both_orders, or name a pair column."
            )
        splits = train, self.validation, self.test
        keys, *others = (dedup_keys(split.texts, split.pairs, True) for split in splits)
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
        return fingerprint(self.splits().values(), more)
