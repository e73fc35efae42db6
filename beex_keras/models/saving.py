"""A model as a directory: its configuration, its vocabulary and its weights."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tensorflow as tf

from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, read_text

VOCABULARY_FILE = "vocab.txt"
_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "model.weights.h5"
_FORMAT_VERSION = 1

Model = TypeVar("Model", bound=tf.keras.Model)


def save(
    directory: str | os.PathLike[str],
    model: tf.keras.Model,
    kind: str,
    values: dict[str, Any],
    vocabulary: Sequence[str] | None,
) -> None:
    """Writes the directory, whole or not at all; one that exists is replaced.

    Args:
        directory: to write.
        model: whose weights are saved.
        kind: what `load` shall expect.
        values: configuration, as JSON can hold it.
        vocabulary: the tokens in the order of their ids, if the model has them.

    Raises:
        BeexError: the directory cannot be written.
    """
    values = {"format": kind, "version": _FORMAT_VERSION, **values}
    with atomic_path(directory) as path:
        path.mkdir()
        (path / _CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", "utf-8")
        if vocabulary is not None:
            (path / VOCABULARY_FILE).write_text("\n".join(vocabulary) + "\n", "utf-8")
        model.save_weights(path / _WEIGHTS_FILE)


def load(
    directory: str | os.PathLike[str], kind: str, build: Callable[[dict[str, Any]], Model]
) -> Model:
    """The model that `save` wrote: `build` makes it of the configuration, then it gets its weights.

    Raises:
        BeexError: a file is missing, is not ours, or does not fit the others.
    """
    path = Path(directory)
    if not path.is_dir():
        raise BeexError(f"There is no model directory at {path}; check the path.")
    config_file = path / _CONFIG_FILE
    try:
        values = json.loads(read_text(config_file, "model configuration"))
    except json.JSONDecodeError as error:
        raise BeexError(f"{config_file} is not valid JSON: {error}; restore the file.") from None
    if not isinstance(values, dict) or values.pop("format", None) != kind:
        raise BeexError(f"{config_file} does not describe a BEExformer; give a directory we saved.")
    version = values.pop("version", None)
    if version != _FORMAT_VERSION:
        raise BeexError(
            f"{config_file} has format version {version}, but this release reads version "
            f"{_FORMAT_VERSION}; use the release that wrote it."
        )
    try:
        model = build(values)
    except (KeyError, TypeError) as error:
        raise BeexError(f"{config_file} lacks or misuses {error}; restore the file.") from None
    weights_file = path / _WEIGHTS_FILE
    if not weights_file.is_file():
        raise BeexError(f"There are no weights at {weights_file}; restore the file.")
    try:
        model.load_weights(weights_file)
    except Exception as error:  # h5py and Keras raise a dozen kinds for one meaning
        raise BeexError(
            f"The weights in {weights_file} do not fit {config_file.name}: the file is damaged "
            "or belongs to a model of another shape; use the files of one model."
        ) from error
    return model
