"""BEEx-Keras: binarized early-exit transformers for text classification, made deployable.

Importing the package selects Keras 2 (``tf-keras``), on which Larq is built, and therefore
has to happen before TensorFlow is imported. Public names load on first use, so that
``beex --help`` does not wait for TensorFlow.
"""

import importlib
import os
import sys
from typing import Any

from beex_keras._version import __version__
from beex_keras.errors import BeexError, BeexWarning

_PUBLIC = {
    "BEExformer": "beex_keras.models",
    "BEExformerClassifier": "beex_keras.models",
    "BEExformerConfig": "beex_keras.models",
    "Confidence": "beex_keras.exits",
    "Entropy": "beex_keras.exits",
    "ExitPolicy": "beex_keras.exits",
    "FixedDepth": "beex_keras.exits",
    "FractionalEntropy": "beex_keras.exits",
    "Patience": "beex_keras.exits",
    "PolynomialSign": "beex_keras.quantizers",
    "SoftRoutingLoss": "beex_keras.losses",
    "TextPreprocessor": "beex_keras.text",
    "TrainingConfig": "beex_keras.training",
    "calibrate": "beex_keras.evaluation",
    "convert": "beex_keras.export",
    "initial": "beex_keras.starts",
    "load": "beex_keras.runtime",
    "load_task": "beex_keras.data",
    "pipeline": "beex_keras.runtime",
    "train": "beex_keras.training",
}

_MODULES = (
    "data",
    "evaluation",
    "exits",
    "export",
    "layers",
    "losses",
    "metrics",
    "models",
    "pretrained",
    "quantizers",
    "runtime",
    "starts",
    "text",
    "training",
)

__all__ = ["BeexError", "BeexWarning", "__version__", *sorted((*_MODULES, *_PUBLIC))]


def _select_keras_2() -> None:
    """Makes ``tf.keras`` be Keras 2, or says why it no longer can be."""
    if os.environ.get("TF_USE_LEGACY_KERAS") == "1":
        return
    if "tensorflow" in sys.modules:
        raise BeexError(
            "TensorFlow was imported before beex_keras and has already chosen Keras 3; import "
            "beex_keras first, or set the environment variable TF_USE_LEGACY_KERAS=1."
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"


_select_keras_2()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"beex_keras.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'beex_keras' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
