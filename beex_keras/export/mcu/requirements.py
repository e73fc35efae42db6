"""Whether a model fits a board, and what would."""

from typing import Any

from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.export.mcu.costs import Footprint
from beex_keras.models import PRESETS, BEExformerConfig

_SHORTEST = 16
_STEP = 8


class DoesNotFit(BeexError):
    """The model and its board do not go together; `rows` is the account as a table."""

    def __init__(self, sentence: str, rows: list[dict[str, Any]]) -> None:
        super().__init__(sentence)
        self.rows = rows


def check(
    board: str,
    found: Footprint,
    ram: int,
    flash: int,
    config: BEExformerConfig,
    length: int,
    int8: bool,
) -> None:
    """Raises `DoesNotFit`, with what would fit, if a board has less than a model takes."""
    short = [
        f"{needed:,} bytes of {name}, of which there are {given:,}"
        for name, needed, given in (("RAM", found.ram, ram), ("flash", found.flash, flash))
        if needed > given
    ]
    if short:
        others = alternatives(found, ram, flash, config, length, int8)
        advice = f"would fit: {'; '.join(others)}" if others else "give it a board with more"
        sentence = f"The model takes {' and '.join(short)} on {board}; {advice}."
        raise DoesNotFit(sentence, rows(found, ram, flash))


def rows(found: Footprint, ram: int, flash: int) -> list[dict[str, Any]]:
    """The account of both memories, a part a row."""
    return [
        {"part": "model", "flash": found.model},
        {"part": "code", "flash": found.code},
        {"part": "arena", "RAM": found.arena},
        {"part": "stack", "RAM": found.stack},
        {"part": "other data", "RAM": found.data},
        {"part": "together", "flash": found.flash, "RAM": found.ram},
        {"part": "there is", "flash": flash, "RAM": ram},
    ]


def alternatives(
    found: Footprint,
    ram: int,
    flash: int,
    config: BEExformerConfig,
    length: int,
    int8: bool = False,
) -> list[str]:
    """What would fit, in the words of the command line: a shorter --length; presets to train."""
    # Vocabulary, labels and the like, which stay as they are.
    rest = found.model - beex.weights_size(config, length, int8)

    def fits(other: BEExformerConfig, tokens: int, int8: bool = False) -> bool:
        model = beex.weights_size(other, tokens, int8) + rest
        arena = beex.arena_size(other, tokens, int8)
        return found.ram - found.arena + arena <= ram and found.flash - found.model + model <= flash

    shorter = range(_STEP * ((length - 1) // _STEP), _SHORTEST - 1, -_STEP)
    advice = [f"--length {tokens}" for tokens in shorter if fits(config, tokens, int8)][:1]
    if not config.precision.is_binary and not int8 and fits(config, length, True):
        advice.append("--weights int8")
    default = {"max_length": BEExformerConfig.max_length}
    for kind in ("fully-binary", "weights-only"):
        possible = []
        for preset, values in PRESETS.items():
            values = {**default, **values, "vocabulary_size": config.vocabulary_size}
            if fits(config.replace(**values).with_bits(kind), values["max_length"]):
                possible.append(f"preset {preset} with --bits {kind}")
        advice += possible[-1:]
    return advice
