from .c_runner import CRunner
from .classification import Pipeline, pipeline
from .keras_runner import KerasRunner
from .lce_runner import LCERunner
from .loading import load
from .predictions import Answer, ExitOutputs, Failure, Prediction, ValuePrediction
from .runner import Runner

__all__ = [
    "Answer",
    "CRunner",
    "ExitOutputs",
    "Failure",
    "KerasRunner",
    "LCERunner",
    "Pipeline",
    "Prediction",
    "Runner",
    "ValuePrediction",
    "load",
    "pipeline",
]
