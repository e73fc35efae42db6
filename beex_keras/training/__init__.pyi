from .callbacks import CalibratedAccuracy
from .distribution import make_strategy
from .recipe import RunOptions, TrainingConfig
from .results import Run
from .trainer import train
from .warm_starts import WarmStart, warm_start

__all__ = [
    "CalibratedAccuracy",
    "Run",
    "RunOptions",
    "TrainingConfig",
    "WarmStart",
    "make_strategy",
    "train",
    "warm_start",
]
