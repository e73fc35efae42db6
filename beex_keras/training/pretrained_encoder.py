"""A pre-trained encoder on disk, and how a classifier starts from it."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.models import BEExformer, BEExformerClassifier, BEExformerConfig, saving
from beex_keras.text import read_vocabulary
from beex_keras.training.transfer import Start

_FOLDER = "encoder"
_KIND = "beex_keras encoder"
# What decides the meaning of a weight. Whether activations are binarized is not among it: the weights
# are the same, and so is what they were trained for, but for the rounding.
_SHAPE = (
    "width",
    "num_heads",
    "hidden_width",
    "network",
    "gate_activation",
    "content_activation",
    "weight_bits",
    "embedding_bits",
)


def save_encoder(run: Path, encoder: BEExformer, vocabulary: Sequence[str]) -> None:
    """Writes the folder `encoder/` of a run, for `PretrainedEncoder`."""
    saving.save(run / _FOLDER, encoder, _KIND, {"config": encoder.config.to_dict()}, vocabulary)


class PretrainedEncoder:
    """The start of a classifier from what `pretrain` left in a run folder.

    The classifier gets its embedding and its blocks; exits, and the table of segments if it reads
    pairs, start as without. It may have fewer blocks, which are the first ones, may read fewer
    tokens, and its activations may be real or binarized as they like. All else of its shape has to be
    the encoder's.

    Args:
        path: the run folder, or its `encoder/`.

    Raises:
        BeexError: there is no encoder, or it is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        folder = self.path / _FOLDER if (self.path / _FOLDER).is_dir() else self.path
        if (self.path / "run.json").is_file() and folder == self.path:
            raise BeexError(
                f"{self.path} holds no encoder: its pre-training is not finished, or it is no "
                "pre-training; finish it, or name the folder of another one."
            )
        self.encoder = saving.load(folder, _KIND, lambda values: BEExformer(values["config"]))
        self._vocabulary = read_vocabulary(folder / saving.VOCABULARY_FILE)

    def vocabulary(self, size: int, texts: Sequence[str]) -> list[str]:
        """The vocabulary that the classifier must use: the encoder's, whatever is asked for."""
        return self._vocabulary

    def config(self, model_config: BEExformerConfig) -> BEExformerConfig:
        """The classifier's configuration with the encoder's vocabulary.

        Raises:
            BeexError: the classifier is of another shape.
        """
        own = self.encoder.config
        different = [n for n in _SHAPE if getattr(own, n) != getattr(model_config, n)]
        different += [
            n for n in ("num_blocks", "max_length") if getattr(own, n) < getattr(model_config, n)
        ]
        if different:
            values = ", ".join(
                f"{n}={getattr(own, n)!r} and not {getattr(model_config, n)!r}" for n in different
            )
            raise BeexError(
                f"The encoder in {self.path} is of another shape ({values}); give the classifier its "
                "preset, bits and sizes."
            )
        return model_config.replace(
            vocabulary_size=own.vocabulary_size, separator_id=own.separator_id
        )

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> Start:
        """Gives the classifier's embedding and blocks the encoder's weights, binary as they are."""
        source = _weights(self.encoder)
        values = []
        for name, value in _weights(model.backbone).items():
            start = source.get(name, value)
            # Only the table of positions may be shorter than the encoder's.
            values.append(start[: len(value)])
        model.backbone.set_weights(values)
        return Start()

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this encoder from any other: a hash of its weights and its vocabulary."""
        digest = hashlib.sha256("\n".join(self._vocabulary).encode())
        for value in _weights(self.encoder).values():
            digest.update(value.tobytes())
        return {"kind": "encoder", "weights": digest.hexdigest()[:16]}


def _weights(encoder: BEExformer) -> dict[str, np.ndarray]:
    """Weights by their names, which do not depend on the number of blocks or segments."""
    names = (weight.name for weight in encoder.weights)
    return dict(zip(names, encoder.get_weights(), strict=True))
