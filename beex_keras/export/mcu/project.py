"""A C project of a model for a microcontroller: one folder, built by its own Makefile."""

import os
from collections.abc import Mapping
from pathlib import Path

from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.export.mcu.board import FIRMWARE
from beex_keras.export.mcu.single_header import single_header
from beex_keras.files import atomic_path, read_bytes, write_atomically

_NAMES = "README.md Makefile memory.ld main.c engine.c board.h startup.c semihosting.c counter.c"
FILES = tuple(_NAMES.split())
"""What every project has; model.h, model.c, model.mk and beex.h are written for it."""

_BYTES_A_LINE = 24
_WRITTEN = "/* Written by beex convert. */\n"


def write_project(
    data: bytes,
    folder: str | os.PathLike[str],
    stacks: Mapping[str, int],
) -> None:
    """Writes the project of a ``.beex`` file's bytes.

    If the folder already has a project, model and engine are replaced. All other files, which users change
    for their board, stay as they are.

    Args:
        data: the file's bytes.
        folder: of the project.
        stacks: bytes of the stack, by board.

    Raises:
        BeexError: the folder cannot be written, or holds something else.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.mcu.write_project(data, "board", stacks={"netduinoplus2": 8192})
    """
    header, source = model_arrays(data, "model")
    ours = {name: (FIRMWARE / name).read_text("utf-8") for name in FILES}
    written = {
        "beex.h": single_header(),
        "model.h": header,
        "model.c": source,
        "model.mk": "# Written by beex convert: bytes of the stack, by board.\n"
        + "".join(f"STACK.{board} := {size}\n" for board, size in stacks.items()),
    }
    target = Path(folder)
    if target.is_dir():
        if any(target.iterdir()) and not (target / "model.mk").is_file():
            raise BeexError(f"{folder} holds something else; name a new folder for the project.")
        kept = {name: text for name, text in ours.items() if not (target / name).exists()}
        for name, text in {**kept, **written}.items():
            write_atomically(target / name, text)
        return
    with atomic_path(target) as temporary:
        temporary.mkdir()
        for name, text in {**ours, **written}.items():
            (temporary / name).write_text(text, "utf-8")


def write_arrays(data: bytes, path: str | os.PathLike[str]) -> None:
    """Writes a ``.beex`` file's bytes as an array of C to `path`, and the header that declares it beside.

    Raises:
        BeexError: the file name is not a valid C name, or the files cannot be written.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.mcu.write_arrays(data, "sst2.c")  # and sst2.h
    """
    source = Path(path)
    if not source.stem.isidentifier() or not source.stem.isascii() or source.suffix == ".h":
        raise BeexError(f"The file name {source.name} must be a C name, such as model.c.")
    texts = model_arrays(data, source.stem)
    header = source.with_suffix(".h")
    if header.exists() and not read_bytes(header, "header").startswith(_WRITTEN.encode()):
        raise BeexError(f"{header} is not ours, and would be replaced; choose another file name.")
    for target, text in zip((source.with_suffix(".h"), source), texts, strict=True):
        write_atomically(target, text)


def model_arrays(data: bytes, name: str) -> tuple[str, str]:
    """A ``.beex`` file as a constant array of C with such a name: its header and its source."""
    values = beex.read_header(data)
    written, upper = _WRITTEN, name.upper()
    number = f"#define {upper}_NUMBER /* it answers a number */\n" if values["task"] else ""
    header = (
        f"{written}#ifndef {upper}_H\n#define {upper}_H\n\n"
        f"#define {upper}_ARENA {values['arena_size']} /* bytes of working memory */\n"
        f"#define {upper}_LENGTH {values['length']} /* the most tokens it reads */\n"
        f"{number}\n"
        f"extern const unsigned char {name}_data[{len(data)}]; /* a .beex file */\n\n#endif\n"
    )
    starts = range(0, len(data), _BYTES_A_LINE)
    rows = ",\n".join(",".join(map(str, data[i : i + _BYTES_A_LINE])) for i in starts)
    source = (
        f'{written}#include "{name}.h"\n\n'
        f"__attribute__((aligned(8))) const unsigned char {name}_data[{len(data)}] = {{\n"
        f"{rows}\n}};\n"
    )
    return header, source
