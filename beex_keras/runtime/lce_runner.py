"""A ``.tflite`` file in Larq Compute Engine's interpreter."""

import threading
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy
from beex_keras.export.description import EXITS
from beex_keras.export.tflite import lce, metadata
from beex_keras.runtime.predictions import ExitOutputs
from beex_keras.runtime.runner import Runner, check_threads


class LCERunner(Runner):
    """Runs a converted file: one that gives the logits of all exits, or one that exits by itself.

    The interpreter takes one text at a time, padded to the file's length. For many texts a ``.beex``
    file in the C engine is several times faster.

    Args:
        model: the file's bytes; `metadata` is its metadata.
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
        check_threads(num_threads)
        lce.require()
        # The interpreter trusts its input: nothing reaches it that is not verified.
        parsed = metadata.verified(model, source)
        self.metadata = metadata.read_parsed(parsed, source)
        if self.metadata.exit not in EXITS:
            found = f"was converted with --exit {self.metadata.exit}"
            raise BeexError(f"{source} {found}, which has gone; convert the model again.")
        super().__init__(self.metadata, self.metadata.length)
        self.exits_by_itself = self.metadata.exit == "in-graph"
        self._source = source
        self._arguments = model, source, num_threads
        # The indirect kernel gives the same bits faster, but is wrong within a conditional's branches.
        self._interpreter = _load(model, source, num_threads, len(parsed.subgraphs) == 1)
        self._lock = threading.Lock()  # an interpreter holds its inputs and outputs

    def __reduce__(self) -> Any:
        return LCERunner, self._arguments

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        if self.exits_by_itself:
            alone = "exits by itself, so it does not compute the logits of every exit"
            fix = "convert the model with --exit all-outputs for that"
            raise BeexError(f"{self._source} {alone}; {fix}.")
        logits = np.zeros((len(ids), self.config.num_blocks, self.config.num_classes), np.float32)
        for row, tokens in enumerate(ids):
            (logits[row],) = self._run(tokens)
        return logits

    def _decide(self, ids: np.ndarray, policy: ExitPolicy) -> ExitOutputs:
        if not self.exits_by_itself:
            return super()._decide(ids, policy)
        thresholds = self._thresholds(policy)
        logits = np.zeros((len(ids), self.config.num_classes), np.float32)
        exits = np.zeros(len(ids), np.int32)
        for row, tokens in enumerate(ids):
            logits[row], exits[row] = self._run(tokens, *thresholds)
        return ExitOutputs(logits, exits)

    def _run(self, tokens: np.ndarray, *thresholds: np.ndarray) -> list[np.ndarray]:
        """The file's outputs for one text (T,), without their first axis."""
        padded = np.zeros((1, self.length), np.int32)
        padded[0, : len(tokens)] = tokens
        with self._lock:
            outputs = self._interpreter.predict([padded, *thresholds])
        arrays = outputs if isinstance(outputs, list) else [outputs]
        return [array[0] for array in arrays]

    def _thresholds(self, policy: ExitPolicy) -> list[np.ndarray]:
        """The threshold as the file's second input, if it has one."""
        own = self.policy
        alike = type(policy) is type(own) and own.with_threshold(policy.threshold) == policy
        if self.metadata.threshold_input and alike:
            return [np.array([policy.threshold], np.float32)]
        if policy != own:
            fix = "convert the model with that policy, --threshold-input, or --exit all-outputs"
            alone = f"{self._source} exits by itself, by {own}, and by no other policy"
            raise BeexError(f"{alone}; {fix}.")
        return []


def _load(data: bytes, source: str, num_threads: int, indirect: bool) -> Any:
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    try:
        found = Interpreter(data, num_threads=num_threads, use_indirect_bgemm=indirect)
    except Exception as error:
        raise BeexError(f"{source} does not load in Larq Compute Engine: {error}.") from error
    return found.interpreter
