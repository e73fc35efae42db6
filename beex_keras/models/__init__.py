"""Backbone and classifier, and the configuration that describes them."""

from beex_keras.models.backbone import BEExformer
from beex_keras.models.classifier import BEExformerClassifier
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.models.masked_language_model import MaskedLanguageModel

__all__ = [
    "PRESETS",
    "BEExformer",
    "BEExformerClassifier",
    "BEExformerConfig",
    "MaskedLanguageModel",
]
