"""From a path, or a name, to the runner of whatever model stands there."""

import os

from beex_keras import pretrained
from beex_keras.errors import BeexError
from beex_keras.export.tflite.converter import is_segments
from beex_keras.files import read_bytes
from beex_keras.runtime import library
from beex_keras.runtime.c_runner import CRunner
from beex_keras.runtime.keras_runner import KerasRunner, load_classifier
from beex_keras.runtime.lce_runner import LCERunner
from beex_keras.runtime.runner import Runner
from beex_keras.runtime.segment_runner import SegmentRunner, read_segments


def load(path: str | os.PathLike[str], num_threads: int = 1) -> Runner:
    """The runner for whatever stands at `path`, or for the model of that name that comes along.

    A ``.tflite`` file and a directory of segments run in Larq Compute Engine, a ``.beex`` file runs
    in the C engine (in Keras where no C compiler has built that); a directory written by
    `save_pretrained`, a run folder with such a directory named ``model``, and a ``.keras`` file run in
    Keras.

    Args:
        path: file or directory, or a name in `beex_keras.pretrained.names()`; what exists goes
            before a name.
        num_threads: threads of Larq Compute Engine or of the C engine; Keras chooses its own.

    Raises:
        BeexError: nothing stands there, or nothing that can be loaded.

    Example:
        >>> runner = beex.load("sst2-micro")
        >>> runner.classify(["what a lovely film"])[0].label
        'positive'
    """
    target = pretrained.find(path)
    if is_segments(target):
        return SegmentRunner(read_segments(target), str(target), num_threads)
    if target.suffix == ".tflite" and not target.is_dir():
        return LCERunner(read_bytes(target, "model"), str(target), num_threads)
    if target.suffix == ".beex" and not target.is_dir() and library.path().is_file():
        return CRunner(read_bytes(target, "model"), str(target), num_threads)
    if target.suffix in (".keras", ".beex") or target.is_dir() or not target.exists():
        return KerasRunner(load_classifier(target))
    folders = "a run folder of `beex train` or a directory of save_pretrained"
    raise BeexError(f"{path} is not a model; give a .tflite, .beex or .keras file, {folders}.")
