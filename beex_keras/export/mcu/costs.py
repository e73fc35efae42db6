"""What a model takes of a board, from a table that ``benchmarks/mcu.py`` measured under emulation.

Instructions are a sum over kinds of work: how often each is done, times what one of it costs on the
board.
"""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.export.mcu.board import boards
from beex_keras.export.mcu.emulation import Sections
from beex_keras.models import BEExformerConfig

FILE = Path(__file__).with_name("costs.json")

WORK = ("start", "linear", "attention", "scores", "channels", "hidden")
"""Kinds of work that instructions are told from."""


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Bytes that a model takes of a board's two memories.

    Attributes:
        model: the .beex file, in flash.
        code: program and constants without the model, in flash.
        arena: working memory of the engine, in RAM.
        stack: set aside for the stack, in RAM.
        data: all other variables, in RAM; what they start as is part of `code`.
    """

    model: int
    code: int
    arena: int
    stack: int
    data: int

    @classmethod
    def of(cls, sections: Sections, model: int, arena: int) -> "Footprint":
        """Of a linked program with such a model."""
        data = sections.data + sections.bss - arena
        return cls(model, sections.flash - model, arena, sections.stack, data)

    @property
    def flash(self) -> int:
        return self.model + self.code

    @property
    def ram(self) -> int:
        return self.arena + self.stack + self.data

    def to_dict(self) -> dict[str, int]:
        return {**dataclasses.asdict(self), "flash": self.flash, "ram": self.ram}


@cache
def table() -> dict[str, Any]:
    """The measured table: versions, and by board code, data and instructions."""
    return json.loads(FILE.read_text("utf-8"))


def footprint(board: str, model: int, arena: int) -> Footprint:
    """What a model of so many bytes takes, by the table."""
    costs = table()["boards"][board]
    return Footprint(model, costs["code"], arena, boards()[board].stack, costs["data"])


def kind(config: BEExformerConfig, int8_weights: bool = False) -> str:
    """Names what is multiplied by what."""
    if int8_weights:
        return "int8"
    if config.weight_bits == 32:
        return "float32"
    return "fully binary" if config.activation_bits == 1 else "weights-only"


def work(config: BEExformerConfig, tokens: int) -> np.ndarray:
    """Counts of the kinds of work up to each exit, float64 (N, 6), for a text of so many tokens.

    Once: channels of the embedding. In each block: multiply-accumulates of the linear layers and of
    attention, scores, channels, and hidden units, of all tokens.
    """
    width, hidden = config.width, config.hidden_width
    start = tokens * width
    block = [
        tokens * 4 * width * (width + hidden),
        2 * tokens**2 * width,
        config.num_heads * tokens**2,
        tokens * width,
        tokens * hidden,
    ]
    return np.array(
        [[start, *(depth * n for n in block)] for depth in range(1, config.num_blocks + 1)], float
    )


def instructions(
    board: str, config: BEExformerConfig, tokens: int, int8_weights: bool = False
) -> list[int]:
    """Expected instructions from a text's tokens to each exit, by the table."""
    prices = table()["boards"][board]["instructions"][kind(config, int8_weights)]
    found = work(config, tokens) @ np.array([prices[name] for name in WORK])
    return [round(value) for value in found.tolist()]
