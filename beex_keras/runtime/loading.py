"""From a path, or a name, to the runner of whatever model stands there."""

import os
from pathlib import Path

from beex_keras import pretrained
from beex_keras.errors import BeexError
from beex_keras.export.description import is_segments
from beex_keras.files import map_file, read_bytes
from beex_keras.runtime import library
from beex_keras.runtime.runner import Runner

# TensorFlow and Larq Compute Engine are imported only where a model needs them.


def load(path: str | os.PathLike[str], num_threads: int = 1) -> Runner:
    """Loads the model at `path`, or the packaged model of that name, as a runner.

    A ``.beex`` file runs in the C engine, without TensorFlow (in Keras where no C compiler has built
    that); a ``.tflite`` file and a directory of segments run in Larq Compute Engine; a directory
    written by `save_pretrained`, a run folder with such a directory named ``model``, and a ``.keras``
    file run in Keras.

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
    if is_segments(target):
        from beex_keras.runtime.segment_runner import SegmentRunner, read_segments

        return SegmentRunner(read_segments(target), str(target), num_threads)
    return _in_keras(path, target)


def _in_keras(path: str | os.PathLike[str], target: Path) -> Runner:
    if target.suffix in (".keras", ".beex") or target.is_dir():
        from beex_keras.runtime.keras_runner import KerasRunner, load_classifier

        return KerasRunner(load_classifier(target))
    folders = "a run folder of `beex train` or a directory of save_pretrained"
    raise BeexError(f"{path} is not a model; give a .tflite, .beex or .keras file, {folders}.")
