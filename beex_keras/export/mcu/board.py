"""The boards of ``tflite/firmware``: a row each in its Makefile, read from there."""

import dataclasses
import re
from functools import cache

from beex_keras.errors import BeexError
from beex_keras.export.mcu.single_header import SOURCES

FIRMWARE = SOURCES / "firmware"
DEFAULT = "netduinoplus2"
"""The board that `beex convert --target mcu` writes for unless another is named."""

_ROW = re.compile(r"^([\w-]+)\s*:= (cortex-\S+)\s+(.*)$", re.MULTILINE)
_SIZE = re.compile(r"^(\d+)([KM]?)$", re.IGNORECASE)
_UNITS = {"": 1, "K": 1024, "M": 1024**2}


@dataclasses.dataclass(frozen=True)
class Board:
    """A board that QEMU emulates.

    Attributes:
        name: QEMU's name.
        core: such as "cortex-m4".
        flash, ram: bytes.
    """

    name: str
    core: str
    flash: int
    ram: int


@cache
def boards() -> dict[str, Board]:
    """All boards by their names."""
    found = {}
    for name, core, rest in _ROW.findall((FIRMWARE / "Makefile").read_text("utf-8")):
        _, _, _, flash, _, ram, _ = rest.split()
        found[name] = Board(name, core, parse_size(flash), parse_size(ram))
    return found


def parse_size(text: str, option: str = "size") -> int:
    """Bytes of a size such as 65536, 128K or 1M.

    Raises:
        BeexError: it is none; `option` names it there.

    Example:
        >>> beex.export.mcu.parse_size("128K")
        131072
    """
    match = _SIZE.match(text)
    if match is None or not int(match[1]):
        raise BeexError(f"{option} {text} must be a number of bytes, such as 65536, 128K or 1M.")
    return int(match[1]) * _UNITS[match[2].upper()]
