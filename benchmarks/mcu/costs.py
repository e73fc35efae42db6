"""The instructions that a model takes on a board, by a table of costs that is measured under emulation.

The number of instructions is a sum over kinds of work: the amount of each, times its cost on the board.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from beex_keras.export import beex as beex_format
from beex_keras.export.mcu import boards
from beex_keras.models import BEExformerConfig, topology
from mcu import emulation
from mcu.models import KINDS, make_model, project_of, text_of, versions

TABLE = Path(__file__).with_name("costs.json")

WORK = ("start", "linear", "attention", "scores", "channels", "hidden")
"""The kinds of work."""

SHAPES = (
    {"width": 32, "hidden_width": 64, "num_heads": 1, "num_blocks": 2},
    {"width": 96, "hidden_width": 96, "num_heads": 3, "num_blocks": 1},
    {"width": 64, "hidden_width": 128, "num_heads": 2, "num_blocks": 1},
    {"width": 64, "hidden_width": 256, "num_heads": 4, "num_blocks": 1},
)
"""Small enough for every board as float32, with full words of signs and others; the last shape has sums of
more inputs than the others."""

LENGTHS = (8, 16, 32, 64)

_WORD = 64
"""Signs in a word."""


@cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE.read_text("utf-8"))["boards"]


def work(config: BEExformerConfig, tokens: int) -> np.ndarray:
    """Returns the amounts of work up to each exit for a text of so many tokens: float64 (N, 6).

    The embedding's channels count once. Each block adds multiply-accumulates of linear layers and of
    attention, scores, channels and hidden units, of all tokens. In a fully binary model, inputs and
    channels count in whole words, since a part of a word takes as long.
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
    """Returns the expected instructions from a text's tokens to each exit; `kind` is one of `KINDS`."""
    costs = _table()[board][kind]["instructions"]
    found = work(config, tokens) @ np.array([costs[name] for name in WORK])
    return [round(value) for value in found.tolist()]


def measure(quiet: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measures the table of memory, and the costs whose largest relative errors are smallest."""
    from beex_keras.text import SPECIAL_TOKENS

    vocabulary = [*SPECIAL_TOKENS, "a", "."]
    wanted = [(board, kind) for board in boards() for kind in KINDS]
    memory: dict[str, Any] = {board: {"stack": {}} for board in boards()}
    costs: dict[str, Any] = {board: {} for board in boards()}
    for board, kind in wanted if quiet else track(wanted, "Costs"):
        bits, int8 = KINDS[kind]
        rows, counts, stacks = [], [], []
        for shape in SHAPES:
            config = BEExformerConfig(
                vocabulary_size=len(vocabulary), max_length=max(LENGTHS), **shape, **bits
            )
            data = beex_format.convert(make_model(config, vocabulary), int8_weights=int8)
            header = beex_format.read_header(data)
            with project_of(data) as folder:
                measured, used = emulation.measure(
                    folder, board, folder / "build", [text_of(tokens) for tokens in LENGTHS]
                )
                if kind == next(iter(KINDS)):
                    sections = emulation.build(folder, board, folder / "build")
                    needed = sections.footprint(board, len(data), header["arena_size"])
                    memory[board] |= {"code": needed.code, "data": needed.data}
            stacks.append(used.stack)
            for tokens, text in zip(LENGTHS, measured, strict=True):
                rows.extend(work(config, tokens))
                counts.extend(text.exits)
        name = f"w{header['weight_bits']}a{header['activation_bits']}"
        memory[board]["stack"][name] = [max(stacks[:-1]), stacks[-1]]
        costs[board][kind] = _fit(np.array(rows), np.array(counts, float))
    return (
        {"versions": versions(), "boards": memory},
        {"versions": versions(), "boards": costs},
    )


def _fit(work: np.ndarray, spent: np.ndarray) -> dict[str, Any]:
    """Fits costs that are not negative to instructions, by the squares of relative errors."""
    from scipy.optimize import nnls

    scale = work.max(axis=0)
    costs = nnls(work / scale / spent[:, None], np.ones(len(spent)))[0] / scale
    error = np.abs(work @ costs / spent - 1).max()
    rounded = {name: float(f"{cost:.4g}") for name, cost in zip(WORK, costs.tolist(), strict=True)}
    return {"instructions": rounded, "largest_error": round(float(error), 3)}
