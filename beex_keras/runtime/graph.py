"""A verified ``.tflite`` file in Larq Compute Engine's interpreter, for any number of texts."""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.evaluation.exit_logits import real_lengths
from beex_keras.export.tflite import lce, metadata
from beex_keras.export.tflite.resize import Resizer
from beex_keras.runtime.runner import check_threads

_BATCH = 8
"""Texts that a graph takes at once. More are no faster: the products are large enough by then."""

_FEW = 2 * _BATCH
_LENGTHS = 8


class Graph:
    """One file, and the interpreters made of it for batches of texts of like length.

    The interpreter of a file takes one text of T tokens at a time. For more than a few texts the
    same graph with other shapes (see `beex_keras.export.tflite.resize`) spares most of the padding and
    unpacks a kernel once a batch.

    Arguments, attribute and errors are those of `LCERunner`.
    """

    def __init__(self, data: bytes, source: str, num_threads: int = 1) -> None:
        check_threads(num_threads)
        lce.require()
        # The interpreter trusts its input: nothing reaches it that is not verified.
        model = metadata.verified(data, source)
        self.metadata = metadata.read_parsed(model, source)
        self._source, self._num_threads = source, num_threads
        # Several times faster and bit-identical, but wrong within the branches of a conditional.
        self._indirect = len(model.subgraphs) == 1
        self._resizer = Resizer(model, self.metadata.length)
        self._lock = threading.Lock()
        self._interpreters = {(1, self.metadata.length): self._load(data)}

    def _load(self, data: bytes) -> Any:
        from larq_compute_engine.tflite.python.interpreter import Interpreter

        settings = {"num_threads": self._num_threads, "use_indirect_bgemm": self._indirect}
        try:
            return Interpreter(data, **settings).interpreter
        except Exception as error:
            what = f"{self._source} does not load in Larq Compute Engine"
            raise BeexError(f"{what}: {error}.") from error

    def groups(self, ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of token ids (B, ·) that go through the graph together, and their ids at one length.

        A few texts are not worth interpreters of their own and go at the file's length.
        """
        most = self.metadata.length
        step = most if len(ids) < _FEW else max(8, -(-most // _LENGTHS))
        padded = np.minimum(-(-real_lengths(ids) // step) * step, most)
        for length in np.unique(padded).tolist():
            rows = np.flatnonzero(padded == length)
            tokens = np.zeros((len(rows), length), np.int32)
            kept = ids[rows, :length]
            tokens[:, : kept.shape[1]] = kept
            yield rows, tokens

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The graph's outputs for its inputs, in the file's order.

        All have as many rows, and those of rank 2 and more the same number of tokens.
        """
        rows = len(inputs[0])
        length = next(array.shape[1] for array in inputs if array.ndim > 1)
        # The interpreter for one text at the file's length is there already.
        single = not self._resizer.batchable or (rows < _FEW and length == self.metadata.length)
        size = 1 if single else _BATCH
        padding = [np.zeros((-rows % size, *array.shape[1:]), array.dtype) for array in inputs]
        batches = [np.concatenate(pair) for pair in zip(inputs, padding, strict=True)]
        starts = range(0, rows, size)
        with self._lock:  # an interpreter has its inputs and outputs in itself
            if (size, length) not in self._interpreters:
                self._interpreters[size, length] = self._load(self._resizer.resized(size, length))
            predict = self._interpreters[size, length].predict
            parts = [predict([array[s : s + size] for array in batches]) for s in starts]
        return [np.concatenate(outputs)[:rows] for outputs in zip(*parts, strict=True)]
