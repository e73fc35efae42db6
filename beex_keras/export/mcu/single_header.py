"""Joins the C engine into one header, for people who just want to drop it in.

    python beex_keras/export/mcu/single_header.py build/beex.h

One C file of a program defines BEEX_IMPLEMENTATION before it includes the header, all others just
include it. Link with -lm, which has the square root.

Names that belong to one source file get its name in front, and its macros end with it.
"""

import re
import sys
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]
SOURCES = next(f for f in (_PACKAGE / "tflite", _PACKAGE.parent / "tflite") if f.is_dir())
"""The C code: inside an installed package, or beside it in a checkout."""

INTERFACE = ("engine/beex.h", "kernels/kernels.h")
SHARED = ("kernels/exact.h", "kernels/simd.h", "engine/internal.h", "engine/unicode_tables.h")
# From the bottom up, without reference.c, which is for tests, and binding.c, which is for Python.
_KERNELS = ("portable", "avx2", "avx512", "neon", "cortexm", "mve", "wasm")
_ENGINE = (
    *("dispatch", "status", "crc32", "dictionary", "elementary", "arena", "model", "exits"),
    *("tokenizer", "engine", "selftest"),
)
PARTS = (*(f"kernels/{name}.c" for name in _KERNELS), *(f"engine/{name}.c" for name in _ENGINE))

# What exact.h asks of the compiler ends with the engine's code: what follows is the user's own. Clang has
# no push, so that DEFAULT takes the place of a pragma that stood in front of the header.
BEGIN_EXACT = """
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#endif

"""
END_EXACT = """
#if defined(__clang__)
#pragma STDC FP_CONTRACT DEFAULT
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
"""

INCLUDE = re.compile(r'^#include "(?:.*/)?(.+)"$', re.MULTILINE)
MACRO = re.compile(r"^#define (\w+)", re.MULTILINE)
ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\)\)?")
OWN_NAME = re.compile(
    r"^(?:static|INLINE)\b[^;{}=()]*?\b(\w+)(?=\(|\[)"  # functions and arrays
    r"|^typedef [^{};]*?\b(\w+)(?:\[.*\])?;|^\} (\w+);",  # types
    re.MULTILINE,
)


def expand(path: Path) -> str:
    """A source with what only it includes in place; the shared headers stand before it."""

    def included(match: re.Match[str]) -> str:
        name = match[1]
        if any(header.endswith(f"/{name}") for header in INTERFACE + SHARED):
            return ""
        return expand(path.with_name(name))

    return INCLUDE.sub(included, path.read_text("utf-8"))


def renamed(text: str, prefix: str) -> tuple[str, str]:
    """Lines that put a prefix in front of a text's own names, and those that end them and its macros."""
    found = OWN_NAME.finditer(ATTRIBUTE.sub("", text))
    names = {next(filter(None, match.groups())) for match in found}
    macros = set(MACRO.findall(text))
    names -= {"NAME", "TARGET", *macros}
    before = "".join(f"#define {own} {prefix}_{own}\n" for own in sorted(names))
    return before, "".join(f"#undef {own}\n" for own in sorted(names | macros))


def source(name: str) -> str:
    """A source whose own names and macros do not reach the next one."""
    text = expand(SOURCES / name)
    before, after = renamed(text, f"beex_{Path(name).stem}")
    return f"\n/* ==== {name} ==== */\n\n{before}\n{text}\n{after}"


def single_header() -> str:
    """The text of the header."""
    license_line = "/* BEExformer engine in one header, of BEEx-Keras. Licensed under Apache-2.0.\n"
    usage = (__doc__ or "").split("\n\n")[2].replace("\n", "\n * ")
    parts = [f"{license_line} *\n * {usage}\n */\n"]
    parts += [INCLUDE.sub("", (SOURCES / name).read_text("utf-8")) for name in INTERFACE]
    once = (
        "#if defined(BEEX_IMPLEMENTATION) && !defined(BEEX_IMPLEMENTED)\n#define BEEX_IMPLEMENTED\n"
    )
    parts += [f"\n{once}", BEGIN_EXACT]
    shared = "".join(INCLUDE.sub("", (SOURCES / name).read_text("utf-8")) for name in SHARED)
    before, after = renamed(shared, "beex")
    parts += [before, shared, *(source(name) for name in PARTS), after]
    parts += [END_EXACT, "\n#endif /* BEEX_IMPLEMENTED */\n"]
    return "".join(parts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python beex_keras/export/mcu/single_header.py OUTPUT.h")
    output = Path(sys.argv[1])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(single_header(), "utf-8")
