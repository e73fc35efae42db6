"""A ``.tflite`` file in Larq Compute Engine's interpreter."""

import os

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export import lce as engine
from beex_keras.export import metadata
from beex_keras.files import read_bytes
from beex_keras.runtime.runner import Runner


class LCERunner(Runner):
    """Runs a converted file, one text after the other.

    Args:
        model: the file's bytes.
        source: names the file in errors.
        num_threads: threads of the interpreter.

    Attributes:
        metadata: what the file says of itself.

    Raises:
        BeexError: the file is not ours or damaged, or Larq Compute Engine is missing.
    """

    def __init__(self, model: bytes, source: str = "The model", num_threads: int = 1) -> None:
        if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
            raise BeexError(f"num_threads={num_threads!r} must be a whole number of at least 1.")
        engine.require()
        # The interpreter trusts its input: nothing reaches it that is not verified.
        self.metadata = metadata.read(model, source)
        super().__init__(
            config=self.metadata.config,
            labels=self.metadata.labels,
            policy=self.metadata.policy,
            preprocessor=self.metadata.preprocessor,
            length=self.metadata.length,
        )
        from larq_compute_engine.tflite.python.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(
                model,
                num_threads=num_threads,
                # Several times faster and bit-identical, as long as the graph has no branches.
                use_indirect_bgemm=True,
            )
        except Exception as error:
            raise BeexError(f"{source} does not load in Larq Compute Engine: {error}.") from error

    @classmethod
    def open(cls, path: str | os.PathLike[str], num_threads: int = 1) -> "LCERunner":
        """The runner of a file.

        Raises:
            BeexError: as the class, or there is no such file.
        """
        return cls(read_bytes(path, "model"), str(path), num_threads)

    def _run(self, ids: np.ndarray) -> np.ndarray:
        padded = np.zeros((len(ids), self.length), np.int32)
        padded[:, : ids.shape[1]] = ids
        return self._interpreter.predict(padded)
