"""Backbone and classifier, and the configuration that describes them."""

from beex_keras.models.backbone import BEExformer
from beex_keras.models.classifier import BEExformerClassifier
from beex_keras.models.config import PRESETS, BEExformerConfig

__all__ = ["PRESETS", "BEExformer", "BEExformerClassifier", "BEExformerConfig"]
