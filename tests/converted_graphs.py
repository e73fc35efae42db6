"""Small graphs through Larq Compute Engine: to parse their files, and to run them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from beex_keras.export.tflite import flatbuffer, lce


def graph_of(function: Callable[..., tf.Tensor], *shape: int, dtype: tf.DType = tf.float32) -> Any:
    """The parsed file of a function of one input."""
    spec = tf.TensorSpec(shape, dtype, "x")
    wrapped = tf.function(lambda x: {"y": function(x)}, input_signature=[spec], autograph=False)
    return flatbuffer.parse(lce.convert_function(wrapped))


def interpret(model: Any, x: np.ndarray, **options: Any) -> np.ndarray:
    """What a file, parsed or not, computes of an input."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    data = model if isinstance(model, bytes) else flatbuffer.pack(model)
    return Interpreter(data, **options).predict(x)
