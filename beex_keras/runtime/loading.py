"""From a path to the runner of whatever model stands there."""

import os
from pathlib import Path

from beex_keras.errors import BeexError
from beex_keras.export.files import is_segments
from beex_keras.runtime.engine import CRunner
from beex_keras.runtime.keras import KerasRunner, load_classifier
from beex_keras.runtime.lce import LCERunner
from beex_keras.runtime.runner import Runner
from beex_keras.runtime.segments import SegmentRunner


def load(path: str | os.PathLike[str], num_threads: int = 1) -> Runner:
    """The runner for whatever stands at `path`.

    A ``.tflite`` file and a directory of segments run in Larq Compute Engine, a ``.beex`` file runs
    in the C engine; a directory written by `save_pretrained`, a run folder with such a directory
    named ``model``, and a ``.keras`` file run in Keras.

    Args:
        path: file or directory.
        num_threads: threads of Larq Compute Engine or of the C engine; Keras chooses its own.

    Raises:
        BeexError: nothing stands there, or nothing that can be loaded.
    """
    target = Path(path)
    if target.suffix == ".tflite" and not target.is_dir():
        return LCERunner.open(target, num_threads)
    if target.suffix == ".beex" and not target.is_dir():
        return CRunner.open(target, num_threads)
    if is_segments(target):
        return SegmentRunner.open(target, num_threads)
    if target.suffix == ".keras" or target.is_dir() or not target.exists():
        return KerasRunner(load_classifier(target))
    raise BeexError(
        f"{path} is not a model; give a .tflite, .beex or .keras file, a run folder of `beex train` "
        "or a directory of save_pretrained."
    )
