"""The training recipe, pre-training, their settings, and callbacks for one's own training loops."""

from beex_keras.training.callbacks import CalibratedAccuracy
from beex_keras.training.config import ImitationConfig, PretrainingConfig, TrainingConfig
from beex_keras.training.distribution import make_strategy
from beex_keras.training.imitation import imitate
from beex_keras.training.initialization import Initial
from beex_keras.training.pretrained_encoder import PretrainedEncoder
from beex_keras.training.pretraining import PretrainingRun, pretrain
from beex_keras.training.recipe import Run, train

__all__ = [
    "CalibratedAccuracy",
    "ImitationConfig",
    "Initial",
    "PretrainedEncoder",
    "PretrainingConfig",
    "PretrainingRun",
    "Run",
    "TrainingConfig",
    "imitate",
    "make_strategy",
    "pretrain",
    "train",
]
