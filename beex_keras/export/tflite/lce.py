"""Conversion by Larq Compute Engine, quietly."""

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError


def require() -> Any:
    """The module `larq_compute_engine`.

    Raises:
        BeexError: it is not installed, or not available for this platform.
    """
    try:
        import larq_compute_engine
    except ImportError as error:
        raise BeexError(
            f"A .tflite file needs Larq Compute Engine, which cannot be imported ({error}); run `pip "
            "install larq-compute-engine==0.16.0`, with Python 3.10 to 3.12 on x86-64 Linux or macOS."
        ) from error
    return larq_compute_engine


def convert_function(function: tf.types.experimental.GenericFunction) -> bytes:
    """The flatbuffer of a function with an input signature, named outputs and no variables.

    What the converter prints is kept back and, if it fails, quoted.

    Raises:
        BeexError: Larq Compute Engine is missing or cannot convert the function.
    """
    engine = require()
    module = tf.Module()
    module.serve = function
    # A frozen function carries custom gradients that no longer find their functions.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory() as directory, _quiet():
        tf.saved_model.save(module, directory, signatures=function, options=options)
        try:
            return engine.convert_saved_model(directory)
        except Exception as error:  # the converter raises bare Exceptions
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            problem = f"Larq Compute Engine could not convert the model: {reason}"
            raise BeexError(f"{problem}; give one that has only layers of beex_keras.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Holds back all output, that of native code included, and warnings."""
    logger = tf.get_logger()
    level = logger.level
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")
        sink = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, sink)
        for descriptor in (1, 2):
            with suppress(OSError):  # closed by whoever started the process
                saved = os.dup(descriptor)
                stack.callback(os.close, saved)
                os.dup2(sink, descriptor)
                stack.callback(os.dup2, saved, descriptor)
        try:
            logger.setLevel(logging.ERROR)
            yield
        finally:
            logger.setLevel(level)
