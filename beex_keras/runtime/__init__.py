"""Classification with a trained or converted model, the same way for every engine."""

from beex_keras.runtime.c_runner import CRunner
from beex_keras.runtime.classification import Pipeline, pipeline
from beex_keras.runtime.keras_runner import KerasRunner, load_classifier, model_directory
from beex_keras.runtime.lce_runner import LCERunner
from beex_keras.runtime.loading import load
from beex_keras.runtime.measure import evaluate_runner
from beex_keras.runtime.runner import Decisions, Prediction, Runner
from beex_keras.runtime.segment_runner import SegmentRunner

__all__ = [
    "CRunner",
    "Decisions",
    "KerasRunner",
    "LCERunner",
    "Pipeline",
    "Prediction",
    "Runner",
    "SegmentRunner",
    "evaluate_runner",
    "load",
    "load_classifier",
    "model_directory",
    "pipeline",
]
