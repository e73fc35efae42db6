from .callbacks import CalibrateExits
from .config import RECIPES, TrainingConfig
from .distiller import Distiller
from .results import Run
from .trainer import train
from .warm_starts import WarmStart, warm_start

__all__ = [
    "RECIPES",
    "CalibrateExits",
    "Distiller",
    "Run",
    "TrainingConfig",
    "WarmStart",
    "train",
    "warm_start",
]
