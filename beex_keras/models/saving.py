"""A model as a directory: its configuration, its vocabulary and its weights."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, check_replaceable, check_room, parse_json, read_text
from beex_keras.text import read_vocabulary

_VOCABULARY_FILE = "vocab.txt"
_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "model.weights.h5"
_OF_VARIABLE = 4096
"""More bytes than a file has for each variable beside its numbers."""

_FORMAT = "beex_keras"
_FORMAT_VERSION = 1

Model = TypeVar("Model", bound=tf.keras.Model)


def save(directory: str | os.PathLike[str], model: tf.keras.Model) -> None:
    """Writes a model's weights and `get_config`, whole or not at all; a model that is there is replaced.

    Raises:
        BeexError: the directory cannot be written, has no room, or holds other files than a model's.
    """
    check_replaceable(directory, (_CONFIG_FILE, _VOCABULARY_FILE, _WEIGHTS_FILE).__contains__)
    values = {"format": _FORMAT, "version": _FORMAT_VERSION, **model.get_config()}
    vocabulary = (values["preprocessor"] or {}).pop("vocabulary", None)
    with atomic_path(directory) as path:
        path.mkdir()
        (path / _CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", "utf-8")
        if vocabulary is not None:
            (path / _VOCABULARY_FILE).write_text("\n".join(vocabulary) + "\n", "utf-8")
        save_weights(model, path / _WEIGHTS_FILE)


def save_weights(model: tf.keras.Model, path: Path) -> None:
    """Writes a model's weights, without the optimizer's state, to a file in a folder that is there.

    Raises:
        BeexError: there is no room for them.
    """
    check_room(path.parent, room_for(model.weights))
    with _without_optimizer(model):
        model.save_weights(path)


def load_weights(model: tf.keras.Model, path: Path) -> None:
    """Reads what `save_weights` wrote; the state of an optimizer stays as it is."""
    with _without_optimizer(model):
        model.load_weights(path)


@contextmanager
def _without_optimizer(model: tf.keras.Model) -> Iterator[None]:
    """Keras would write the state of the optimizer too, which no one reads, and would miss it in reading."""
    optimizer, model.optimizer = model.optimizer, None
    try:
        yield
    finally:
        model.optimizer = optimizer


def room_for(variables: Iterable[tf.Variable]) -> int:
    """Bytes that a file of variables takes at most."""
    return sum(v.shape.num_elements() * v.dtype.size + _OF_VARIABLE for v in variables)


def model_directory(path: str | os.PathLike[str]) -> Path:
    """The directory that `save` wrote: `path` itself, or the `model` in a run folder.

    Raises:
        BeexError: neither holds a model.
    """
    for candidate in (Path(path), Path(path) / "model"):
        if (candidate / _CONFIG_FILE).is_file():
            return candidate
    if (Path(path) / "run.json").is_file():
        raise BeexError(f"The training in {path} is not finished; give its command again.")
    fix = "give a run folder of `beex train`, a directory of save_pretrained or a .beex file"
    raise BeexError(f"{path} is not a folder with a Keras model; {fix}.")


def load(directory: str | os.PathLike[str], build: Callable[[dict[str, Any]], Model]) -> Model:
    """The model that `save` wrote: `build` makes it of the configuration, then it gets its weights.

    Raises:
        BeexError: a file is missing, is not ours, or does not fit the others.
    """
    path = Path(directory)
    model = _built(path, build)
    weights_file = path / _WEIGHTS_FILE
    if not weights_file.is_file():
        raise BeexError(f"There are no weights at {weights_file}; restore the file.")
    try:
        load_weights(model, weights_file)
    except Exception as error:  # h5py and Keras raise a dozen kinds for one meaning
        reason = "the file is damaged or belongs to a model of another shape"
        problem = f"The weights in {weights_file} do not fit {_CONFIG_FILE}: {reason}"
        raise BeexError(f"{problem}; use the files of one model.") from error
    return model


def _built(path: Path, build: Callable[[dict[str, Any]], Model]) -> Model:
    config_file = path / _CONFIG_FILE
    text = read_text(config_file, "model configuration")
    values = parse_json(text, str(config_file), "restore the file")
    if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
        raise BeexError(f"{config_file} does not describe a BEExformer; give a directory we saved.")
    version = values.pop("version", None)
    if version != _FORMAT_VERSION:
        problem = f"has format version {version}, but this release reads {_FORMAT_VERSION}"
        raise BeexError(f"{config_file} {problem}; use the release that wrote it.")
    try:
        if values.get("preprocessor") is not None:
            values["preprocessor"]["vocabulary"] = read_vocabulary(path / _VOCABULARY_FILE)
        return build(values)
    except (KeyError, TypeError) as error:
        raise BeexError(f"{config_file} lacks or misuses {error}; restore the file.") from None
