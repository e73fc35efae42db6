"""Logits of a model that is in training, or that teaches one, by the C engine or by Keras."""

import os

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.evaluation.exit_logits import predict_exit_logits
from beex_keras.export import beex
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import CRunner, KerasRunner, Runner, library


def runner_of(model: BEExformerClassifier) -> Runner:
    """The C engine for a binary model, because it is faster than Keras; else Keras.

    Keras also takes the place of an engine that is not built, and runs a model that a .beex file cannot hold,
    for example because its weights are out of range: that is no reason to end a training.
    """
    if model.config.weight_bits != 1 or not library.path().is_file():
        return KerasRunner(model)
    try:
        return CRunner(beex.convert(model), num_threads=_threads())
    except BeexError:
        return KerasRunner(model)


def _threads() -> int:
    """As many as TensorFlow has by its environment variable, or as there are processors for this process."""
    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def exit_logits(model: tf.keras.Model, ids: np.ndarray) -> np.ndarray:
    """Logits of all exits (B, N, C) of ids int32 (B, T), as `predict_exit_logits`.

    `runner_of` computes them, unless the model has no vocabulary.
    """
    if isinstance(model, BEExformerClassifier) and model.preprocessor is not None:
        return runner_of(model).exit_logits(ids)
    return predict_exit_logits(model, ids)
