"""Builds a project's firmware and runs it under QEMU, where the tools are installed."""

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from beex_keras.errors import BeexError

TOOLS = ("make", "arm-none-eabi-gcc", "qemu-system-arm")
_SECONDS = 600


def is_available() -> bool:
    """Whether the compiler and the emulator are here."""
    return all(map(shutil.which, TOOLS))


@dataclasses.dataclass(frozen=True)
class Sections:
    """Bytes of a linked program: what it takes of flash, and its three parts of RAM."""

    flash: int
    stack: int
    data: int
    bss: int

    @property
    def ram(self) -> int:
        return self.stack + self.data + self.bss


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What a program built with MEASURE says of one text.

    Attributes:
        label, score, exit: the answer.
        tokens: of the text.
        tokenizer: instructions from text to tokens.
        exits: instructions from tokens to each exit.
    """

    label: str
    score: float
    exit: int
    tokens: int
    tokenizer: int
    exits: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Memory:
    """How much of its stack and of its arena a program touched, in bytes."""

    stack: int
    arena: int


def build(
    folder: str | os.PathLike[str], board: str, output: str | os.PathLike[str], **variables: str
) -> Sections:
    """Builds the project in `folder` for a board into the folder `output`.

    Args:
        folder: what `write_project` wrote.
        board: its name.
        output: for object files and the program.
        variables: of the Makefile, such as RAM="64K" or STACK="4K".

    Raises:
        BeexError: it does not compile, or does not fit into the board's memory.
    """
    _make(folder, board, output, variables)
    program = Path(output) / "firmware.elf"
    lines = _run(["arm-none-eabi-size", "-A", str(program)]).decode().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(".")}
    flash = sizes[".text"] + sizes.get(".ARM.exidx", 0) + sizes[".data"]
    return Sections(flash, sizes[".stack"], sizes[".data"], sizes[".bss"])


def emulate(
    folder: str | os.PathLike[str],
    board: str,
    output: str | os.PathLike[str],
    lines: Sequence[bytes],
    **variables: str,
) -> list[str]:
    """Builds as `build`, and returns the lines that the program answers to some lines of text.

    Raises:
        BeexError: as `build`, or the program faults; the error tells its last words.
    """
    text = b"".join(line + b"\n" for line in lines)
    return _make(folder, board, output, variables, "emulate", text).decode("utf-8").splitlines()


def measure(
    folder: str | os.PathLike[str],
    board: str,
    output: str | os.PathLike[str],
    texts: Sequence[str],
    **variables: str,
) -> tuple[list[Measurement], Memory]:
    """Instructions of some texts, and the memory that the program touched.

    Raises:
        BeexError: as `emulate`.
    """
    lines = [text.encode() for text in texts]
    *answers, memory = emulate(folder, board, output, lines, MEASURE="1", **variables)
    found = []
    for answer in answers:
        label, score, exit, tokens, tokenizer, *exits = answer.split("\t")
        found.append(
            Measurement(
                label, float(score), int(exit), int(tokens), int(tokenizer), tuple(map(int, exits))
            )
        )
    _, stack, arena = memory.split("\t")
    return found, Memory(int(stack), int(arena))


def _make(
    folder: str | os.PathLike[str],
    board: str,
    output: str | os.PathLike[str],
    variables: dict[str, str],
    target: str = "all",
    text: bytes = b"",
) -> bytes:
    options = {"BOARD": board, "BUILD": os.path.abspath(output), **variables}
    assignments = [f"{name}={value}" for name, value in options.items()]
    return _run(["make", "--silent", "-j2", "-C", os.fspath(folder), target, *assignments], text)


def _run(command: list[str], text: bytes = b"") -> bytes:
    # Not what a make that runs us has to say to its children.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "MAKE"}
    try:
        return subprocess.run(
            command, input=text, capture_output=True, check=True, timeout=_SECONDS, env=environment
        ).stdout
    except subprocess.CalledProcessError as error:
        # The program's last words, or else the compiler's first.
        words = error.stdout.splitlines()[-1:] or error.stderr.splitlines()[:3]
        reason = " ".join(word.decode("utf-8", "replace") for word in words)
        raise BeexError(f"'{' '.join(command)}' failed: {reason}.") from None
    except subprocess.TimeoutExpired:
        raise BeexError(
            f"'{' '.join(command)}' took more than {_SECONDS} seconds; give it fewer texts."
        ) from None
