"""Writes a model in the format that the suffix of its file names."""

import os
from pathlib import Path
from typing import Any, Literal

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.export.tflite.convert import to_tflite
from beex_keras.export.tflite.sizes import file_sizes
from beex_keras.files import write_atomically
from beex_keras.models import BEExformerClassifier


def convert(
    model: tf.keras.Model,
    path: str | os.PathLike[str],
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    *,
    file_format: Literal["tflite", "beex"] | None = None,
    exit: str = "in-graph",
    threshold_input: bool = False,
    plan_memory: bool = False,
    int8_weights: bool = False,
) -> dict[str, int]:
    """Writes the model to `path`, whole or not at all, as the ``.tflite`` or ``.beex`` file that it names.

    Args:
        model: a `BEExformerClassifier`; for a ``.tflite`` file also any other functional or Sequential
            model of layers that Larq Compute Engine converts.
        path: the file, whose suffix is ``.tflite`` or ``.beex`` unless `file_format` is given.
        length: largest number of tokens that the file reads; `config.max_length` if None.
        calibration: figures of the policy's calibration, which are stored with it (JSON values).
        exit, threshold_input, plan_memory: of a ``.tflite`` file, as in `beex_keras.export.to_tflite`.
        int8_weights: of a ``.beex`` file, as in `beex_keras.export.beex.convert`.

    Returns:
        Bytes by their kind: those of `file_sizes`, or of `beex_keras.export.beex.file_sizes`.

    Raises:
        BeexError: the suffix is another one, an option does not fit, the file cannot be written, a
            layer cannot be converted, or as the two functions.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", width=8, num_blocks=1)
        >>> sizes = beex.convert(beex.BEExformerClassifier(config), "small.tflite")
        >>> sizes["binary"] < sizes["total"]
        True
    """
    found = file_format or Path(path).suffix.lower().removeprefix(".")
    if found == "beex":
        if exit != "in-graph" or threshold_input or plan_memory:
            only = "exit, threshold_input and plan_memory are for .tflite files"
            raise BeexError(f"{only}; leave them out.")
        if not isinstance(model, BEExformerClassifier):
            fix = "convert this model to a .tflite file"
            raise BeexError(f"A .beex file holds a BEExformerClassifier; {fix}.")
        return beex.export_file(model, path, length, calibration, int8_weights)
    if found != "tflite":
        raise BeexError(f"{path} names no format; end it in .tflite or .beex.")
    if int8_weights:
        raise BeexError("int8_weights is for .beex files; leave it out.")
    data = to_tflite(model, length, calibration, exit, threshold_input, plan_memory)
    write_atomically(path, data)
    return file_sizes(data)
