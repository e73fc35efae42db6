"""The C code compiled for tests, once for all of them: by GCC and by Clang, plain and with sanitizers."""

import dataclasses
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import COMPILER
from made_once import made_once

TFLITE = Path(__file__).parents[1] / "tflite"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
FLAGS = ("-std=c99", "-Wpedantic", *WARNINGS)
SANITIZE = (
    "-g",
    "-O1",
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
)


def newest(name: str) -> str | None:
    """A compiler on the path; Debian's Clang has its version in its name."""
    names = (f"{name}-{version}" for version in range(40, 10, -1))
    return next(filter(None, map(shutil.which, [*names, name])), None)


def found(**compilers: str | None) -> dict[str, str]:
    return {name: path for name, path in compilers.items() if path}


COMPILERS = found(gcc=shutil.which("gcc"), clang=newest("clang")) or found(cc=COMPILER)
CPP_COMPILERS = found(gcc=shutil.which("g++"), clang=newest("clang++"))


def each(compilers: dict[str, str], quick: str) -> list:
    """Parameters, of which all but the quick one are for slow tests."""
    quick = quick if quick in compilers else next(iter(compilers), "")
    return [
        pytest.param(path, id=name, marks=() if name == quick else pytest.mark.slow)
        for name, path in compilers.items()
    ]


def run(*command, **options) -> str:
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@dataclasses.dataclass(frozen=True)
class Build:
    """Kernels and engine, compiled in one way, one object a source."""

    folder: Path
    compiler: str
    flags: tuple[str, ...]
    objects: list[Path]

    @classmethod
    def of(cls, folder: Path, compiler: str, *flags: str) -> "Build":
        def build(source: Path) -> Path:
            target = folder / f"{source.stem}.o"
            run(compiler, *FLAGS, *flags, "-c", source, "-o", target)
            return target

        sources = sorted([*TFLITE.glob("kernels/*.c"), *TFLITE.glob("engine/*.c")])
        with ThreadPoolExecutor(2) as pool:
            return cls(folder, compiler, flags, list(pool.map(build, sources)))

    @classmethod
    def once(
        cls, factory: pytest.TempPathFactory, name: str, compiler: str, *flags: str
    ) -> "Build":
        """As `of`, in a folder that all workers of this run have."""
        name = f"{name}-{Path(compiler).name}"
        folder = made_once(factory, name, lambda folder: cls.of(folder, compiler, *flags))
        return cls(folder, compiler, flags, sorted(folder.glob("*.o")))

    def link(self, *sources: str, flags: tuple[str, ...] = ()) -> Path:
        """The program of these sources and the objects, named for the first and the process."""
        target = self.folder / f"{Path(sources[0]).stem}-{os.getpid()}"
        paths = [TFLITE / source for source in sources]
        run(self.compiler, *FLAGS, *self.flags, *flags, *paths, *self.objects, "-lm", "-o", target)
        return target


@pytest.fixture(scope="session", params=each(COMPILERS, "gcc"))
def plain(request, tmp_path_factory) -> Build:
    return Build.once(tmp_path_factory, "plain", request.param, "-O2")


@pytest.fixture(scope="session", params=each(COMPILERS, "clang"))
def sanitized(request, tmp_path_factory) -> Build:
    probe = [request.param, *SANITIZE, "-x", "c", "-", "-o", os.devnull]
    if subprocess.run(probe, input=b"int main(void) { return 0; }", capture_output=True).returncode:
        pytest.skip("the compiler has no sanitizers")
    return Build.once(tmp_path_factory, "sanitized", request.param, *SANITIZE)
