"""Answers of a model that is in training, or that teaches one: by the faster of two ways that agree."""

import os

import numpy as np

from beex_keras.backend import tf
from beex_keras.evaluation.exit_logits import predict_exit_logits
from beex_keras.export import beex
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import CRunner, KerasRunner, Runner, library


def runner_of(model: BEExformerClassifier) -> Runner:
    """The C engine for a binary model, where it is built, because it is faster than Keras; else Keras."""
    if model.config.weight_bits != 1 or not library.path().is_file():
        return KerasRunner(model)
    return CRunner(beex.convert(model), num_threads=os.cpu_count() or 1)


def exit_logits(model: tf.keras.Model, ids: np.ndarray) -> np.ndarray:
    """Logits of all exits (B, N, C) of ids int32 (B, T), as `predict_exit_logits`.

    They are those of `runner_of`, if the model can be converted: not one without a vocabulary, or one of
    several replicas.
    """
    strategy = model.distribute_strategy
    is_alone = strategy.num_replicas_in_sync == 1 and strategy.cluster_resolver is None
    if isinstance(model, BEExformerClassifier) and model.preprocessor is not None and is_alone:
        return runner_of(model).exit_logits(ids)
    return predict_exit_logits(model, ids)
