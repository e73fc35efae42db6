"""A matrix that stands in a file, of which a few rows are in memory at a time."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_PART = 65536


class RowFile:
    """Rows of numbers, (n, width), that are read when they are asked for; threads may share one.

    Nothing else of the file takes memory, however long it is, which a mapped file would.

    Args:
        path: of the numbers alone, a row after the other.
        width: numbers of a row.
        dtype: of a number in the file.
        result: dtype of what is read.

    Attributes:
        shape: (n, width).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        dtype: npt.DTypeLike,
        result: npt.DTypeLike,
    ) -> None:
        self.dtype, self.result = np.dtype(dtype), np.dtype(result)
        self._bytes = width * self.dtype.itemsize
        self.shape = (Path(path).stat().st_size // self._bytes, width)
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  (closed with the object)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def read(self, rows: Any) -> np.ndarray:
        """The rows of these numbers, (b, width)."""
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        with self._lock:
            for place, row in zip(found, rows, strict=True):
                self._file.seek(int(row) * self._bytes)
                self._file.readinto(memoryview(place).cast("B"))
        return found.astype(self.result)

    def parts(self) -> Iterator[np.ndarray]:
        """All rows in order, some ten thousands at a time."""
        for first in range(0, len(self), _PART):
            yield self.read(range(first, min(first + _PART, len(self))))
