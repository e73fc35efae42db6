"""What a model is worth: accuracy per exit, calibration, size, FLOPs, figures and baselines."""

from beex_keras.evaluation.calibration import Calibration, Curve, calibrate
from beex_keras.evaluation.exit_logits import predict_exit_logits
from beex_keras.evaluation.scores import Evaluation, evaluate, evaluate_exits, score

__all__ = [
    "Calibration",
    "Curve",
    "Evaluation",
    "calibrate",
    "evaluate",
    "evaluate_exits",
    "predict_exit_logits",
    "score",
]
