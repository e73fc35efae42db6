"""What a model with a teacher learns from: which texts, and whose answers to them.

A teacher of the student's shape is asked in each step, since its hidden states are learned from too, see
`beex_keras.training.teacher`. Any other teacher, or one whose answers are mixed with those of MiniLM's embeddings,
is asked once for each text, see `beex_keras.training.unlabelled`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerClassifier
from beex_keras.training import run_folder
from beex_keras.training.frozen import FrozenMiniLM
from beex_keras.training.mixture import Mixture
from beex_keras.training.recipe import TrainingConfig
from beex_keras.training.teacher import answers_of, check_answers, make_teacher, shares_shape
from beex_keras.training.unlabelled import Answer, Texts, write_texts
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
        with_frozen: whether a linear model on MiniLM's embeddings answers beside the teacher.
        folder: of the run, for what is computed once.
        say: is told how far it is.
    """

    task: Task
    teacher: WarmStart
    unlabelled: tuple[Path, ...]
    with_frozen: bool
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
        in_steps = shares_shape(student, self.teacher) and not self.with_frozen
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
            None if in_steps else self._answers(student),
            self.say,
        )
        return Lessons(texts, teacher, share or (0.0 if in_steps else _SHARE_OF_ANSWERS))

    def _answers(self, student: BEExformerClassifier) -> Answer:
        """The teacher's answers, or those of the teacher and of MiniLM's embeddings together."""
        answers = answers_of(student, self.teacher)
        if not self.with_frozen:
            return answers
        return Mixture(self.task, answers, lambda: FrozenMiniLM.fit(self.task).logits, self.say)


def better_twin(twins: Sequence[Path], say: Callable[[str], None] = lambda line: None) -> Path:
    """The run folder of the twin with the best score on validation data at full depth.

    The second twin has learned from more texts than the first, but from answers, and from each text less often.

    Args:
        twins: the folders of the second twin and of the first, or of the only one. Of equals it is the second.
        say: is told both scores.
    """
    quality = [
        run_folder.read_results(twin)["calibration"]["validation_full_depth_accuracy"]
        for twin in twins
    ]
    best = int(np.argmax(quality))
    if len(twins) > 1:
        name = ("second", "first")[best]
        scores = ", ".join(f"{100 * value:.1f}" for value in quality[::-1])
        say(f"the {name} twin teaches; their scores on validation data are {scores}")
    return twins[best]
