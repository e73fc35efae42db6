"""Joins the C engine into one header, for people who just want to drop it in.

    python beex_keras/export/mcu/single_header.py build/beex.h

One C file of a program defines BEEX_IMPLEMENTATION before it includes the header, all others just
include it. Link with -lm, which has the square root.

Static names of a source get the name of the source as a prefix, and its macros end with it.
"""

import re
import sys
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]
SOURCES = next(f for f in (_PACKAGE / "tflite", _PACKAGE.parent / "tflite") if f.is_dir())
"""The C code: inside an installed package, or beside it in a checkout."""

INTERFACE = ("engine/beex.h", "kernels/kernels.h")
SHARED = ("kernels/exact.h", "kernels/simd.h", "engine/internal.h", "engine/unicode_tables.h")
PARTS = tuple(re.findall(r"\S+\.c\b", (SOURCES / "sources.cmake").read_text("utf-8")))

# The options that exact.h sets end with the engine: the code after it is the user's. Clang cannot push
# options, so DEFAULT undoes the pragma, whatever stood before the header.
_BEGIN = """
#if defined(BEEX_IMPLEMENTATION) && !defined(BEEX_IMPLEMENTED)
#define BEEX_IMPLEMENTED

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#endif

"""
_END = """
#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif

#endif /* BEEX_IMPLEMENTED */
"""

_INCLUDE = re.compile(r'^#include "(?:.*/)?(.+)"$', re.MULTILINE)
_MACRO = re.compile(r"^#define (\w+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\)\)?")
_STATIC_NAME = re.compile(
    r"^(?:static|INLINE)\b[^;{}=()]*?\b(\w+)(?=\(|\[)"  # functions and arrays
    r"|^typedef [^{};]*?\b(\w+)(?:\[.*\])?;|^\} (\w+);",  # types
    re.MULTILINE,
)


def single_header() -> str:
    """Returns the text of the header."""
    license_line = "/* BEExformer engine in one header, of BEEx-Keras. Licensed under Apache-2.0.\n"
    usage = (__doc__ or "").split("\n\n")[2].replace("\n", "\n * ")
    interface = "".join(_without_includes(name) for name in INTERFACE)
    shared = "".join(_without_includes(name) for name in SHARED)
    before, after = _prefix(shared, "beex")
    sources = "".join(_source(name) for name in PARTS)
    opening = f"{license_line} *\n * {usage}\n */\n{interface}{_BEGIN}"
    return f"{opening}{before}{shared}{sources}{after}{_END}"


def _without_includes(name: str) -> str:
    return _INCLUDE.sub("", (SOURCES / name).read_text("utf-8"))


def _source(name: str) -> str:
    """Returns a source whose static names and macros do not reach the next one."""
    text = _expand(SOURCES / name)
    before, after = _prefix(text, f"beex_{Path(name).stem}")
    return f"\n/* ==== {name} ==== */\n\n{before}\n{text}\n{after}"


def _expand(path: Path) -> str:
    """Returns a source with its own includes in place; the shared headers come before all sources."""

    def included(match: re.Match[str]) -> str:
        is_shared = any(header.endswith(f"/{match[1]}") for header in INTERFACE + SHARED)
        return "" if is_shared else _expand(path.with_name(match[1]))

    return _INCLUDE.sub(included, path.read_text("utf-8"))


def _prefix(text: str, prefix: str) -> tuple[str, str]:
    """Returns lines that prefix the static names of a text, and lines that end them and its macros."""
    found = _STATIC_NAME.finditer(_ATTRIBUTE.sub("", text))
    macros = set(_MACRO.findall(text))
    names = {next(filter(None, match.groups())) for match in found} - {"NAME", "TARGET", *macros}
    before = "".join(f"#define {own} {prefix}_{own}\n" for own in sorted(names))
    return before, "".join(f"#undef {own}\n" for own in sorted(names | macros))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python beex_keras/export/mcu/single_header.py OUTPUT.h")
    output = Path(sys.argv[1])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(single_header(), "utf-8")
