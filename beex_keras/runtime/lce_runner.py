"""A ``.tflite`` file in Larq Compute Engine's interpreter."""

from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy
from beex_keras.runtime.graph import Graph
from beex_keras.runtime.predictions import Decisions
from beex_keras.runtime.runner import Runner


class LCERunner(Runner):
    """Runs a converted file, of all exits or one that exits by itself.

    Args:
        model: the file's bytes; `metadata` is what it says of itself.
        source: names the file in errors.
        num_threads: threads of the interpreter.

    Raises:
        BeexError: the file is not ours or damaged, or Larq Compute Engine is missing.

    Example:
        >>> with open("model.tflite", "rb") as file:
        ...     runner = beex.runtime.LCERunner(file.read())
        >>> runner.exits_by_itself
        True
    """

    def __init__(self, model: bytes, source: str = "The model", num_threads: int = 1) -> None:
        self._graph = Graph(model, source, num_threads)
        self._source = source
        self._arguments = model, source, num_threads
        self.metadata = self._graph.metadata
        if self.metadata.exit == "segments":
            block = f"{source} is one block of a model in segments"
            raise BeexError(f"{block}; give the directory of all of them.")
        super().__init__(self.metadata, self.metadata.length)
        self.exits_by_itself = self.metadata.exit == "in-graph"

    def __reduce__(self) -> Any:
        return LCERunner, self._arguments

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        if self.exits_by_itself:
            alone = "exits by itself, so it does not compute the logits of every exit"
            fix = "convert the model with --exit all-outputs for that"
            raise BeexError(f"{self._source} {alone}; {fix}.")
        logits = np.zeros((len(ids), self.config.num_blocks, self.config.num_classes), np.float32)
        for rows, tokens in self._graph.groups(ids):
            (logits[rows],) = self._graph.run(tokens)
        return logits

    def _decide(self, ids: np.ndarray, policy: ExitPolicy) -> Decisions:
        if not self.exits_by_itself:
            return super()._decide(ids, policy)
        inputs = self._threshold(policy)
        logits = np.zeros((len(ids), self.config.num_classes), np.float32)
        exits = np.zeros(len(ids), np.int32)
        for rows, tokens in self._graph.groups(ids):
            thresholds = [np.full(len(rows), value, np.float32) for value in inputs]
            logits[rows], exits[rows] = self._graph.run(tokens, *thresholds)
        return Decisions(logits, exits)

    def _threshold(self, policy: ExitPolicy) -> list[float]:
        """What the graph has to be told of the policy: nothing, or the threshold that it lets us choose."""
        own = self.policy
        alike = type(policy) is type(own) and own.with_threshold(policy.threshold) == policy
        if self.metadata.threshold_input and alike:
            return [policy.threshold]
        if policy != own:
            fix = "convert the model with that policy, --threshold-input, or --exit all-outputs"
            alone = f"{self._source} exits by itself, by {own}, and by no other policy"
            raise BeexError(f"{alone}; {fix}.")
        return []
