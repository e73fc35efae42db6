from .calibration import Calibration, Curve, calibrate
from .exit_logits import predict_exit_logits
from .scores import Evaluation, evaluate, evaluate_exits, evaluate_runner, score

__all__ = [
    "Calibration",
    "Curve",
    "Evaluation",
    "calibrate",
    "evaluate",
    "evaluate_exits",
    "evaluate_runner",
    "predict_exit_logits",
    "score",
]
