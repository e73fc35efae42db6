"""Models to start from or to learn from, in place of random weights."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from beex_keras import pretrained
from beex_keras.data.unlabelled import TeacherFn
from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.files import read_bytes
from beex_keras.models import BEExformer, BEExformerClassifier, BEExformerConfig
from beex_keras.models.bert import MINILM, BertCheckpoint, load_bert_weights, read_bert
from beex_keras.models.transfer import BITS, can_start, check_start, part_of, sample, transfer
from beex_keras.runtime.keras_runner import load_classifier
from beex_keras.runtime.model_runner import runner_of
from beex_keras.tasks import TargetScaler
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor
from beex_keras.training import run_folder

PACKAGED_STARTS = {
    "binary-minilm": Path(__file__).with_name("binary_minilm.beex"),
    "binary-minilm-pairs": Path(__file__).with_name("binary_minilm_pairs.beex"),
}
"""MiniLM, binarized without a task, for single texts and for pairs: weights-only models of preset "minilm".

A binary model has to learn the task, and to compute with signs what a real model computes with numbers. The second
takes far more text than a task of few labels has, and is the same for all tasks. So `benchmarks/recipes` did it once,
from the outputs of MiniLM's layers. The start for pairs went on from the first, and learned how alike two texts are.

Source: our reading; a general step before that of the task as TinyBERT (Jiao et al., 2020).
"""

ENCODER_LABELS = "[unused0]", "[unused1]"
"""The labels of the packaged starts, which no task has, so that no task starts from their exits."""

NONE = "none"
"""Random weights in place of a start, or no teacher."""

_MOST_TEXTS = 200_000
"""Most labelled texts of a training that starts from a packaged start by default. With more texts a smaller model, which
takes less time a text, is trained from random weights."""


class WarmStart(Protocol):
    """The model from which a training starts or learns."""

    @property
    def name(self) -> str:
        """Its name or path."""

    @property
    def identity(self) -> dict[str, Any]:
        """Values that distinguish this start from others, for the settings of a run."""

    @property
    def is_encoder(self) -> bool:
        """Whether it has learned no task, so that its exits are worth nothing."""

    @property
    def bits(self) -> dict[str, int]:
        """The precision of the start: weight_bits, activation_bits and embedding_bits."""

    @property
    def shape(self) -> BEExformerConfig | None:
        """The configuration of a model of this package; None for a BERT-style encoder."""

    @property
    def lower_case(self) -> bool:
        """Whether its vocabulary is that of lower-cased texts."""

    def vocabulary(self, size: int, texts: Sequence[str]) -> list[str]:
        """The vocabulary that the model must have, of at most `size` tokens."""

    def check(self, model_config: BEExformerConfig) -> None:
        """Raises `BeexError` if a model of that shape cannot start from this."""

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> tuple[str, ...]:
        """Gives the model its weights; returns the parts that turn binary in training, as `transfer`.

        `ids` are texts of the training split, (n, T).
        """


@dataclasses.dataclass(frozen=True)
class BertStart:
    """A start from a BERT-style encoder."""

    encoder: BertCheckpoint
    layers: tuple[int, ...] | None = None

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def identity(self) -> dict[str, Any]:
        layers = self.layers and list(self.layers)
        return {"kind": "encoder", "name": self.name, "layers": layers}

    @property
    def is_encoder(self) -> bool:
        return True

    @property
    def bits(self) -> dict[str, int]:
        return dict.fromkeys(BITS, 32)

    @property
    def shape(self) -> None:
        return None

    @property
    def lower_case(self) -> bool:
        return self.encoder.lower_case

    def vocabulary(self, size: int, texts: Sequence[str]) -> list[str]:
        """The encoder's vocabulary without its unused places. If `size` is smaller, it keeps the most
        frequent pieces in the texts, and as many single characters as fit."""
        tokens = [token for token in self.encoder.vocabulary if not token.startswith("[unused")]
        special = [token for token in SPECIAL_TOKENS if token in tokens]
        others = [token for token in tokens if token not in SPECIAL_TOKENS]
        whole = [*special, *others]
        if len(tokens) <= size:
            return whole
        ids = TextPreprocessor(whole, 512, self.lower_case).encode(list(texts))
        counts = dict(zip(whole, np.bincount(ids.ravel(), minlength=len(whole)), strict=True))
        # Characters first, so that a rare word falls back to them, then by frequency; at last the other characters.
        characters = {t for t in others if len(t.removeprefix("##")) == 1}
        useful = [t for t in others if counts[t] or t in characters]
        useful.sort(key=lambda t: (not counts[t], t not in characters, -counts[t]))
        kept = {*special, *useful[: max(size - len(special), 0)]}
        return [token for token in whole if token in kept]

    def check(self, model_config: BEExformerConfig) -> None:
        self.encoder.check(model_config, self._layers(model_config))

    def _layers(self, config: BEExformerConfig) -> tuple[int, ...]:
        layers = tuple(range(config.num_blocks)) if self.layers is None else self.layers
        if len(layers) != config.num_blocks:
            chosen = f"{len(layers)} layers were chosen for num_blocks={config.num_blocks}"
            raise BeexError(f"{chosen}; choose one a block.")
        return layers

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> tuple[str, ...]:
        if model.preprocessor is None:
            raise BeexError(
                "A model without a vocabulary cannot start from an encoder; attach one."
            )
        real = BEExformer(model.config.twin())
        tokens, layers = model.preprocessor.vocabulary, self._layers(model.config)
        load_bert_weights(real, self.encoder, tokens, layers)
        return transfer(real, model.backbone, sample(ids))


@dataclasses.dataclass(frozen=True)
class ModelStart:
    """A start from a classifier of the same width, whose activations have as many bits or more.

    If it has more blocks or positions, the first ones are taken. A model for pairs can start from one for
    single texts, and the other way round. The exit heads are copied if the labels are the same, in whatever
    order; those of a regression are converted to the new model's scale, so that the answers stay the same.
    """

    source: BEExformerClassifier
    name: str

    @property
    def tokens(self) -> tuple[str, ...]:
        assert self.source.preprocessor is not None
        return self.source.preprocessor.vocabulary

    @property
    def identity(self) -> dict[str, Any]:
        digest = hashlib.sha256("\n".join(self.tokens).encode())
        for value in self.source.get_weights():
            digest.update(value.tobytes())
        weights = digest.hexdigest()[:16]
        if self.is_encoder:
            return {"kind": "encoder", "name": self.name, "layers": None, "weights": weights}
        return {"kind": "classifier", "weights": weights}

    @property
    def is_encoder(self) -> bool:
        return self.source.labels == ENCODER_LABELS

    @property
    def bits(self) -> dict[str, int]:
        return self.source.config.precision.learned_bits()

    @property
    def shape(self) -> BEExformerConfig:
        return self.source.config

    @property
    def lower_case(self) -> bool:
        assert self.source.preprocessor is not None
        return self.source.preprocessor.lower_case

    def vocabulary(self, size: int, texts: Sequence[str]) -> list[str]:
        return list(self.tokens)

    def check(self, model_config: BEExformerConfig) -> None:
        check_start(self.source.config, model_config, self.name)

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> tuple[str, ...]:
        part = part_of(self.source.backbone, model.backbone)
        real = transfer(part, model.backbone, sample(ids))
        labels = self.source.labels
        if sorted(model.labels) == sorted(labels):
            order = [labels.index(label) for label in model.labels]
            for head, other in zip(model.heads, self.source.heads, strict=False):
                kernel, bias = other.get_weights()
                weights = kernel[:, order], bias[order]
                if model.value_scale is not None:
                    weights = _rescaled(*weights, self.source.value_scale, model.value_scale)
                head.set_weights(weights)
        return real


def _rescaled(
    kernel: np.ndarray, bias: np.ndarray, old: TargetScaler | None, new: TargetScaler
) -> tuple[np.ndarray, np.ndarray]:
    """A regression head that answers in another scale what it answered in the old one."""
    assert old is not None
    ratio, shift = old.scale / new.scale, (old.offset - new.offset) / new.scale
    return kernel * ratio, bias * ratio + shift


def is_bert(source: str | os.PathLike[str] | WarmStart) -> bool:
    """Whether `warm_start` would read a BERT-style encoder, and not a model of this package."""
    if not isinstance(source, str | os.PathLike):
        return source.shape is None
    path = Path(source)
    if os.fspath(source) == MINILM or (path / "model.safetensors").is_file():
        return True
    ours = (run_folder.SETTINGS, "model.weights.h5", run_folder.MODEL)
    return path.is_dir() and not any((path / part).exists() for part in ours)


def warm_start(
    source: str | os.PathLike[str] | WarmStart, layers: Sequence[int] | None = None
) -> WarmStart:
    """Reads the start of that name or at that path; returns a `WarmStart` as it is.

    Args:
        source: "minilm", "binary-minilm" or "binary-minilm-pairs", a folder of a BERT-style encoder, a run folder, a
            ``.keras`` or ``.beex`` file, or the name of a packaged model.
        layers: for each block, the layer (from 0) of the encoder from which it starts; the first layers if
            None.

    Raises:
        BeexError: there is no such start, or it cannot be read.

    Example:
        >>> beex.training.warm_start("sst2-micro").bits
        {'weight_bits': 1, 'embedding_bits': 1, 'activation_bits': 32}
    """
    if not isinstance(source, str | os.PathLike):
        return source
    if is_bert(source):
        return BertStart(read_bert(str(source)), None if layers is None else tuple(layers))
    if layers is not None:
        raise BeexError(
            "init_layers chooses layers of a BERT-style encoder, such as minilm, not of a run or a model."
        )
    if (name := os.fspath(source)) in PACKAGED_STARTS:
        return ModelStart(load_classifier(PACKAGED_STARTS[name]), name)
    path, packaged = Path(source), pretrained.names()
    if not path.exists() and os.fspath(source) not in packaged:
        raise BeexError(
            f"There is nothing to start from at {source}; give {', '.join((MINILM, *PACKAGED_STARTS))}, "
            f"a BERT-style encoder's folder, a run folder, a .keras or .beex file, or one of {', '.join(packaged)}."
        )
    classifier = load_classifier(source)
    if classifier.preprocessor is None:
        raise BeexError(f"The model in {source} has no vocabulary to go on with.")
    return ModelStart(classifier, str(source))


def default_start(
    preset: str | None,
    bits: str | None,
    model: BEExformerConfig | Mapping[str, Any],
    num_texts: int,
    is_pair: bool,
) -> str | None:
    """The packaged start of a training that names none; None where random weights are the default.

    A preset, real weights, many texts, or a size that the packaged start does not fit mean random weights.
    """
    if preset is not None or isinstance(model, BEExformerConfig) or num_texts > _MOST_TEXTS:
        return None
    config = BEExformerConfig.preset("minilm", bits or "weights-only", **model)
    path = PACKAGED_STARTS["binary-minilm"]
    shape = beex.read(read_bytes(path, "model"), str(path)).config
    is_whole = shape.vocabulary_size <= config.vocabulary_size
    if config.weight_bits != 1 or not is_whole or not can_start(shape, config):
        return None
    return "binary-minilm-pairs" if is_pair else "binary-minilm"


def shares_shape(
    config: BEExformerConfig, preprocessor: TextPreprocessor, teacher: WarmStart
) -> bool:
    """Whether `make_teacher` can make a teacher for a student of this shape; it always tries a BERT-style encoder."""
    if not isinstance(teacher, ModelStart):
        return True
    has_tokens = (teacher.tokens, teacher.lower_case) == (
        preprocessor.vocabulary,
        preprocessor.lower_case,
    )
    has_bits = all(number >= getattr(config, name) for name, number in teacher.bits.items())
    return has_tokens and has_bits and can_start(teacher.shape, config)


def make_teacher(
    student: BEExformerClassifier, teacher: WarmStart, ids: np.ndarray
) -> BEExformerClassifier:
    """A classifier of the student's shape with the teacher's weights and precision, and without dropout.

    Raises:
        BeexError: no model of that shape can start from the teacher.
    """
    config = student.config.replace(**teacher.bits, dropout=0.0, token_dropout=0.0)
    if not isinstance(teacher, ModelStart) and config.network == "slfn":
        # The gate of an encoder is constant whatever its width, so the narrowest gate costs least.
        config = config.replace(gate_width=1)
    teacher.check(config)
    model = BEExformerClassifier(
        config,
        preprocessor=student.preprocessor,
        labels=student.labels,
        value_scale=student.value_scale,
        matmul_dtype=student.backbone.matmul_dtype,
    )
    teacher.apply(model, ids)
    return model


def check_labels(student: BEExformerClassifier, teacher: WarmStart) -> None:
    """Raises `BeexError` unless the teacher has the student's labels, and reads pairs if the student does."""
    if not isinstance(teacher, ModelStart):
        fix = "train it first, and give its run folder"
        raise BeexError(f"An encoder such as minilm has no labels to teach; {fix}.")
    model = teacher.source
    if sorted(model.labels) != sorted(student.labels):
        both = {*model.labels} & {*student.labels}
        only = [", ".join(sorted({*one.labels} - both)[:5]) or "none" for one in (model, student)]
        raise BeexError(
            f"The teacher's and the task's labels must be the same; only the teacher has {only[0]}, "
            f"only the task {only[1]}."
        )
    if model.config.num_segments != student.config.num_segments:
        kinds = {1: "single texts", 2: "pairs"}
        read, needed = (kinds[one.config.num_segments] for one in (model, student))
        raise BeexError(f"The teacher reads {read}, the task has {needed}; give another teacher.")


def teacher_logits(student: BEExformerClassifier, teacher: WarmStart) -> TeacherFn:
    """Returns a function that gives the logits of the teacher's last exit, in the order of the student's labels.

    For a regression they are the teacher's answers on the student's scale. Errors as `check_labels`.
    """
    check_labels(student, teacher)
    assert isinstance(teacher, ModelStart)
    model, runner = teacher.source, runner_of(teacher.source)
    order = [model.labels.index(label) for label in student.labels]

    def logits_of(texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        items = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        logits = runner.exit_logits(runner.encode(items))[:, -1][:, order]
        if student.value_scale is None:
            return logits
        assert model.value_scale is not None
        return student.value_scale.transform(model.value_scale.inverse_transform(logits))

    return logits_of
