"""A verified ``.tflite`` file in Larq Compute Engine's interpreter, for any number of texts."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.tflite import lce as engine
from beex_keras.export.tflite import metadata
from beex_keras.export.tflite.resize import Resizer
from beex_keras.runtime.runner import check_threads

BATCH = 8
"""Texts that a graph takes at once. More are no faster: the products are large enough by then."""

_LENGTHS = 8
_FEW = 2 * BATCH


class Graph:
    """One file, and the interpreters made of it for batches of texts of like length.

    The interpreter of a file takes one text of T tokens at a time. For more than a few texts the
    same graph with other shapes (see `beex_keras.export.tflite.resize`) spares most of the padding and
    unpacks a kernel once a batch.

    Args:
        data: the file's bytes.
        source: names the file in errors.
        num_threads: threads of each interpreter.

    Attributes:
        metadata: what the file says of itself.
        batchable: whether it can take more than one text at once.

    Raises:
        BeexError: the file is not ours or damaged, or Larq Compute Engine is missing.
    """

    def __init__(self, data: bytes, source: str, num_threads: int = 1) -> None:
        check_threads(num_threads)
        engine.require()
        # The interpreter trusts its input: nothing reaches it that is not verified.
        model = metadata.verified(data, source)
        self.metadata = metadata.read_parsed(model, source)
        self._source = source
        self._num_threads = num_threads
        # Several times faster and bit-identical, but wrong within the branches of a conditional.
        self._indirect = len(model.subgraphs) == 1
        self._resizer = Resizer(model, self.metadata.length)
        self.batchable = self._resizer.batchable
        self._interpreters = {(1, self.metadata.length): self._load(data)}

    def _load(self, data: bytes) -> Any:
        from larq_compute_engine.tflite.python.interpreter import Interpreter

        try:
            return Interpreter(
                data, num_threads=self._num_threads, use_indirect_bgemm=self._indirect
            ).interpreter
        except Exception as error:
            raise BeexError(
                f"{self._source} does not load in Larq Compute Engine: {error}."
            ) from error

    def groups(self, ids: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """Rows of token ids (B, ·) that go through the graph together, and their padded length.

        A few texts are not worth interpreters of their own and go at the file's length.
        """
        if len(ids) < _FEW:
            yield np.arange(len(ids)), self.metadata.length
            return
        step = max(8, -(-self.metadata.length // _LENGTHS))
        # Tokens up to the last that is not padding: ids given by hand may have holes.
        real = np.max(np.where(ids != 0, np.arange(1, ids.shape[1] + 1), 1), axis=1)
        padded = np.minimum(-(-real // step) * step, self.metadata.length)
        for length in np.unique(padded):
            yield np.flatnonzero(padded == length), int(length)

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The graph's outputs for rows of its inputs, in the file's order.

        Args:
            inputs: arrays of as many rows each; those of rank 2 and more have the same number of
                tokens.
        """
        rows = len(inputs[0])
        length = next(array.shape[1] for array in inputs if array.ndim > 1)
        parts: list[list[np.ndarray]] = []
        start = 0
        # The interpreter for one text at the file's length is there already.
        single = not self.batchable or (rows < _FEW and length == self.metadata.length)
        size = 1 if single else BATCH
        while start < rows:
            taken = min(size, rows - start)
            batch = [_padded(array[start : start + taken], size) for array in inputs]
            outputs = self._interpreter(size, length).predict(batch)
            parts.append([output[:taken] for output in outputs])
            start += taken
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _interpreter(self, batch: int, length: int) -> Any:
        key = batch, length
        if key not in self._interpreters:
            self._interpreters[key] = self._load(self._resizer.resized(batch, length))
        return self._interpreters[key]


def _padded(rows: np.ndarray, count: int) -> np.ndarray:
    if len(rows) == count:
        return np.ascontiguousarray(rows)
    return np.concatenate([rows, np.zeros((count - len(rows), *rows.shape[1:]), rows.dtype)])


def fitted(ids: np.ndarray, length: int) -> np.ndarray:
    """Ids (B, ·) cut or padded to `length` tokens; only padding is cut."""
    rows = np.zeros((len(ids), length), np.int32)
    kept = ids[:, :length]
    rows[:, : kept.shape[1]] = kept
    return rows
