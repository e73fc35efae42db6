"""TensorFlow Lite Micro with our ops on this machine, for tests and benchmarks.

The wheel `tflite-micro` finds ops of others by a symbol's name, but comes without headers. So the ops
are compiled with the declarations of tflite/tests/tflm, which hold for one version of it.
"""

import atexit
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

TFLITE = Path(__file__).parents[1] / "tflite"
SHIM = TFLITE / "tests" / "tflm"
SOURCES = (
    *sorted((TFLITE / "micro").glob("*.cc")),
    TFLITE / "kernels" / "lce.c",
    SHIM / "register.cc",
)
UNPACKED, PACKED = "BeexRegisterUnpacked", "BeexRegisterPacked"
VERSION = "0.dev20261023182759"
COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
FLAGS = ("-std=c++17", "-O2", "-fno-exceptions", "-fno-rtti")

_ALLOCATION = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


def why_not() -> str | None:
    """Why the ops cannot run here; None if they can."""
    if COMPILER is None:
        return "no C++ compiler"
    try:
        found = version("tflite-micro")
    except PackageNotFoundError:
        return "tflite-micro is not installed"
    if found != VERSION:
        return f"tflite-micro is {found}, but the ops' declarations are those of {VERSION}"
    return None


def build(target: Path, *flags: str) -> Path:
    """Compiles the ops with the declarations of the wheel to a shared library."""
    objects = []
    with tempfile.TemporaryDirectory() as folder:
        for source in SOURCES:
            objects.append(Path(folder) / f"{source.stem}.o")
            language = ("-x", "c", "-std=c99", "-O2") if source.suffix == ".c" else FLAGS
            options = (*language, *WARNINGS, *flags, "-fPIC", f"-I{SHIM}")
            _run(COMPILER, *options, "-c", source, "-o", objects[-1])
        _run(COMPILER, *flags, "-shared", *objects, "-o", target)
    return target


def _run(*command: Any) -> None:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stdout + result.stderr)


@cache
def library() -> Path:
    """The ops, built once a process."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return build(folder / "lce_ops.so")


@cache
def runtime() -> Any:
    """The wheel's module, with our ops loaded beside it.

    Both libraries must see each other's symbols.
    """
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_GLOBAL | os.RTLD_NOW)
    try:
        from tflite_micro.python.tflite_micro import _runtime
        from tflite_micro.python.tflite_micro import runtime as module
    finally:
        sys.setdlopenflags(flags)
    # If it was imported before, this makes its symbols known to all.
    ctypes.CDLL(_runtime.__file__, mode=os.RTLD_GLOBAL | os.RTLD_NOW)
    ctypes.CDLL(str(library()), mode=os.RTLD_GLOBAL | os.RTLD_NOW)
    return module


class Micro:
    """A file in TensorFlow Lite Micro's interpreter, with our ops.

    Args:
        data: the file's bytes.
        arena_size: bytes of the arena that it is given.
        ops: UNPACKED or PACKED, how the weights of FULLY_CONNECTED are read.

    Raises:
        RuntimeError: the file does not run in an arena of this size.
    """

    def __init__(self, data: bytes, arena_size: int = 8 << 20, ops: str = PACKED) -> None:
        self._interpreter = runtime().Interpreter.from_bytes(
            data, custom_op_registerers=[ops], arena_size=arena_size
        )

    def run(self, *inputs: np.ndarray, outputs: int = 1) -> list[np.ndarray]:
        """The outputs for one set of inputs, each with its batch axis."""
        for place, array in enumerate(inputs):
            self._interpreter.set_input(np.ascontiguousarray(array), place)
        self._interpreter.invoke()
        return [self._interpreter.get_output(place).copy() for place in range(outputs)]

    def arena(self) -> dict[str, int]:
        """Bytes of the arena: "total", of them "head" for activations, "tail" for all that stays."""
        with _captured(2) as file:
            self._interpreter.print_allocations()
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
        return {kind: int(size) for kind, size in _ALLOCATION.findall(text)}


@contextmanager
def _captured(descriptor: int) -> Iterator[Any]:
    """The file that what native code writes to a file descriptor goes to meanwhile."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(descriptor)
        os.dup2(file.fileno(), descriptor)
        try:
            yield file
        finally:
            os.dup2(saved, descriptor)
            os.close(saved)
