"""What a model's first weights come from, in place of random ones."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from beex_keras import pretrained
from beex_keras.errors import BeexError
from beex_keras.models import BEExformer, BEExformerClassifier, BEExformerConfig
from beex_keras.runtime import load_classifier
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor
from beex_keras.training import binary_minilm, run_folder
from beex_keras.training.bert import MINILM, BertCheckpoint, load_bert_weights, read_bert
from beex_keras.training.transfer import BITS, Transfer, check_start, part_of, sample, transfer
from beex_keras.value_scale import ValueScale


class WarmStart(Protocol):
    """The model from which a training starts or learns."""

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

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> Transfer:
        """Gives the model its weights; `ids` are texts of the training split, (n, T)."""


@dataclasses.dataclass(frozen=True)
class BertStart:
    """A start from a BERT-style encoder."""

    encoder: BertCheckpoint
    layers: tuple[int, ...] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        layers = self.layers and list(self.layers)
        return {"kind": "encoder", "name": self.encoder.name, "layers": layers}

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

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> Transfer:
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
    path: str

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
            return {"kind": "encoder", "name": self.path, "layers": None, "weights": weights}
        return {"kind": "classifier", "weights": weights}

    @property
    def is_encoder(self) -> bool:
        return self.source.labels == binary_minilm.LABELS

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
        check_start(self.source.config, model_config, self.path)

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> Transfer:
        part = part_of(self.source.backbone, model.backbone)
        start = transfer(part, model.backbone, sample(ids))
        its = self.source.labels
        if sorted(model.labels) == sorted(its):
            order = [its.index(label) for label in model.labels]
            for head, other in zip(model.heads, self.source.heads, strict=False):
                kernel, bias = other.get_weights()
                weights = kernel[:, order], bias[order]
                if model.value_scale is not None:
                    weights = _rescaled(*weights, self.source.value_scale, model.value_scale)
                head.set_weights(weights)
        return start


def _rescaled(
    kernel: np.ndarray, bias: np.ndarray, old: ValueScale | None, new: ValueScale
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


def is_real(bits: Mapping[str, int]) -> bool:
    """Whether a start of these bits has learned everything in float32."""
    return set(bits.values()) == {32}


def warm_start(
    source: str | os.PathLike[str] | WarmStart, layers: Sequence[int] | None = None
) -> WarmStart:
    """Reads the start of that name or at that path; returns a `WarmStart` as it is.

    Args:
        source: "minilm", "binary-minilm" or "binary-minilm-pairs" (see `beex_keras.training.binary_minilm`), a
            folder of a BERT-style encoder, or any classifier that `load_classifier` reads: a run folder, a ``.keras`` or ``.beex``
            file, or the name of a packaged model.
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
    if (name := os.fspath(source)) in binary_minilm.FILES:
        return ModelStart(load_classifier(binary_minilm.FILES[name]), name)
    path, packaged = Path(source), pretrained.names()
    if not path.exists() and os.fspath(source) not in packaged:
        raise BeexError(
            f"There is nothing to start from at {source}; give {', '.join((MINILM, *binary_minilm.FILES))}, "
            f"a BERT-style encoder's folder, a run folder, a .keras or .beex file, or one of {', '.join(packaged)}."
        )
    classifier = load_classifier(source)
    if classifier.preprocessor is None:
        raise BeexError(f"The model in {source} has no vocabulary to go on with.")
    return ModelStart(classifier, str(source))
