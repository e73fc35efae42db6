"""The flash and RAM that a model needs on a board.

Boards are rows of ``tflite/firmware/Makefile``. ``memory.json`` has the sizes of code, data and stack
that ``python benchmarks/mcu costs`` measured under emulation.
"""

import dataclasses
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.export.mcu.single_header import SOURCES
from beex_keras.models import PRESETS, BEExformerConfig, topology

FIRMWARE = SOURCES / "firmware"
TABLE = Path(__file__).with_name("memory.json")
DEFAULT = "netduinoplus2"

_ROW = re.compile(r"^([\w-]+)\s*:= (cortex-\S+)\s+(.*)$", re.MULTILINE)
_UNITS = {"K": 1024, "M": 1024**2}

_SHALLOW_INPUTS = 252
"""Binary layers with more inputs than this need more stack."""

_INTERRUPT_BYTES = 192
_STACK_STEP = 64
_SHORTEST_LENGTH = 16
_LENGTH_STEP = 8


@dataclasses.dataclass(frozen=True)
class Board:
    """A board: QEMU's name for it, its core, such as "cortex-m4", and the bytes of flash and RAM."""

    name: str
    core: str
    flash: int
    ram: int


@cache
def boards() -> dict[str, Board]:
    """Returns all boards by name."""
    found = {}
    for name, core, row in _ROW.findall((FIRMWARE / "Makefile").read_text("utf-8")):
        _, _, _, *sizes, _ = row.split()
        flash, ram = (int(size[:-1]) * _UNITS[size[-1]] for size in sizes[::2])
        found[name] = Board(name, core, flash, ram)
    return found


@dataclasses.dataclass(frozen=True)
class Footprint:
    """The bytes that a program with a model needs of a board's flash and RAM.

    Attributes:
        board: the board, with the memory that is available.
        model: the .beex file, in flash.
        code: program and constants without the model, in flash.
        arena: working memory of the engine, in RAM.
        stack: bytes reserved for the stack, in RAM.
        data: all other variables, in RAM; `code` has their initial values.
    """

    board: Board
    model: int
    code: int
    arena: int
    stack: int
    data: int

    @property
    def flash(self) -> int:
        return self.model + self.code

    @property
    def ram(self) -> int:
        return self.arena + self.stack + self.data

    @property
    def fits(self) -> bool:
        return self.flash <= self.board.flash and self.ram <= self.board.ram

    def to_dict(self) -> dict[str, int]:
        names = ("model", "code", "arena", "stack", "data", "flash", "ram")
        return {name: getattr(self, name) for name in names}


class DoesNotFit(BeexError):
    """A model needs more memory than its board has; `footprint` has the sizes."""

    def __init__(self, footprint: Footprint, alternatives: list[str]) -> None:
        board, missing = footprint.board, []
        for name, needed, there in (
            ("RAM", footprint.ram, board.ram),
            ("flash", footprint.flash, board.flash),
        ):
            if needed > there:
                missing.append(f"{needed:,} bytes of {name}, of which there are {there:,}")
        advice = "; ".join(alternatives)
        advice = f"would fit: {advice}" if advice else "give it a board with more"
        super().__init__(f"The model takes {' and '.join(missing)} on {board.name}; {advice}.")
        self.footprint = footprint


def footprint(data: bytes, board: Board) -> Footprint:
    """Returns the memory that a ``.beex`` file needs on a board, by the table."""
    row = _table()[board.name]
    arena, stack = beex.read_header(data)["arena_size"], stack_size(data, board.name)
    return Footprint(board, len(data), row["code"], arena, stack, row["data"])


def stack_size(data: bytes, board: str) -> int:
    """Returns the bytes to reserve for the stack, by the table."""
    header, config = beex.read_header(data), beex.read(data).config
    is_deep = max(config.width, topology.inner_width(config)) > _SHALLOW_INPUTS
    kind = f"w{header['weight_bits']}a{header['activation_bits']}"
    return with_margin(_table()[board]["stack"][kind][is_deep])


def with_margin(used: int) -> int:
    """Rounds up the bytes of a used stack, with room for an interrupt."""
    return _STACK_STEP * -(-(used + _INTERRUPT_BYTES) // _STACK_STEP)


@cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE.read_text("utf-8"))["boards"]


def alternatives(
    needed: Footprint, config: BEExformerConfig, length: int, is_int8: bool
) -> list[str]:
    """Returns options with which a model fits: --length, --weights int8, or a preset to train."""
    rest = needed.model - beex.weights_size(config, length, is_int8)

    def fits(other: BEExformerConfig, tokens: int, int8: bool = False) -> bool:
        model = beex.weights_size(other, tokens, int8) + rest
        arena = beex.arena_size(other, tokens, int8)
        return dataclasses.replace(needed, model=model, arena=arena).fits

    longest = _LENGTH_STEP * ((length - 1) // _LENGTH_STEP)
    shorter = range(longest, _SHORTEST_LENGTH - 1, -_LENGTH_STEP)
    advice = [f"--length {tokens}" for tokens in shorter if fits(config, tokens, is_int8)][:1]
    if not config.precision.is_binary and not is_int8 and fits(config, length, int8=True):
        advice.append("--weights int8")
    for bits in ("fully-binary", "weights-only"):
        possible = []
        for preset, values in PRESETS.items():
            tokens = values.get("max_length", BEExformerConfig.max_length)
            values = {**values, "vocabulary_size": config.vocabulary_size, "max_length": tokens}
            if fits(config.replace(**values).with_bits(bits), tokens):
                possible.append(f"preset {preset} with --bits {bits}")
        advice += possible[-1:]
    return advice
