"""The npm package as tests build it, and the host's engine that it must agree with."""

import ctypes
import functools
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from c_builds import run
from conftest import COMPILER, needs_engine
from made_once import made_once
from score_bits import build

from beex_keras.runtime import library

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools" / "web"))
import npm_package  # noqa: E402

TOOLS = ROOT / "build" / "web-tools" / "node_modules" / ".bin"
CLANG, NODE = npm_package.clang(), shutil.which("node")

needs = [
    needs_engine,
    pytest.mark.slow,
    pytest.mark.skipif(
        not CLANG or not NODE, reason="no Clang for WebAssembly, or no Node: tools/install_web.sh"
    ),
]
"""Marks of every test of the package."""

needs_npm = pytest.mark.skipif(
    not all((TOOLS / name).exists() for name in ("tsc", "vite")) or not shutil.which("npm"),
    reason="no npm, TypeScript or Vite: tools/install_web.sh",
)


@functools.cache
def node() -> tuple[str, ...]:
    """Node, with a flag where relaxed vectors need one."""
    flag = "--experimental-wasm-relaxed-simd"
    known = subprocess.run([NODE, flag, "-e", "0"], capture_output=True).returncode == 0
    return (NODE, "--no-warnings", *([flag] if known else []))


@pytest.fixture(scope="session")
def package(tmp_path_factory) -> Path:
    """What `make web` builds; the playground stands beside it."""
    folder = made_once(tmp_path_factory, "web", lambda folder: npm_package.build(folder, CLANG))
    return folder / "beex-keras"


@pytest.fixture(scope="session")
def archive(package, tmp_path_factory) -> Path:
    """What `npm pack` makes of it."""
    folder = tmp_path_factory.mktemp("archive")
    run("npm", "pack", "--silent", "--pack-destination", folder, cwd=package)
    (file,) = folder.glob("*.tgz")
    return file


@pytest.fixture(scope="session")
def installed(archive, tmp_path_factory) -> Path:
    """An empty folder with the archive installed into it."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    run("npm", "install", "--silent", "--offline", "--no-audit", archive, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def random_models(tmp_path_factory) -> list[Path]:
    """Small files of all kinds: precisions, networks, tasks, policies, single texts and pairs."""
    folder = tmp_path_factory.mktemp("random")
    program = folder / "differential_test"
    run(build(program, COMPILER, "-O1", program="tests/differential_test.c"), "-w", folder, 300)
    return [file for file in sorted(folder.glob("*.beex")) if Host(file).has_vocabulary]


class Result(ctypes.Structure):
    """`beex_result` of tflite/engine/beex.h."""

    _fields_ = [
        ("exit", ctypes.c_size_t),
        ("label", ctypes.c_size_t),
        ("score", ctypes.c_float),
        ("value", ctypes.c_float),
        ("truncated", ctypes.c_int),
    ]


class Host:
    """The engine that Python has on a model, by its C interface alone."""

    def __init__(self, model: Path) -> None:
        self._c = ctypes.CDLL(str(library.path()))
        self._c.beex_best_arena_size.restype = ctypes.c_size_t
        self._c.beex_label.restype = ctypes.c_char_p
        data = np.frombuffer(model.read_bytes(), np.uint8)
        self._data = np.zeros(-(-len(data) // 8), np.uint64)
        self._data.view(np.uint8)[: len(data)] = data
        self._model, self._engine = (np.zeros(1024, np.uint64) for _ in range(2))
        self._call("beex_open", self._model, self._data, ctypes.c_size_t(len(data)))
        size = self._c.beex_best_arena_size(self._at(self._model))
        self._arena = np.zeros(size // 8 + 1, np.uint64)
        start = self._engine, self._model, self._arena, ctypes.c_size_t(self._arena.nbytes), None
        self._call("beex_start", *start)
        header = np.frombuffer(model.read_bytes()[:256], np.uint32)
        self.reads_pairs = header[7] > 1
        self.has_vocabulary, self.is_number = bool(header[23]), bool(header[39])
        self.blocks, self.classes = int(header[13]), int(header[14])

    @staticmethod
    def _at(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def _call(self, name: str, *arguments) -> None:
        plain = [self._at(a) if isinstance(a, np.ndarray) else a for a in arguments]
        status = getattr(self._c, name)(*plain)
        assert status == 0, f"{name}: {status}"

    def label(self, number: int) -> str:
        return self._c.beex_label(self._at(self._model), ctypes.c_size_t(number)).decode()

    def answer(self, text: str, pair: str | None) -> tuple[dict, np.ndarray]:
        """The prediction as the package writes it, but for probabilities; and what each exit says."""
        result, exits = Result(), ctypes.c_size_t()
        parts = []
        for part in (text, pair):
            data = None if part is None else part.encode()
            parts += [data, ctypes.c_size_t(len(data or b""))]
        self._call("beex_classify", self._engine, *parts, ctypes.byref(result))
        values = np.zeros((self.blocks, self.classes), np.float32)
        size = ctypes.c_size_t(values.size)
        self._call("beex_exits", self._engine, values, size, ctypes.byref(exits))
        found = {"exit": result.exit, "truncated": bool(result.truncated)}
        if self.is_number:
            found["value"] = result.value
        else:
            found |= {"label": self.label(result.label), "score": result.score}
        return found, values[: exits.value]
