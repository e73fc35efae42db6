"""BEEx-Keras: binarized early-exit transformers for text classification, made deployable.

Public names load on first use, so that a ``.beex`` file runs, and ``beex --help`` answers, without
TensorFlow; ``__init__.pyi`` lists them. Where Keras 2 (``tf-keras``) is installed, on which Larq and so
all training is built, importing the package selects it, and has to happen before TensorFlow is used.
"""

import importlib.util
import os
import sys

from beex_keras import lazy

if "tensorflow" not in sys.modules and importlib.util.find_spec("tf_keras"):
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
