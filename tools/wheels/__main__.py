"""Builds the wheels of all platforms, or of those that are named, and checks each.

    make wheels
    build/wheels-env/bin/python tools/wheels --output dist win_amd64

Zig compiles the engine for all of them on any machine, and the same sources give the same bytes. A wheel
that a check refuses does not reach the folder.
"""

import argparse
import ctypes
import os
import sys
import tempfile
import zipfile
from itertools import takewhile
from pathlib import Path

import zig
from checks import Unfit, check, require, run
from packaging.tags import sys_tags
from zig import ROOT, TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tags", nargs="*", metavar="TAG", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    if unknown := set(arguments.tags) - set(TARGETS):
        parser.error(f"there is no platform {sorted(unknown)[0]}; choose of {', '.join(TARGETS)}")
    rows, failures = [("file", "bytes", "checks")], 0
    for tag in arguments.tags or TARGETS:
        try:
            wheel, found = make(tag, arguments.output.resolve())
            rows.append((wheel.name, f"{wheel.stat().st_size:,}", ", ".join(found)))
        except Unfit as error:
            rows.append((tag, "-", f"REFUSED: {error}"))
            failures += 1
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, size, found in rows:
        print(f"{name:{widths[0]}}  {size:>{widths[1]}}  {found}")
    return 1 if failures else 0


def make(tag: str, output: Path) -> tuple[Path, list[str]]:
    """The wheel of a platform, and what the checks found of it."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".") as name:
        folder = Path(name)
        library = zig.library(tag, folder)
        # For a wheel, setup.py takes the library as it is. 1980 is a zip file's first year.
        own = {"BEEX_LIBRARY": os.fspath(library)}
        epoch = {"SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "315532800")}
        run(
            *[sys.executable, "setup.py", "-q", "egg_info", "-e", folder, "build", "-b", folder],
            *["bdist_wheel", "-p", tag, "-d", folder],
            cwd=ROOT,
            env=os.environ | own | epoch,
        )
        (wheel,) = folder.glob(f"*-py3-none-{tag}.whl")
        found = checked(wheel, tag)
        return wheel.replace(output / wheel.name), found


def checked(wheel: Path, tag: str) -> list[str]:
    """What was found of a wheel and of the library that came out of it."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        require(archive.testzip() is None, "the wheel is damaged")
        names = [n for n in archive.namelist() if n.endswith((".so", ".dylib", ".dll", ".pyd"))]
        name = f"beex_keras/runtime/{zig.file_name(tag)}"
        require(names == [name], f"the wheel's libraries are {names}, not {name} alone")
        library = Path(archive.extract(name, folder))
        found = check(library, tag)
        if tag.startswith("manylinux"):  # by musl's own name, libc.so, it does not know musl
            shown = run(sys.executable, "-m", "auditwheel", "show", wheel)
            require(f'"{tag}"' in " ".join(shown.split()), f"auditwheel says: {shown}")
            found.append("auditwheel agrees")
        if tag in {known.platform for known in sys_tags()}:
            found.append(f"self-test passed by {', '.join(self_test(library))}")
    return found


def self_test(library: Path) -> list[str]:
    """The names of the kernels that this machine can run, all of which give the engine's bits."""
    engine = ctypes.CDLL(os.fspath(library))
    engine.beex_available_kernels.restype = ctypes.POINTER(ctypes.c_void_p)
    engine.beex_kernels_name.restype = ctypes.c_char_p
    memory = (ctypes.c_uint64 * 1280)()
    names = []
    for kernels in map(ctypes.c_void_p, takewhile(bool, engine.beex_available_kernels())):
        names.append(engine.beex_kernels_name(kernels).decode())
        size = ctypes.c_size_t(ctypes.sizeof(memory))
        status = engine.beex_self_test(kernels, memory, size)
        require(status == 0, f"the self-test of {names[-1]} fails with status {status}")
    return names


if __name__ == "__main__":
    sys.exit(main())
