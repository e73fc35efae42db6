"""Bytes in parts, written and read, each at a place that any processor can read it from."""

from math import prod
from typing import Any

import numpy as np

from beex_keras.errors import BeexError

PADDING = 16
ALIGNMENT = 64

MOST_REAL = 1024.0
MOST_INT8_SCALE = 8.0
"""The largest magnitudes of a file's numbers, the second of what int8 weights are times."""


class Writer:
    """Bytes so far; each part begins at a multiple of 64."""

    def __init__(self, reserved: int, int8_weights: bool = False) -> None:
        self.data = bytearray(reserved)
        self.int8_weights = int8_weights

    def align(self) -> int:
        self.data += bytes(-len(self.data) % ALIGNMENT)
        return len(self.data)

    def put(self, array: np.ndarray, name: str = "", most: float = MOST_REAL) -> None:
        """An array as it is, little-endian; name and largest magnitude are those of `check_range`.

        Raises:
            BeexError: one of its floats is not finite, or larger than the engine takes.
        """
        if array.dtype == np.float32:
            check_range(array, name, most)
        self.align()
        self.data += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self.align()

    def channels(self, values: Any, name: str, most: float = MOST_REAL) -> None:
        """A float of each channel, with zeros up to the padding; errors as `put`."""
        values = np.asarray(values, np.float32)
        self.put(np.pad(values, (0, -len(values) % PADDING)), name, most)

    def section(self, name: str, content: bytes) -> dict[str, int]:
        """A part that the header names: its place and size."""
        start = self.align()
        self.data += content
        return {name: start, f"{name}_size": len(content)}


class Reader:
    """Takes one part of a file after the other, the first from `place`; `source` is for errors."""

    def __init__(self, data: bytes, place: int, source: str) -> None:
        self._data = data
        self._place = place
        self._source = source

    def array(self, kind: str, *shape: int) -> np.ndarray:
        """An array as it is; a ValueError if the file ends before."""
        array = np.frombuffer(self._data, kind, prod(shape), self._place)
        self._place += round_up(array.nbytes, ALIGNMENT)
        return array.reshape(shape)

    def reals(self, name: str, *shape: int) -> np.ndarray:
        """Floats that are checked; `name` is for errors."""
        values = self.array("<f4", *shape)
        check_range(values, f"{self._source}: {name}", advice="convert the model again")
        return values

    def channels(self, name: str, count: int) -> np.ndarray:
        """A float of each channel; errors as of the others, or the padding is not zero."""
        values = self.reals(name, round_up(count, PADDING))
        if values[count:].any():
            raise ValueError(f"The padding of {name} is not zero.")
        return values[:count]


def check_range(
    values: np.ndarray,
    name: str,
    most: float = MOST_REAL,
    advice: str = "train the model again, at a lower learning rate",
) -> None:
    """Raises `BeexError` where a number is not finite or its magnitude beyond `most`."""
    wrong = values[~(np.abs(values) <= most)]
    if wrong.size:
        problem = f"{name} holds {wrong[0]:g}, but the engine takes numbers within ±{most:g}"
        raise BeexError(f"{problem}; {advice}.")


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
