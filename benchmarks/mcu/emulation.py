"""Builds the firmware of a project and runs it under QEMU, if the tools are installed."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from beex_keras.errors import BeexError
from beex_keras.export.mcu import Footprint, boards

Folder: TypeAlias = str | os.PathLike[str]

TOOLS = ("make", "arm-none-eabi-gcc", "qemu-system-arm")
_SECONDS = 600


def is_available() -> bool:
    """Whether compiler and emulator are installed."""
    return all(map(shutil.which, TOOLS))


@dataclasses.dataclass(frozen=True)
class Sections:
    """The bytes of a linked program: in flash, and in the three parts of RAM."""

    flash: int
    stack: int
    data: int
    bss: int

    @property
    def ram(self) -> int:
        return self.stack + self.data + self.bss

    def footprint(self, board: str, model: int, arena: int) -> Footprint:
        """Returns the footprint of a program with a model of `model` bytes and such an arena."""
        return Footprint(
            boards()[board],
            model=model,
            code=self.flash - model,
            arena=arena,
            stack=self.stack,
            data=self.data + self.bss - arena,
        )


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The answer to a text, and the instructions that it took.

    `tokenizer` counts instructions from text to tokens, `exits` those from tokens to each exit.
    """

    label: str
    score: float
    exit: int
    tokens: int
    tokenizer: int
    exits: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Memory:
    """The bytes of stack and arena that a program used."""

    stack: int
    arena: int


def build(folder: Folder, board: str, output: Folder, **variables: str) -> Sections:
    """Builds the project in `folder` for a board into the folder `output`.

    `variables` are those of the Makefile, such as RAM="64K" or STACK="4K".

    Raises:
        BeexError: it does not compile, or does not fit into the board's memory.
    """
    _make("all", folder, board, output, variables)
    table = _run(["arm-none-eabi-size", "-A", str(Path(output) / "firmware.elf")])
    rows = [line.split() for line in table.decode().splitlines() if line.startswith(".")]
    sizes = {name: int(size) for name, size, *_ in rows}
    flash = sizes[".text"] + sizes.get(".ARM.exidx", 0) + sizes[".data"]
    return Sections(flash, sizes[".stack"], sizes[".data"], sizes[".bss"])


def emulate(
    folder: Folder, board: str, output: Folder, text: Sequence[bytes] | bytes, **variables: str
) -> list[str]:
    """Builds as `build`, and returns the lines that the program prints.

    Args:
        text: the program's input: lines without their ends, or all bytes.

    Raises:
        BeexError: as `build`, or the program faults; the error has its last line.
    """
    if not isinstance(text, bytes):
        text = b"".join(line + b"\n" for line in text)
    return _make("emulate", folder, board, output, variables, text).decode("utf-8").splitlines()


def measure(
    folder: Folder, board: str, output: Folder, texts: Sequence[str], **variables: str
) -> tuple[list[Measurement], Memory]:
    """Returns the instructions of texts and the memory that the program used; raises as `emulate`."""
    lines = [text.encode() for text in texts]
    *answers, memory = emulate(folder, board, output, lines, MEASURE="1", **variables)
    found = []
    for answer in answers:
        label, score, *numbers = answer.split("\t")
        exit, tokens, tokenizer, *exits = map(int, numbers)
        found.append(Measurement(label, float(score), exit, tokens, tokenizer, tuple(exits)))
    return found, Memory(*map(int, memory.split("\t")[1:]))


def _make(
    target: str,
    folder: Folder,
    board: str,
    output: Folder,
    variables: dict[str, str],
    text: bytes = b"",
) -> bytes:
    options = {"BOARD": board, "BUILD": os.path.abspath(output), **variables}
    assignments = [f"{name}={value}" for name, value in options.items()]
    return _run(["make", "--silent", "-j2", "-C", os.fspath(folder), target, *assignments], text)


def _run(command: list[str], text: bytes = b"") -> bytes:
    # A make that runs this program leaves variables for its own children.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "MAKE"}
    quoted = f"'{' '.join(command)}'"
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, timeout=_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired:
        advice = "give it fewer texts"
        raise BeexError(f"{quoted} took more than {_SECONDS} seconds; {advice}.") from None
    if done.returncode:
        # The program's last words, or else the compiler's first.
        words = done.stdout.splitlines()[-1:] or done.stderr.splitlines()[:3]
        raise BeexError(f"{quoted} failed: {b' '.join(words).decode('utf-8', 'replace')}.")
    return done.stdout
