"""BEEx-Keras: binarized early-exit transformers for text classification, made deployable.

Importing the package selects Keras 2 (``tf-keras``), on which Larq is built, and therefore
has to happen before TensorFlow is imported. Public names load on first use, so that
``beex --help`` does not wait for TensorFlow; ``__init__.pyi`` lists them.
"""

import os
import sys

import lazy_loader

from beex_keras.errors import BeexError


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

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
