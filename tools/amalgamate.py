"""Joins the C engine into one header.

    python tools/amalgamate.py build/beex.h

In one C file of a program define BEEX_IMPLEMENTATION before including it, elsewhere just include it.
Build with -ffp-contract=off: the engine's results are defined to the last bit.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1] / "tflite"
HEADERS = ("kernels/kernels.h", "engine/beex.h")
# reference.c is for tests, binding.c for Python.
SOURCES = (
    "kernels/portable.c",
    "kernels/avx2.c",
    "kernels/avx512.c",
    "kernels/neon.c",
    "kernels/dispatch.c",
    "engine/crc32.c",
    "engine/dictionary.c",
    "engine/exits.c",
    "engine/model.c",
    "engine/tokenizer.c",
    "engine/engine.c",
)
INCLUDE = re.compile(r'^#include "(.+)"$', re.MULTILINE)
DEFINE = re.compile(r"^#define (\w+)", re.MULTILINE)
STATIC = re.compile(r"^(?:static|INLINE|typedef struct|enum|\})[^;{}=]*?\b(\w+)(?= ?[(\[;])", re.MULTILINE)


def expand(path: Path, seen: set[Path]) -> str:
    """A file with our own includes in their places; what guards itself only once."""

    def included(match: re.Match[str]) -> str:
        target = (path.parent / match[1]).resolve()
        if target in seen:
            return ""
        if target.suffix == ".h":
            seen.add(target)
        return expand(target, seen)

    return INCLUDE.sub(included, path.read_text("utf-8"))
