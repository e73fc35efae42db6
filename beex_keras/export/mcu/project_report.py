"""From a classifier to a C project, with what it will take of its board."""

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.export.mcu import costs, emulation, project, requirements
from beex_keras.export.mcu.board import DEFAULT, Board, boards
from beex_keras.export.mcu.costs import Footprint
from beex_keras.export.mcu.emulation import Sections

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier

_MOST = 3_000_000_000
"""Instructions that are emulated without being asked for: some 20 seconds."""

_MEASURING = 4096
"""Bytes that a program may take more when it measures itself."""

_DEEPEST = "20K"
_ROOMY = {"RAM": "64M", "FLASH": "64M", "STACK": _DEEPEST}
"""Built as if there were room, so that figures come out either way."""

EMULATED, BY_TABLE = "by emulation", "by the table of costs"


@dataclasses.dataclass(frozen=True)
class ProjectReport:
    """The memory and the instructions that a project needs on its board.

    Attributes:
        folder: of the project.
        board: its name.
        footprint: bytes that the project needs of both memories.
        stack_used: bytes of the stack that were used under emulation, or None.
        flash, ram: bytes of both memories that the board has.
        tokens: number of tokens of the text for which instructions are given, the most that the model
            reads.
        instructions: expected number of instructions up to each exit.
        source: source of the instructions, `EMULATED` or `BY_TABLE`.
    """

    folder: str
    board: str
    footprint: Footprint
    stack_used: int | None
    flash: int
    ram: int
    tokens: int
    instructions: list[int]
    source: str

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "footprint": self.footprint.to_dict()}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        memory = requirements.rows(self.footprint, self.ram, self.flash)
        instructions = [
            {"exit": n, "instructions": count, "of full depth": count / self.instructions[-1]}
            for n, count in enumerate(self.instructions, start=1)
        ]
        return {
            f"{self.folder}, bytes on {self.board}": memory,
            f"Instructions for a text of {self.tokens} tokens, {self.source}": instructions,
        }


def export_project(
    model: "BEExformerClassifier | bytes",
    folder: str | os.PathLike[str],
    board: str = DEFAULT,
    ram: int | None = None,
    flash: int | None = None,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> ProjectReport:
    """Writes a model as a C project for microcontrollers; see `write_project`.

    Args:
        model, length, calibration, int8_weights: the same as in `beex.convert`; the model needs a
            vocabulary.
        folder: of the project.
        board: a name in `boards()`, for which figures are given; the project can be built for all boards.
        ram, flash: available bytes; those of the board if None.

    Raises:
        DoesNotFit: the project needs more memory than there is; the error says what would fit.
        BeexError: there is no such board or no vocabulary, or as `beex.convert` and `write_project`.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> report = beex.export.mcu.export_project(data, "firmware", board="netduinoplus2")
        >>> report.ram
        131072
    """
    if board not in boards():
        raise BeexError(f"There is no board '{board}'; choose one of {', '.join(boards())}.")
    data = beex.convert(model, length, calibration, int8_weights)
    values, config = beex.read_header(data), beex.read(data).config
    if not values["has_vocabulary"]:
        raise BeexError(
            "A board reads text, but this model has no vocabulary; attach a TextPreprocessor to it."
        )
    int8_weights = values["weight_bits"] == 8
    kind = costs.kind_of(config, int8_weights)
    row, length, arena = boards()[board], values["length"], values["arena_size"]
    ram, flash = ram or row.ram, flash or row.flash
    stacks = {name: costs.stack(name, config, kind) for name in boards()}
    footprint = costs.footprint(board, len(data), arena, config, kind)
    instructions, source = costs.instructions(board, config, kind, length), BY_TABLE
    stack_used = None
    if emulation.is_available():
        with tempfile.TemporaryDirectory() as temporary:
            trial, build = Path(temporary) / "project", Path(temporary) / "build"
            project.write_project(data, trial, stacks)
            sections = emulation.build(trial, board, build, **_ROOMY)
            if _is_quick(sections, row, sum(instructions)):
                text = _longest_text(length, config.num_segments > 1)
                (found,), memory = emulation.measure(trial, board, build, [text], STACK=_DEEPEST)
                instructions, source, stack_used = list(found.exits), EMULATED, memory.stack
                stacks[board] = costs.with_margin(stack_used)
        sections = dataclasses.replace(sections, stack=stacks[board])
        footprint = Footprint.of(sections, len(data), arena)
    requirements.check(board, footprint, ram, flash, config, length, int8_weights)
    project.write_project(data, folder, stacks)
    return ProjectReport(
        os.fspath(folder), board, footprint, stack_used, flash, ram, length, instructions, source
    )


def _longest_text(tokens: int, is_pair: bool) -> str:
    """A text of so many tokens, special ones included, or a pair whose second text is empty."""
    words = " ".join("." * (tokens - 3 if is_pair else tokens - 2))  # a token each
    return f"{words}\t" if is_pair else words


def _is_quick(sections: Sections, board: Board, instructions: int) -> bool:
    """Whether the emulated board can hold the program that measures itself, and soon ends."""
    return (
        sections.ram + _MEASURING <= board.ram
        and sections.flash + _MEASURING <= board.flash
        and instructions <= _MOST
    )
