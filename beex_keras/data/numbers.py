"""Targets of a regression as people write them."""

import math
import re

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def as_number(text: str) -> float | None:
    """The finite number that a text is, such as "3.5"; None if it is none.

    Python reads more as a float: "1_000", digits of other scripts, "nan" and "infinity".
    """
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def is_whole(text: str) -> bool:
    """Whether a text is a whole number, such as "3" or "3.0"."""
    value = as_number(text)
    return value is not None and value % 1 == 0
