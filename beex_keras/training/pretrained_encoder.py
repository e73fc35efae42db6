"""A pre-trained encoder on disk, and how a classifier starts from it."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.models import BEExformer, BEExformerClassifier, BEExformerConfig, saving
from beex_keras.text import read_vocabulary
from beex_keras.training.transfer import Start, bits, check_start, part_of, sample, transfer

_FOLDER = "encoder"
_KIND = "beex_keras encoder"


def save_encoder(run: Path, encoder: BEExformer, vocabulary: Sequence[str]) -> None:
    """Writes the folder `encoder/` of a run, for `PretrainedEncoder`."""
    saving.save(run / _FOLDER, encoder, _KIND, {"config": encoder.config.to_dict()}, vocabulary)


class PretrainedEncoder:
    """The start of a classifier from what `pretrain` left in a run folder.

    The classifier gets its embedding and its blocks; exits, and the table of segments if it reads
    pairs, start as without. It may have fewer blocks, which are the first ones, may read fewer
    tokens, and may have fewer bits (see `transfer`). All else of its shape has to be the encoder's.

    Args:
        path: the run folder, or its `encoder/`.

    Raises:
        BeexError: there is no encoder, or it is damaged.

    Example:
        >>> texts = beex.load_task("rotten_tomatoes").train.texts
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=1, token_dropout=0.0)
        >>> settings = beex.PretrainingConfig(epochs=1, held_out=0.2)
        >>> run = beex.pretrain(texts, config, settings, "runs/encoder", verbose=0)
        >>> beex.PretrainedEncoder(run.directory).config(config).width
        64
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        folder = self.path / _FOLDER if (self.path / _FOLDER).is_dir() else self.path
        self.encoder = saving.load(folder, _KIND, lambda values: BEExformer(values["config"]))
        self._vocabulary = read_vocabulary(folder / saving.VOCABULARY_FILE)

    def vocabulary(self, size: int, texts: Sequence[str]) -> list[str]:
        """The vocabulary that the classifier must use: the encoder's, whatever is asked for."""
        return self._vocabulary

    def config(self, model_config: BEExformerConfig) -> BEExformerConfig:
        """The classifier's configuration with the encoder's vocabulary.

        Raises:
            BeexError: the classifier is of another shape or has more bits.
        """
        own = self.encoder.config
        check_start(own, model_config, str(self.path))
        return model_config.replace(
            vocabulary_size=own.vocabulary_size, separator_id=own.separator_id
        )

    def apply(self, model: BEExformerClassifier, ids: np.ndarray) -> Start:
        """Gives the classifier's embedding and blocks the encoder's weights."""
        part = part_of(self.encoder, model.backbone)
        return transfer(part, model.backbone, sample(ids))

    @property
    def identity(self) -> dict[str, Any]:
        """What tells this encoder from any other: a hash of its weights and its vocabulary."""
        digest = hashlib.sha256("\n".join(self._vocabulary).encode())
        for value in self.encoder.get_weights():
            digest.update(value.tobytes())
        return {"kind": "encoder", "weights": digest.hexdigest()[:16]}

    @property
    def bits(self) -> dict[str, int]:
        """The encoder's precision."""
        return bits(self.encoder.config)
