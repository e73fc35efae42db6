"""The configuration of a training, and the recipes that choose its defaults. Nothing here needs TensorFlow."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from beex_keras import fields
from beex_keras.errors import BeexError
from beex_keras.models.config import BEExformerConfig
from beex_keras.precision import KINDS

if TYPE_CHECKING:
    from beex_keras.training.warm_starts import WarmStart

Source = "str | os.PathLike[str] | WarmStart | None"
"""A model to start from or to learn from: its name, its path, or what `warm_start` returned."""

FilePaths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

FEW_TEXTS = 10_000
"""Up to so many labelled texts, a training has the recipe for few labels."""

_WARM = {"loss": "linear", "binarization_fraction": 0.5}
_FROM_ENCODER = {**_WARM, "exit_lr_multiplier": 10.0}
_FLOAT32 = {"loss": "linear", "layer_decay": 0.9}
_NO_DROPOUT = {"model": {"dropout": 0.0, "token_dropout": 0.0}}
# A single word can decide a pair.
_PAIRS = {"model": {"token_dropout": 0.0}}

RECIPES: dict[str, dict[str, Any]] = {
    "scratch": {},
    "few_labels": {**_FROM_ENCODER, "batch_size": 32},
    "many_labels": _FROM_ENCODER,
    "few_pairs": {**_FROM_ENCODER, **_PAIRS, "batch_size": 32},
    "many_pairs": {**_FROM_ENCODER, **_PAIRS},
    "binarize": {**_WARM, "exit_lr_multiplier": 2.0},
    "finetune": {"model": {"dropout": 0.1, "token_dropout": 0.1}},
    "float32": {**_FLOAT32, "learning_rate": 1e-4, "exit_lr_multiplier": 10.0, "batch_size": 32},
    "float32_from_binary": {
        **_FLOAT32,
        "learning_rate": 3e-4,
        "exit_lr_multiplier": 3.0,
        "batch_size": 32,
    },
    "distill": {
        **_WARM,
        **_NO_DROPOUT,
        "exit_lr_multiplier": 2.0,
        "distillation_alpha": 0.7,
        "token_replacement_rate": 0.4,
    },
    "distill_logits": {**_WARM, "exit_lr_multiplier": 2.0, "distillation_alpha": 0.5},
}
"""The fields of `TrainingConfig` in which each recipe differs from the defaults.

- `scratch`: random weights.
- `few_labels`, `many_labels`, `few_pairs`, `many_pairs`: a binary model from the packaged binary MiniLM, with
  at most 10,000 labelled texts or more, and for single texts or pairs.
- `binarize`: a binary model from real weights, such as MiniLM or a float32 model.
- `finetune`: a binary model from a binary classifier.
- `float32`, `float32_from_binary`: a float32 model from MiniLM or another float32 model, or from a binary one.
- `distill`: a binary model with a teacher of the same shape, whose hidden states it learns too.
- `distill_logits`: a model with a teacher of another shape, which teaches its probabilities alone.
"""

_EPOCHS, _EPOCHS_SCRATCH, _EPOCHS_FLOAT32 = 4.0, 6.0, 2.5
"""Epochs of a training on 10,000 texts: of a binary model, of random weights, and of a float32 model."""

_MOST_EPOCHS = 30

_DATA_FIELDS = ("num_classes", "num_segments", "separator_id")
"""Fields of `BEExformerConfig` that the data decides."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    r"""The configuration of a training; its values are checked when it is made, and then immutable.

    Attributes:
        preset: size of the model, a name in `beex_keras.models.config.PRESETS`; None means the size of the start, or
            "tiny" for random weights.
        bits: precision of the model, a name in `beex_keras.precision.KINDS`; None means weights-only, or fully-binary
            if the start is.
        model: fields of `BEExformerConfig` that differ from the preset, or a whole `BEExformerConfig`.
        init: model that gives the initial weights: "minilm", "binary-minilm", "binary-minilm-pairs", a folder of a
            BERT-style encoder, a run folder, a ``.keras`` or ``.beex`` file, a packaged model, or "none" for random
            weights.
        init_layers: for each block, the layer (from 0) of a BERT-style encoder that gives its weights.
        teacher: model whose outputs the training learns beside the labels; the same forms as `init`.
        unlabelled: text files whose lines the teacher labels.
        vocabulary: WordPiece tokens, or the path of a ``vocab.txt``; None means the tokens of the start, or tokens
            that are learned from the training texts.
        use_subwords: whether a learned vocabulary has subwords beside whole words.
        epochs: number of passes over the training texts.
        batch_size: number of texts in a step.
        learning_rate: peak of AdamW's learning rate.
        exit_lr_multiplier: factor on the learning rate of the exits.
        layer_decay: learning rate of a block divided by that of the next block.
        warmup: share of all steps in which the learning rate rises linearly; it then decays as a cosine.
        weight_decay: AdamW's weight decay of real matrices.
        clip_norm: the largest global norm of the gradients; larger gradients are scaled down to it.
        loss: weights of the exits, see `SoftRoutingLoss`.
        label_smoothing: label smoothing of `SoftRoutingLoss`, in [0, 1).
        binarization_fraction: share of all steps over which a model that starts from real weights becomes binary.
        distillation_alpha: weight of the teacher's probabilities in the loss, in [0, 1); without a teacher, the
            last exit teaches the earlier ones.
        hidden_loss_weight: \(\kappa\), weight of the difference between the blocks' outputs and those of a teacher
            of the same shape.
        token_replacement_rate: highest probability with which a token of a text is replaced by another one, in
            [0, 1); the teacher labels such texts.
        policy: exit policy to calibrate, a name in `beex_keras.exits.POLICIES`; None means "confidence", or
            "change" for a regression.
        tolerance: accuracy that calibration may give up for speed, where 0.01 is one point.
        margin: number of standard errors that calibration adds to the loss of accuracy.
        patience: number of epochs without a better validation accuracy after which training stops; 0 never stops it.
        matmul_dtype: dtype of the matrix products in training; None means "bfloat16" on a processor that
            multiplies it fast, and else "float32".
        save_steps: number of steps between two checkpoints.
        seed: seed of the random numbers for initialization, dropout and shuffling.

    Raises:
        BeexError: a value out of range.

    Example:
        >>> beex.TrainingConfig(epochs=3).learning_rate
        0.001
        >>> beex.TrainingConfig.from_recipe("few_labels", num_texts=2000).epochs
        9
    """

    preset: str | None = None
    bits: str | None = None
    model: BEExformerConfig | Mapping[str, Any] = dataclasses.field(default_factory=dict)
    init: Any = None
    init_layers: tuple[int, ...] | None = None
    teacher: Any = None
    unlabelled: FilePaths = ()
    vocabulary: str | os.PathLike[str] | Sequence[str] | None = None
    use_subwords: bool = True
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 1e-3
    exit_lr_multiplier: float = 1.0
    layer_decay: float = 1.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    loss: Literal["uniform", "linear", "routed", "last"] = "uniform"
    label_smoothing: float = 0.1
    binarization_fraction: float = 0.0
    distillation_alpha: float = 0.0
    hidden_loss_weight: float = 4.0
    token_replacement_rate: float = 0.0
    policy: (
        Literal["fractional_entropy", "entropy", "confidence", "patience", "fixed_depth", "change"]
        | None
    ) = None
    tolerance: float = 0.003
    margin: float = 1.0
    patience: int = 0
    matmul_dtype: Literal["float32", "bfloat16"] | None = None
    save_steps: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        fields.check_choices(self)
        if self.bits not in (None, *KINDS):
            raise BeexError(f"Unknown bits '{self.bits}'; choose one of {', '.join(KINDS)}.")
        if isinstance(self.model, BEExformerConfig):
            if self.preset is not None or self.bits is not None:
                raise BeexError(
                    "preset and bits are given beside a BEExformerConfig; put them in there."
                )
        else:
            for name in _DATA_FIELDS:
                if name in self.model:
                    raise BeexError(f"The data decides {name}; leave it out.")
            # Also finds an unknown field or a wrong value, before any data is read.
            BEExformerConfig.preset(
                self.preset or "minilm", self.bits or "weights-only", **self.model
            )
        fields.check_whole(self, epochs=1, batch_size=1, patience=0, save_steps=1, seed=0)
        if self.seed >= 2**32:
            raise BeexError(f"seed={self.seed} is too large; the largest is {2**32 - 1}.")
        positive = ("learning_rate", "clip_norm", "exit_lr_multiplier", "layer_decay")
        fields.check_positive(self, *positive, "hidden_loss_weight")
        fields.check_share(self, "warmup", "weight_decay", "label_smoothing", "tolerance")
        shares = ("binarization_fraction", "distillation_alpha", "token_replacement_rate")
        fields.check_share(self, *shares)
        fields.check_not_negative(self, "margin")
        fields.check_flags(use_subwords=self.use_subwords)

    @classmethod
    def from_recipe(cls, recipe: str, num_texts: int, **overrides: Any) -> "TrainingConfig":
        r"""The configuration of a recipe in `RECIPES`, with some fields replaced by `overrides`.

        The number of epochs is \(e \sqrt{10{,}000 / n}\) for \(n\) texts, at least 1 and at most 30; \(e\) is 6
        for `scratch`, 2.5 for a float32 model from a start, and else 4. Fewer texts are thus seen more often, in fewer steps.

        Args:
            recipe: a name in `RECIPES`.
            num_texts: number of training texts.
            overrides: fields of `TrainingConfig`; those of `model` replace single fields of the recipe's.

        Raises:
            BeexError: an unknown recipe, or a value out of range.

        Source: our reading.
        """
        if recipe not in RECIPES:
            raise BeexError(f"Unknown recipe '{recipe}'; choose one of {', '.join(RECIPES)}.")
        values = {"epochs": epochs_of(recipe, num_texts), **RECIPES[recipe], **overrides}
        model = overrides.get("model", {})
        if not isinstance(model, BEExformerConfig):
            values["model"] = {**RECIPES[recipe].get("model", {}), **model}
        return cls(**values)

    def replace(self, **changes: Any) -> "TrainingConfig":
        """A copy with some fields replaced."""
        return dataclasses.replace(self, **changes)

    def hyperparameters(self) -> dict[str, Any]:
        """The fields that decide the result beside the data, the model and its start."""
        return {
            name: getattr(self, name) for name in fields.names(type(self)) if name not in _NAMED
        }


_NAMED = {
    *("preset", "bits", "model", "init", "init_layers", "teacher"),
    *("unlabelled", "vocabulary", "save_steps"),
}
"""Fields that a run's settings name otherwise, or that do not change its result."""


class TrainingOverrides(TypedDict, total=False):
    """The fields of `TrainingConfig` as keyword arguments, for editors and type checkers."""

    preset: str | None
    bits: str | None
    model: BEExformerConfig | Mapping[str, Any]
    init: Any
    init_layers: tuple[int, ...] | None
    teacher: Any
    unlabelled: FilePaths
    vocabulary: str | os.PathLike[str] | Sequence[str] | None
    use_subwords: bool
    epochs: int
    batch_size: int
    learning_rate: float
    exit_lr_multiplier: float
    layer_decay: float
    warmup: float
    weight_decay: float
    clip_norm: float
    loss: Literal["uniform", "linear", "routed", "last"]
    label_smoothing: float
    binarization_fraction: float
    distillation_alpha: float
    hidden_loss_weight: float
    token_replacement_rate: float
    policy: str | None
    tolerance: float
    margin: float
    patience: int
    matmul_dtype: Literal["float32", "bfloat16"] | None
    save_steps: int
    seed: int


def epochs_of(recipe: str, num_texts: int) -> int:
    """The number of epochs of a recipe, see `TrainingConfig.from_recipe`."""
    if recipe == "scratch":
        epochs = _EPOCHS_SCRATCH
    else:
        epochs = _EPOCHS_FLOAT32 if recipe.startswith("float32") else _EPOCHS
    return min(max(1, round(epochs * math.sqrt(10_000 / max(num_texts, 1)))), _MOST_EPOCHS)


def choose_recipe(
    num_texts: int,
    is_pair: bool,
    is_binary: bool,
    init: "WarmStart | None" = None,
    teacher: Literal["same_shape", "other_shape"] | None = None,
) -> str:
    """The recipe for so many labelled texts or pairs.

    Args:
        num_texts: number of labelled texts.
        is_pair: whether texts are pairs.
        is_binary: whether the model to train is binary.
        init: the start, or None for random weights.
        teacher: whether the teacher has the shape of the model; None if there is no teacher.

    Example:
        >>> from beex_keras.training.config import choose_recipe
        >>> choose_recipe(500, is_pair=False, is_binary=True)
        'scratch'
    """
    if teacher is not None:
        return "distill" if teacher == "same_shape" and is_binary else "distill_logits"
    if init is None:
        return "scratch"
    is_real = init.bits["weight_bits"] == 32
    if not is_binary:
        return "float32" if is_real else "float32_from_binary"
    if is_real:
        return "binarize"
    if not init.is_encoder:
        return "finetune"
    size = "few" if num_texts <= FEW_TEXTS else "many"
    return f"{size}_{'pairs' if is_pair else 'labels'}"


CPU_INFO = Path("/proc/cpuinfo")
"""Linux' description of the processor."""

_BFLOAT16 = {"amx_bf16", "avx512_bf16"}


def default_matmul_dtype() -> Literal["float32", "bfloat16"]:
    """ "bfloat16" on a processor with AMX-BF16 or AVX512-BF16, else "float32".

    The list of the processor's instructions decides, and not a measurement, so the same machine always has the
    same dtype. Only Linux has this list.

    Source: the instructions are AMX-BF16 and AVX512-BF16 (Intel, "Architecture Instruction Set Extensions
    Programming Reference"); AMD's processors have the second ones from Zen 4 on.
    """
    if CPU_INFO.exists():
        flags = CPU_INFO.read_text("utf-8", "replace").partition("\nflags")[2].partition("\n")[0]
        if not _BFLOAT16.isdisjoint(flags.split()):
            return "bfloat16"
    return "float32"
