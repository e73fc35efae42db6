"""The arguments of `train` and of `beex train`, which are the same.

They are `preset`, `bits`, `init_layers`, columns of the data, and the fields of `BEExformerConfig`, `TrainingConfig`
and `RunOptions`. What is not given follows in `beex_keras.training.settings`.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

from beex_keras import fields
from beex_keras.errors import BeexError
from beex_keras.models.config import BEExformerConfig
from beex_keras.training import binary_minilm
from beex_keras.training.bert import MINILM
from beex_keras.training.recipe import RunOptions, TrainingConfig
from beex_keras.training.warm_starts import WarmStart, is_bert

Source = str | os.PathLike[str] | WarmStart | None
"""What a training starts from or learns from: a name, a path, or read already."""

TWIN = "twin"
"""The name of a teacher that is trained first: the float32 twin of the model."""

NONE = "none"
"""In place of a start or a teacher: none, where there is one by default."""

DATA = (
    *("data_dir", "text_column", "pair_column", "label_column"),
    *("task_kind", "both_orders", "clip"),
)
"""Arguments of `load_task`."""

CHOICE = ("preset", "bits", "init_layers")
"""Arguments that stand for several settings of a model, or for a part of its start."""

OF_DATA = {"num_classes", "num_segments", "separator_id"}
"""Fields of a model's configuration that the data decides."""

MODEL = tuple(name for name in fields.names(BEExformerConfig) if name not in OF_DATA)
"""Fields of a model's configuration that the data does not decide."""

_OF_INIT, _OF_TEACHER = ("init_layers", "anneal"), ("hidden_weight", "replaced_tokens")
NEEDS = {**dict.fromkeys(_OF_INIT, "init"), **dict.fromkeys(_OF_TEACHER, "teacher")}
"""Settings that mean nothing without a start or a teacher."""


def known() -> list[str]:
    """The names of all arguments, in alphabetical order."""
    own = (*fields.names(TrainingConfig), *fields.names(RunOptions))
    return sorted({*DATA, *CHOICE, *MODEL, *own})


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The arguments of a call, sorted by what they are about and checked as far as data need not be read."""

    data: dict[str, Any]  # arguments of `load_task`
    choice: dict[str, Any]  # those of `CHOICE`
    model: dict[str, Any] | BEExformerConfig  # some fields, or all
    training: dict[str, Any] | TrainingConfig
    run: RunOptions
    init: Source
    teacher: Source

    @classmethod
    def read(
        cls,
        settings: Mapping[str, Any],
        model: BEExformerConfig | None = None,
        training: TrainingConfig | None = None,
        init: Source = None,
        teacher: Source = None,
        has_unlabelled: bool = False,
    ) -> "Arguments":
        """Sorts `settings`; refuses one that is unknown, out of range, of no use or given twice."""
        names = known()
        for name in settings:
            fields.check_known(name, names)

        def of(names: Iterable[str]) -> dict[str, Any]:
            return {name: settings[name] for name in names if name in settings}

        recipe = fields.names(TrainingConfig)
        for whole, own in ((model, (*MODEL, "preset", "bits")), (training, recipe)):
            if whole is not None and of(own):
                kind = type(whole).__name__
                raise BeexError(f"{min(of(own))} is given beside a {kind}; put it in there.")
        of_model = of(MODEL) if model is None else model
        of_training = of(recipe) if training is None else training
        options = RunOptions(**of(fields.names(RunOptions)))
        arguments = cls(of(DATA), of(CHOICE), of_model, of_training, options, init, teacher)
        if has_unlabelled:
            arguments = arguments._with_teacher_of_unlabelled()
        arguments._check()
        return arguments

    @property
    def leave_start_open(self) -> bool:
        """Whether they say nothing of the start, and the packaged binary MiniLM fits all that they say."""
        whole = isinstance(self.training, TrainingConfig)
        if self.init is not None or whole or isinstance(self.model, BEExformerConfig):
            return False
        if self.choice.get("preset") is not None:
            return False
        bits = self.choice.get("bits") or "weights-only"
        try:
            model = BEExformerConfig.preset("minilm", bits, **self.model)
        except BeexError:  # no size of that preset
            return False
        return model.weight_bits == 1 and binary_minilm.fits(model)

    @property
    def leave_length_open(self) -> bool:
        """Whether they say nothing of how many tokens to read, and the start may be MiniLM or a packaged binary one."""
        if isinstance(self.model, BEExformerConfig) or "max_length" in self.model:
            return False
        named = self.choice.get("preset") is None and self.init in (MINILM, *binary_minilm.FILES)
        return named or self.leave_start_open

    def going_on(self, recipe: Mapping[str, Any]) -> "Arguments":
        """With the precision of the run that they continue, whose recipe this is, unless they name one.

        The default follows from the processor, and another one may finish the run.
        """
        if "precision" not in recipe or isinstance(self.training, TrainingConfig):
            return self
        chosen = {"precision": recipe["precision"], **self.training}
        return dataclasses.replace(self, training=chosen)

    def _with_teacher_of_unlabelled(self) -> "Arguments":
        """With the teacher that somebody wants who has texts without labels and names none."""
        from_bert = self.init not in (None, NONE) and is_bert(self.init)
        if self.teacher is None and (self.leave_start_open or from_bert):
            return dataclasses.replace(self, teacher=TWIN)
        if self.teacher in (None, NONE):
            fix = f'give one, such as teacher="{TWIN}"'
            raise BeexError(
                f"Unlabelled texts mean nothing without a teacher to answer them; {fix}."
            )
        return self

    def _check(self) -> None:
        """Shows faults before anything is read."""
        if isinstance(self.training, dict):
            TrainingConfig(**self.training)
        preset, bits = self.choice.get("preset"), self.choice.get("bits")
        # A start can bring a shape that other sizes fit.
        if isinstance(self.model, dict) and (preset or self.init in (None, NONE)):
            BEExformerConfig.preset(preset or "tiny", bits or "weights-only", **self.model)
