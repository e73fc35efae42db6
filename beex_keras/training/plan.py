"""Decides all that a call of `train` leaves open: the start, the shape of the model, the recipe and the vocabulary."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from beex_keras import exits, fields
from beex_keras.backend import tf
from beex_keras.data import Task
from beex_keras.data.unlabelled import check_new_texts, hash_files, sample_texts
from beex_keras.errors import BeexError
from beex_keras.models.config import BEExformerConfig
from beex_keras.models.transfer import can_start
from beex_keras.text import TextPreprocessor, learn_vocabulary, read_vocabulary
from beex_keras.training import run_folder
from beex_keras.training.config import TrainingConfig, choose_recipe, default_matmul_dtype
from beex_keras.training.warm_starts import (
    NONE,
    ModelStart,
    WarmStart,
    default_start,
    is_bert,
    shares_shape,
    warm_start,
)

_MODEL_FIELDS = fields.names(BEExformerConfig)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A training of which everything is decided.

    Attributes:
        config: the configuration; no field that a default replaces is None.
        model_config: the shape of the model.
        preprocessor: the tokenizer of the model.
        init: the start, or None for random weights.
        teacher: the teacher, or None.
        has_shape: whether the teacher has the shape of the model, so that each step asks the teacher.
        unlabelled: text files without labels.
        settings: values that distinguish this training from others, for the run folder.
        recipe: the name of the recipe that gave the defaults, or None for a whole `TrainingConfig`.
    """

    config: TrainingConfig
    model_config: BEExformerConfig
    preprocessor: TextPreprocessor
    init: WarmStart | None
    teacher: WarmStart | None
    has_shape: bool
    unlabelled: tuple[Path, ...]
    settings: dict[str, Any]
    recipe: str | None

    def summary(self) -> list[str]:
        """The choices of the plan, for a reader."""
        config = self.config
        start = "random weights" if self.init is None else self.init.name
        taught = "" if self.teacher is None else f", with the teacher {self.teacher.name}"
        recipe = "" if self.recipe is None else f"Recipe {self.recipe}: "
        epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
        return [f"{recipe}{epochs} from {start}{taught}."]


def make_plan(
    task: Task,
    folder: Path,
    config: TrainingConfig | None,
    recipe: str | None,
    overrides: Mapping[str, Any],
) -> Plan:
    """The plan of a training, see `train`.

    A training that continues keeps the vocabulary and the `matmul_dtype` that its folder has.

    Raises:
        BeexError: an unknown field, a value out of range, a start or a teacher that does not fit, or fields that do not
            go together.
    """
    for name in overrides:
        if name in _MODEL_FIELDS:
            fix = f"give model={{'{name}': {overrides[name]!r}}}"
            raise BeexError(f"{name} is a field of the model's configuration; {fix}.")
        fields.check_known(name, fields.names(TrainingConfig))
    asked = TrainingConfig(**overrides) if config is None else config.replace(**overrides)
    unlabelled = _paths(asked.unlabelled)
    if unlabelled:
        check_new_texts(unlabelled, task)
    num_texts = len(task.train) // (2 if task.both_orders else 1)
    init, teacher = _init(asked, num_texts, task.is_pair), _teacher(asked)
    shape = _model_config(asked, init)
    if init is None and asked.init is None and isinstance(teacher, ModelStart):
        init = _start_from_teacher(asked, shape, teacher)
    tokens = _tokens(folder, asked, shape, init, teacher, task, unlabelled)
    lower_case = next((start.lower_case for start in (init, teacher) if start is not None), True)
    preprocessor = TextPreprocessor(tokens, shape.max_length, lower_case)
    has_shape = teacher is not None and shares_shape(shape, preprocessor, teacher)

    hashes = hash_files(unlabelled)
    if config is None:
        if recipe is None:
            kind = None if teacher is None else ("same_shape" if has_shape else "other_shape")
            is_binary = shape.weight_bits == 1
            recipe = choose_recipe(num_texts, task.is_pair, is_binary, init, kind)  # type: ignore[arg-type]
        total = num_texts + sum(hashes.values())
        asked = TrainingConfig.from_recipe(recipe, total, **overrides)
    elif recipe is not None:
        raise BeexError(
            "A recipe gives the fields that a config has already; leave one of them out."
        )
    _refuse_unused(overrides if config is None else _changed(asked), init, teacher, has_shape)

    found = run_folder.read_training(folder)
    decided = asked.replace(
        policy=asked.policy or exits.default(task.problem_type),
        matmul_dtype=asked.matmul_dtype or found.get("matmul_dtype") or _matmul_dtype(),
    )
    model_config = _model_config(decided, init).replace(
        num_classes=len(task.labels),
        num_segments=2 if task.is_pair else 1,
        vocabulary_size=preprocessor.vocabulary_size,
        separator_id=preprocessor.separator_id,
    )
    if init is not None:
        init.check(model_config)
    scale = task.value_scale
    sources = {"init": init, "teacher": teacher}
    settings = {
        "task": task.name,
        "data": task.fingerprint(tokens if asked.vocabulary is not None else ()),
        "model": model_config.to_dict(),
        "training": decided.hyperparameters(),
        **({"both_orders": True} if task.both_orders else {}),
        **({} if scale is None else {"value_scale": scale.to_dict()}),
        **{name: source.identity for name, source in sources.items() if source is not None},
        **({"unlabelled": list(hashes)} if hashes else {}),
    }
    parts = decided, model_config, preprocessor, init, teacher, has_shape, unlabelled
    return Plan(*parts, settings, recipe)


def _paths(files: Any) -> tuple[Path, ...]:
    return tuple(map(Path, [files] if isinstance(files, str | os.PathLike) else files))


def _init(config: TrainingConfig, num_texts: int, is_pair: bool) -> WarmStart | None:
    source = config.init
    if source is None and config.vocabulary is None:
        source = default_start(config.preset, config.bits, config.model, num_texts, is_pair)
    if source in (None, NONE):
        return None
    if config.vocabulary is not None:
        raise BeexError(
            "A start has its own vocabulary; leave out vocabulary, or give init='none'."
        )
    return warm_start(source, config.init_layers)


def _teacher(config: TrainingConfig) -> WarmStart | None:
    if config.teacher in (None, NONE):
        return None
    # The teacher's blocks are those of the student, so both take the same layers of an encoder.
    return warm_start(config.teacher, config.init_layers if is_bert(config.teacher) else None)


def _start_from_teacher(
    config: TrainingConfig, shape: BEExformerConfig, teacher: ModelStart
) -> WarmStart | None:
    """The teacher, if a model of this shape can start from its weights and no other vocabulary is given."""
    fits = can_start(teacher.shape, shape) and len(teacher.tokens) <= shape.vocabulary_size
    return teacher if fits and config.vocabulary is None else None


def _model_config(config: TrainingConfig, init: WarmStart | None) -> BEExformerConfig:
    """The shape of the model, as far as it does not depend on the data."""
    if isinstance(config.model, BEExformerConfig):
        return config.model
    is_fully_binary = init is not None and init.bits["activation_bits"] == 1
    bits = config.bits or ("fully-binary" if is_fully_binary else "weights-only")
    # An encoder was pre-trained without dropout, and has more positions than most tasks need.
    if config.preset is None and init is not None and not init.is_encoder:
        assert init.shape is not None
        return init.shape.with_bits(bits).replace(**config.model)
    preset = config.preset or ("tiny" if init is None else "minilm")
    return BEExformerConfig.preset(preset, bits, **config.model)


def _tokens(
    folder: Path,
    config: TrainingConfig,
    shape: BEExformerConfig,
    init: WarmStart | None,
    teacher: WarmStart | None,
    task: Task,
    unlabelled: Sequence[Path],
) -> Sequence[str]:
    """The vocabulary: that of the folder, of the call, of the start, or one learned from the texts."""
    if config.vocabulary is not None:
        given = config.vocabulary
        return read_vocabulary(given) if isinstance(given, str | os.PathLike) else given
    if (folder / run_folder.VOCABULARY).is_file():
        return read_vocabulary(folder / run_folder.VOCABULARY)
    texts, size = [*task.training_texts(), *sample_texts(unlabelled, task)], shape.vocabulary_size
    if init is not None:
        return init.vocabulary(size, texts)
    return learn_vocabulary(texts, size, use_subwords=config.use_subwords)


def _matmul_dtype() -> str:
    """The default of `matmul_dtype`: a GPU has fast products of float32."""
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    return "float32" if has_gpu else default_matmul_dtype()


def _changed(config: TrainingConfig) -> dict[str, Any]:
    """The fields of a configuration that differ from the defaults."""
    default = TrainingConfig()
    names = fields.names(TrainingConfig)
    return {
        name: getattr(config, name)
        for name in names
        if getattr(config, name) != getattr(default, name)
    }


def _refuse_unused(
    given: Mapping[str, Any],
    init: WarmStart | None,
    teacher: WarmStart | None,
    has_shape: bool,
) -> None:
    """Raises `BeexError` if a field was given that this training would not read."""
    needs: list[tuple[Callable[[], bool], str, tuple[str, ...]]] = [
        (lambda: teacher is not None, "a teacher", ("unlabelled",)),
        (
            lambda: has_shape,
            "a teacher of the same shape and vocabulary",
            ("token_replacement_rate", "hidden_loss_weight"),
        ),
        (lambda: init is not None, "a start", ("binarization_fraction",)),
        (lambda: init is not None or teacher is not None, "a BERT-style encoder", ("init_layers",)),
    ]
    for is_there, needed, names in needs:
        for name in names:
            if given.get(name) and not is_there():
                raise BeexError(f"{name} needs {needed}; give one, or leave out {name}.")
