"""The training recipe, its settings, and callbacks for one's own training loops."""

from beex_keras.training.callbacks import CalibratedAccuracy
from beex_keras.training.config import TrainingConfig
from beex_keras.training.distribution import make_strategy
from beex_keras.training.initialization import Initial
from beex_keras.training.recipe import Run, train

__all__ = [
    "CalibratedAccuracy",
    "Initial",
    "Run",
    "TrainingConfig",
    "make_strategy",
    "train",
]
