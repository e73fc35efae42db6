"""Writes a C project for microcontrollers: the model, the engine, a program and its Makefile."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.export.mcu import memory
from beex_keras.export.mcu.memory import DEFAULT, FIRMWARE, DoesNotFit, Footprint, boards
from beex_keras.export.mcu.single_header import single_header
from beex_keras.files import atomic_path, read_bytes, write_atomically

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier

_NAMES = "README.md Makefile memory.ld main.c engine.c board.h startup.c semihosting.c counter.c"
FILES = tuple(_NAMES.split())
"""The files of ``tflite/firmware`` in every project, beside model.h, model.c, model.mk and beex.h."""

_BYTES_PER_LINE = 24
_WRITTEN = "/* Written by beex convert. */\n"


def export_project(
    model: "BEExformerClassifier | bytes",
    folder: str | os.PathLike[str],
    board: str = DEFAULT,
    ram: int | None = None,
    flash: int | None = None,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> Footprint:
    """Writes a model as a C project, if it fits the board's memory; see `write_project`.

    Args:
        model, length, calibration, int8_weights: as for `beex.convert`; the model needs a vocabulary.
        folder: the folder of the project.
        board: a name in `boards()`, whose memory limits the model; the project builds for all boards.
        ram, flash: available bytes; those of the board if None.

    Returns:
        The memory that the project needs on the board, by a table of measured sizes.

    Raises:
        DoesNotFit: the project needs more memory than there is; the error names alternatives.
        BeexError: there is no such board or no vocabulary, or as `beex.convert` and `write_project`.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> needed = beex.export.mcu.export_project(data, "firmware", board="netduinoplus2")
        >>> needed.ram < needed.board.ram
        True
    """
    if board not in boards():
        raise BeexError(f"There is no board '{board}'; choose one of {', '.join(boards())}.")
    row = boards()[board]
    data = beex.convert(model, length, calibration, int8_weights)
    about, header = beex.read(data), beex.read_header(data)
    if not header["has_vocabulary"]:
        raise BeexError(
            "A board reads text, but this model has no vocabulary; attach a TextPreprocessor to it."
        )
    row = dataclasses.replace(row, ram=ram or row.ram, flash=flash or row.flash)
    needed = memory.footprint(data, row)
    if not needed.fits:
        is_int8 = header["weight_bits"] == 8
        others = memory.alternatives(needed, about.config, about.length, is_int8)
        raise DoesNotFit(needed, others)
    write_project(data, folder, {name: memory.stack_size(data, name) for name in boards()})
    return needed


def write_project(data: bytes, folder: str | os.PathLike[str], stacks: Mapping[str, int]) -> None:
    """Writes the project of a ``.beex`` file's bytes, with the bytes of the stack by board.

    In the folder of a project, model and engine are replaced. All other files, which users change for
    their board, stay as they are.

    Raises:
        BeexError: the folder cannot be written, or holds something else.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.mcu.write_project(data, "board", stacks={"netduinoplus2": 8192})
    """
    header, source = model_arrays(data, "model")
    copied = {name: (FIRMWARE / name).read_text("utf-8") for name in FILES}
    sizes = "".join(f"STACK.{board} := {size}\n" for board, size in stacks.items())
    generated = {
        "beex.h": single_header(),
        "model.h": header,
        "model.c": source,
        "model.mk": f"# Written by beex convert: bytes of the stack, by board.\n{sizes}",
    }
    target = Path(folder)
    if target.is_dir():
        if any(target.iterdir()) and not (target / "model.mk").is_file():
            raise BeexError(f"{folder} holds something else; name a new folder for the project.")
        missing = {name: text for name, text in copied.items() if not (target / name).exists()}
        for name, text in {**missing, **generated}.items():
            write_atomically(target / name, text)
        return
    with atomic_path(target) as temporary:
        temporary.mkdir()
        for name, text in {**copied, **generated}.items():
            (temporary / name).write_text(text, "utf-8")


def write_arrays(data: bytes, path: str | os.PathLike[str]) -> None:
    """Writes a ``.beex`` file as a C array to `path`, and its declaration to a header beside it.

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
    for target, text in zip((header, source), texts, strict=True):
        write_atomically(target, text)


def model_arrays(data: bytes, name: str) -> tuple[str, str]:
    """Returns the C header and the C source of a constant array with the bytes of a ``.beex`` file."""
    values = beex.read_header(data)
    upper = name.upper()
    number = f"#define {upper}_NUMBER /* it answers a number */\n" if values["task"] else ""
    header = (
        f"{_WRITTEN}#ifndef {upper}_H\n#define {upper}_H\n\n"
        f"#define {upper}_ARENA {values['arena_size']} /* bytes of working memory */\n"
        f"#define {upper}_LENGTH {values['length']} /* the most tokens it reads */\n"
        f"{number}\n"
        f"extern const unsigned char {name}_data[{len(data)}]; /* a .beex file */\n\n#endif\n"
    )
    starts = range(0, len(data), _BYTES_PER_LINE)
    rows = ",\n".join(",".join(map(str, data[i : i + _BYTES_PER_LINE])) for i in starts)
    source = (
        f'{_WRITTEN}#include "{name}.h"\n\n'
        f"__attribute__((aligned(8))) const unsigned char {name}_data[{len(data)}] = {{\n"
        f"{rows}\n}};\n"
    )
    return header, source
