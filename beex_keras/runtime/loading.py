"""Loads any model, by its path or name, into the engine that runs it."""

import os
from pathlib import Path

from beex_keras import pretrained
from beex_keras.errors import BeexError
from beex_keras.files import map_file, read_bytes
from beex_keras.runtime import library
from beex_keras.runtime.runner import Runner

# TensorFlow and Larq Compute Engine are imported only where a model needs them.


def load(path: str | os.PathLike[str], num_threads: int = 1) -> Runner:
    """Loads a model from a file, a folder or the name of a packaged model.

    A ``.beex`` file runs in the C engine, without TensorFlow; if the C engine was not built, the file runs
    in Keras. A ``.tflite`` file runs in Larq Compute Engine. A ``.keras`` file, a directory of
    `save_pretrained` and a run folder run in Keras; `KerasRunner.classifier` is then the Keras model.

    Args:
        path: a file or directory, or a name in `beex_keras.pretrained.names()`; if a file of that name
            exists, the file is used. A ``.beex`` file is mapped and not copied, so never write into it;
            replace it.
        num_threads: number of threads of Larq Compute Engine or the C engine; Keras chooses its own.

    Raises:
        BeexError: there is no model at `path`, or it cannot be loaded.

    Example:
        >>> runner = beex.load("sst2-micro")
        >>> runner.classify(["what a lovely film"])[0].label
        'positive'
    """
    target = pretrained.find(path)
    if target.is_file():
        if target.suffix == ".beex" and library.path().is_file():
            from beex_keras.runtime.c_runner import CRunner

            return CRunner(map_file(target, "model"), str(target), num_threads)
        if target.suffix == ".tflite":
            from beex_keras.runtime.lce_runner import LCERunner

            return LCERunner(read_bytes(target, "model"), str(target), num_threads)
    return _in_keras(path, target)


def _in_keras(path: str | os.PathLike[str], target: Path) -> Runner:
    if target.suffix in (".keras", ".beex") or target.is_dir():
        from beex_keras.runtime.keras_runner import KerasRunner, load_classifier

        return KerasRunner(load_classifier(target))
    folders = "a run folder of `beex train` or a directory of save_pretrained"
    raise BeexError(f"{path} is not a model; give a .tflite, .beex or .keras file, {folders}.")
