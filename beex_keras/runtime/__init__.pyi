from .c_runner import CRunner
from .classification import Pipeline, pipeline
from .keras_runner import KerasRunner, load_classifier, model_directory
from .lce_runner import LCERunner
from .loading import load
from .measure import evaluate_runner
from .predictions import Answer, Decisions, Failure, Prediction, ValuePrediction
from .runner import Runner
from .segment_runner import SegmentRunner

__all__ = [
    "Answer",
    "CRunner",
    "Decisions",
    "Failure",
    "KerasRunner",
    "LCERunner",
    "Pipeline",
    "Prediction",
    "Runner",
    "SegmentRunner",
    "ValuePrediction",
    "evaluate_runner",
    "load",
    "load_classifier",
    "model_directory",
    "pipeline",
]
