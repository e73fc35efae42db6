from .backbone import BEExformer
from .classifier import BEExformerClassifier
from .config import PRESETS, BEExformerConfig

__all__ = ["PRESETS", "BEExformer", "BEExformerClassifier", "BEExformerConfig"]
