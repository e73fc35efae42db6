"""The engine compiled for any platform on any other, by Zig's C compiler."""

import os
import sys
from pathlib import Path

from checks import require, run

ROOT = Path(__file__).parents[2]

# The platforms by Zig's names, with the oldest system where that can be said. Processors are the plainest
# of their kind: 32-bit Arm without NEON and with half of the registers that it can have.
TARGETS = {
    "manylinux_2_17_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64": "aarch64-linux-gnu.2.17",
    "manylinux_2_17_armv7l": "arm-linux-gnueabihf.2.17 -mcpu=generic+v7a-neon-d32",
    "musllinux_1_2_x86_64": "x86_64-linux-musl",
    "musllinux_1_2_aarch64": "aarch64-linux-musl",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "macosx_10_15_x86_64": "x86_64-macos.10.15",
    "win_amd64": "x86_64-windows-gnu -DBEEX_API=__declspec(dllexport)",
}
FLAGS = ("-std=c99", "-O3", "-g0", "-s", "-fvisibility=hidden")

# What Zig keeps: its C libraries, compiled, and objects.
CACHE = os.fspath(ROOT / "build" / "zig")
ENVIRONMENT = {"ZIG_GLOBAL_CACHE_DIR": CACHE, "ZIG_LOCAL_CACHE_DIR": CACHE}


def command(tag: str, python: str | Path = sys.executable) -> list:
    """The compiler for a platform, from the environment of this Python."""
    return [python, "-m", "ziglang", "cc", "-target", *TARGETS[tag].split(), *FLAGS]


def file_name(tag: str) -> str:
    """The name of the library that `beex_keras.runtime.library` looks for."""
    return "_engine" + {"macosx": ".dylib", "win": ".dll"}.get(tag.split("_")[0], ".so")


def library(tag: str, folder: Path) -> Path:
    """The library, compiled into the folder."""
    sources = sorted(
        f for part in ("kernels", "engine") for f in (ROOT / "tflite" / part).glob("*.c")
    )
    output = folder / file_name(tag)
    # In the folder, since a library for macOS holds the name that it was linked by.
    words = [*command(tag), "-shared", *sources, "-o", output.name]
    run(*words, cwd=folder, env=os.environ | ENVIRONMENT)
    require(output.is_file(), "the compiler wrote no library")
    return output
