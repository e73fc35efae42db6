"""A Keras classifier behind the runner's interface."""

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras import pretrained
from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.evaluation import predict_exit_logits
from beex_keras.export import beex
from beex_keras.files import read_bytes
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime.runner import Runner


class KerasRunner(Runner):
    """Runs a classifier in TensorFlow, in batches of texts of similar length.

    Example:
        >>> model = beex.BEExformerClassifier.from_pretrained("sst2-micro")
        >>> beex.runtime.KerasRunner(model).labels
        ('negative', 'positive')
    """

    def __init__(self, classifier: BEExformerClassifier) -> None:
        super().__init__(classifier, classifier.config.max_length)
        self.classifier = classifier

    def __reduce__(self) -> Any:
        raise BeexError(
            "A model in Keras cannot be pickled; convert it to .beex and load that file."
        )

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        return predict_exit_logits(self.classifier, ids)


def load_classifier(path: str | os.PathLike[str]) -> BEExformerClassifier:
    """Loads a Keras classifier from what `from_pretrained` reads, or from a ``.keras`` or ``.beex`` file.

    A ``.beex`` file gives back the model that was converted, except the magnitudes of its latent weights.

    Raises:
        BeexError: there is no such model, it is damaged, or a ``.beex`` has weights of 8 bits.
    """
    target = pretrained.find(path)
    if target.is_dir():
        return BEExformerClassifier.from_pretrained(target)
    if target.suffix == ".keras":
        return _load_keras(target)
    if target.suffix == ".beex":
        return beex.classifier(read_bytes(target, "model"), str(target))
    fix = "give a run folder of `beex train`, a .keras or a .beex file"
    raise BeexError(f"{path} is not a Keras model; {fix}.")


def _load_keras(path: Path) -> BEExformerClassifier:
    advice = "give a .keras file that a BEExformerClassifier was saved to"
    if not zipfile.is_zipfile(path):
        raise BeexError(f"{path} is not a .keras file, or it is cut short; {advice}.")
    try:
        model = tf.keras.models.load_model(path, compile=False)
    except BeexError:
        raise
    except Exception as error:  # Keras raises a dozen kinds for one meaning
        raise BeexError(f"{path} is a .keras file that cannot be loaded here; {advice}.") from error
    if not isinstance(model, BEExformerClassifier):
        raise BeexError(f"{path} holds a {type(model).__name__}; {advice}.")
    return model
