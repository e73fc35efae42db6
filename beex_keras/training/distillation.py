"""What a model with a teacher learns from: which texts, and whose answers to them.

A teacher of the student's shape is asked in each step, since its hidden states are learned from too, see
`beex_keras.training.teacher`. Any other teacher is asked once for each text, see
`beex_keras.training.unlabelled`.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerClassifier
from beex_keras.training.recipe import TrainingConfig
from beex_keras.training.teacher import answers_of, check_answers, make_teacher, shares_shape
from beex_keras.training.unlabelled import Texts, write_texts
from beex_keras.training.warm_starts import WarmStart

_SHARE_OF_ANSWERS = 0.5
"""The share of a teacher's probabilities in the targets, if nothing else can be learned from it."""


@dataclasses.dataclass(frozen=True)
class Lessons:
    """What the gradient steps read, and whom they ask.

    Attributes:
        texts: ids, labels, and answers that were computed before.
        teacher: the model that is asked in each step, or None.
        share: of the teacher's probabilities in the targets of texts with a label.
    """

    texts: Texts
    teacher: BEExformerClassifier | None = None
    share: float = 0.0


@dataclasses.dataclass(frozen=True)
class Distillation:
    """A teacher, and the texts that it is to answer.

    Attributes:
        task: whose training texts have labels.
        teacher: its weights.
        unlabelled: files of texts without labels.
        folder: of the run, for what is computed once.
        say: is told how far it is.
    """

    task: Task
    teacher: WarmStart
    unlabelled: tuple[Path, ...]
    folder: Path
    say: Callable[[str], None]

    def lessons(
        self,
        student: BEExformerClassifier,
        ids: np.ndarray,
        labels: np.ndarray,
        config: TrainingConfig,
    ) -> Lessons:
        """What `student` learns from by `config`, beside `labels` of the training texts.

        Raises:
            BeexError: the teacher cannot answer the task's texts; `replaced_tokens` with a teacher that is not
                asked in each step; or see `write_texts`.
        """
        share = config.soft_targets
        in_steps = shares_shape(student, self.teacher)
        if self.unlabelled or not in_steps or share or config.replaced_tokens:
            check_answers(student, self.teacher)
        teacher = make_teacher(student, self.teacher, ids) if in_steps else None
        if in_steps and not self.unlabelled:
            return Lessons(Texts(ids, labels), teacher, share)
        if config.replaced_tokens and not in_steps:
            needs = "replaced_tokens needs a teacher of the same shape and vocabulary"
            raise BeexError(f"{needs}; leave it out.")
        assert student.preprocessor is not None
        texts = write_texts(
            self.folder,
            self.task,
            labels,
            self.unlabelled,
            student.preprocessor,
            None if in_steps else answers_of(student, self.teacher),
            self.say,
        )
        return Lessons(texts, teacher, share or (0.0 if in_steps else _SHARE_OF_ANSWERS))
