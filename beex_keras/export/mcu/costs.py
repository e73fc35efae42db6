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

from beex_keras.export.mcu.emulation import Sections
from beex_keras.models import BEExformerConfig, topology

FILE = Path(__file__).with_name("costs.json")

WORK = ("start", "linear", "attention", "scores", "channels", "hidden")
"""Kinds of work that instructions are told from."""

_SHALLOW = 252
"""Sums over more inputs take more of the stack, on cores that look them up."""

_WORD = 64
"""Signs in a word."""

_INTERRUPT = 192
_STEP = 64


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
        """The footprint of a linked program with such a model."""
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
    """The measured table: versions, and by board code, data and, by kind of model, stack and prices."""
    return json.loads(FILE.read_text("utf-8"))


def kind_of(config: BEExformerConfig, int8_weights: bool) -> str:
    """Names what a model multiplies by what: "fully binary", "weights-only", "w1a8", "int8" or "float32"."""
    precision = config.precision.name
    if precision == "float":
        return "int8" if int8_weights else "float32"
    return {"fully-binary": "fully binary"}.get(precision, precision)


def stack(board: str, config: BEExformerConfig, kind: str) -> int:
    """Bytes to set aside for the stack, by the table."""
    deep = max(config.width, topology.inner_width(config)) > _SHALLOW
    return with_margin(table()["boards"][board]["kinds"][kind]["stack"][deep])


def with_margin(used: int) -> int:
    """A stack that is never deeper than so many bytes, and room for an interrupt."""
    return _STEP * -(-(used + _INTERRUPT) // _STEP)


def footprint(board: str, model: int, arena: int, config: BEExformerConfig, kind: str) -> Footprint:
    """What a model of so many bytes takes, by the table."""
    costs = table()["boards"][board]
    return Footprint(model, costs["code"], arena, stack(board, config, kind), costs["data"])


def work(config: BEExformerConfig, tokens: int) -> np.ndarray:
    """Counts of the kinds of work up to each exit, float64 (N, 6), for a text of so many tokens.

    Once: channels of the embedding. In each block: multiply-accumulates of the linear layers and of
    attention, scores, channels, and hidden units, of all tokens. Inputs and channels of which signs are
    taken count in whole words, since part of a word takes as long.
    """
    whole = _WORD if config.precision.name == "fully-binary" else 1
    shapes = [matrix.shape for matrix in topology.matrices(config)]
    linear = tokens * sum(whole * -(-inputs // whole) * outputs for inputs, outputs in shapes)
    attention, scores = 2 * tokens**2 * config.width, config.num_heads * tokens**2
    embedded, channels = tokens * config.width, tokens * whole * -(-config.width // whole)
    hidden = tokens * topology.inner_channels(config) / 2
    depths = np.arange(1, config.num_blocks + 1, dtype=float)[:, np.newaxis]
    blocks = depths * [linear, attention, scores, channels, hidden]
    return np.pad(blocks, ((0, 0), (1, 0)), constant_values=embedded)


def instructions(board: str, config: BEExformerConfig, kind: str, tokens: int) -> list[int]:
    """Expected instructions from a text's tokens to each exit, by the table."""
    prices = table()["boards"][board]["kinds"][kind]["instructions"]
    found = work(config, tokens) @ np.array([prices[name] for name in WORK])
    return [round(value) for value in found.tolist()]
