"""A model of one file a block: texts that are finished leave the batch behind each."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy
from beex_keras.export.description import segment_name
from beex_keras.export.tflite import metadata
from beex_keras.files import read_bytes
from beex_keras.runtime.graph import Graph
from beex_keras.runtime.predictions import Decisions
from beex_keras.runtime.runner import Runner

_TOGETHER = 128


class SegmentRunner(Runner):
    """Runs the segments that `beex_keras.export.convert_segments` made.

    Behind each block the policy decides for every text of the batch; those that are finished leave
    it, and the rest goes on in full batches. Early exit so saves time with many texts too, not only
    with one. `metadata` is what the first file says of itself.

    Args:
        segments: the files' bytes, in order.
        source, num_threads: as of `LCERunner`.

    Raises:
        BeexError: a file is not ours or damaged, the files are not those of one model, or Larq
            Compute Engine is missing.

    Example:
        >>> model = beex.runtime.load_classifier("toy")
        >>> runner = beex.runtime.SegmentRunner(beex.export.convert_segments(model))
        >>> runner.labels
        ('0', '1')
    """

    def __init__(
        self, segments: list[bytes], source: str = "The model", num_threads: int = 1
    ) -> None:
        self._graphs = [
            Graph(data, f"{source}, segment {number}", num_threads)
            for number, data in enumerate(segments, start=1)
        ]
        self.metadata = self._graphs[0].metadata
        blocks = self.metadata.config.num_blocks
        if len(segments) != blocks:
            found = f"{len(segments)} of the {blocks} segments of its model"
            raise BeexError(f"{source} has {found}; copy all of them.")
        for number, graph in enumerate(self._graphs, start=1):
            mine = (graph.metadata.segment, graph.metadata.model_digest)
            if mine != (number, self.metadata.model_digest):
                mixed = f"segments of different models (segment {number} is not the first one's)"
                raise BeexError(f"{source} mixes {mixed}; convert the model again.")
        super().__init__(self.metadata, self.metadata.length)
        self._arguments = segments, source, num_threads

    def __reduce__(self) -> Any:
        return SegmentRunner, self._arguments

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(ids), self.config.num_blocks, self.config.num_classes), np.float32)
        for rows, tokens in self._groups(ids):
            hidden = None
            for index in range(len(self._graphs)):
                logits[rows, index], hidden = self._block(index, tokens, hidden)
        return logits

    def _decide(self, ids: np.ndarray, policy: ExitPolicy) -> Decisions:
        logits = np.zeros((len(ids), self.config.num_classes), np.float32)
        exits = np.zeros(len(ids), np.int32)
        last = len(self._graphs) - 1
        for rows, tokens in self._groups(ids):
            hidden = None
            # The first logits would give no more than their shape.
            state = policy.initial_state(np.zeros((len(rows), self.config.num_classes)))
            for index in range(last + 1):
                found, hidden = self._block(index, tokens, hidden)
                score, state = policy.score(index, found, state)
                stops = policy.stops(score) if index < last else np.ones(len(rows), bool)
                logits[rows[stops]], exits[rows[stops]] = found[stops], index
                if stops.all():
                    break
                goes_on = ~stops
                rows, tokens = rows[goes_on], tokens[goes_on]
                hidden = None if hidden is None else hidden[goes_on]
                state = tuple(value[goes_on] for value in state)
        return Decisions(logits, exits)

    def _groups(self, ids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As those of a graph, of so many texts that go through a block before the next one's turn."""
        for rows, tokens in self._graphs[0].groups(ids):
            for start in range(0, len(rows), _TOGETHER):
                part = slice(start, start + _TOGETHER)
                yield rows[part], tokens[part]

    def _block(
        self, index: int, tokens: np.ndarray, hidden: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits and, but for the last block, what the next block reads."""
        inputs = [tokens] if hidden is None else [hidden, tokens]
        logits, *rest = self._graphs[index].run(*inputs)
        return logits, rest[0] if rest else None


def read_segments(path: str | os.PathLike[str]) -> list[bytes]:
    """The files of a directory of segments, in order.

    Raises:
        BeexError: one is missing, or the first is not ours or damaged.
    """
    first = read_bytes(Path(path) / segment_name(1), "segment")
    blocks = metadata.read(first, str(path)).config.num_blocks
    others = (Path(path) / segment_name(number) for number in range(2, blocks + 1))
    return [first, *(read_bytes(other, "segment") for other in others)]
