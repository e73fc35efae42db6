"""Bytes in parts, each at a place that any processor can read it from."""

from typing import Any

import numpy as np

PADDING = 16
ALIGNMENT = 64


class Writer:
    """Bytes so far; each part begins at a multiple of 64."""

    def __init__(self, reserved: int, int8_weights: bool = False) -> None:
        self.data = bytearray(reserved)
        self.int8_weights = int8_weights

    def align(self) -> int:
        self.data += bytes(-len(self.data) % ALIGNMENT)
        return len(self.data)

    def put(self, array: np.ndarray) -> None:
        """An array as it is, little-endian."""
        self.align()
        self.data += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self.align()

    def channels(self, values: Any) -> None:
        """A float of each channel, with zeros up to the padding."""
        values = np.asarray(values, np.float32)
        self.put(np.pad(values, (0, -len(values) % PADDING)))

    def section(self, name: str, content: bytes) -> dict[str, int]:
        """A part that the header names: its place and size."""
        start = self.align()
        self.data += content
        return {name: start, f"{name}_size": len(content)}


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
