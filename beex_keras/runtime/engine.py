"""A ``.beex`` file in the C engine."""

import ctypes
import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export import beex
from beex_keras.files import read_bytes
from beex_keras.runtime import library
from beex_keras.runtime.runner import Decisions, Runner, check_threads

_ROWS = 16
"""Texts that a thread takes at a time: few, so that all threads end together."""


class CRunner(Runner):
    """Runs a ``.beex`` file in the C engine, which computes each text up to its exit and no further.

    Only real tokens are computed. Threads share a batch, and other Python threads run meanwhile.

    Args:
        model: the file's bytes.
        source: names the file in errors.
        num_threads: texts that are computed at a time.
        int8_activations: quantize what the binary weights of a weights-only model multiply to 8
            bits: faster, and less exact. Other models take no notice.
        kernels: name of an implementation of the kernels, such as "portable" or "avx2"; by default
            the best for this machine. All give the same result to the last bit.

    Attributes:
        metadata: what the file says of itself.
        kernels: the implementation's name.

    Raises:
        BeexError: the file is not ours or damaged, the engine was not built, or this machine cannot
            run such kernels.
    """

    def __init__(
        self,
        model: bytes,
        source: str = "The model",
        num_threads: int = 1,
        int8_activations: bool = False,
        kernels: str = "",
    ) -> None:
        check_threads(num_threads)
        self._library = library.load()
        self.metadata = beex.read(model, source)
        super().__init__(
            config=self.metadata.config,
            labels=self.metadata.labels,
            policy=self.metadata.policy,
            preprocessor=self.metadata.preprocessor,
            length=self.metadata.length,
        )
        self._data = np.frombuffer(model, np.uint8)
        self._model = _memory(self._library.beex_model_bytes())
        self._check(
            self._library.beex_open(_at(self._model), _at(self._data), self._data.nbytes), source
        )
        # Engines, each with memory of its own, wait here for a thread that needs one.
        self._idle: SimpleQueue[_Engine] = SimpleQueue()
        for _ in range(num_threads):
            engine = self._start(kernels, int8_activations)
            self._idle.put(engine)
        self.kernels = self._library.beex_engine_kernels(_at(engine.state)).decode()
        self._pool = ThreadPoolExecutor(num_threads) if num_threads > 1 else None

    @classmethod
    def open(cls, path: str | os.PathLike[str], num_threads: int = 1, **options: Any) -> "CRunner":
        """The runner of a file; options as those of the class.

        Raises:
            BeexError: as the class, or there is no such file.
        """
        return cls(read_bytes(path, "model"), str(path), num_threads, **options)

    # === The runner's interface ===

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        logits, _ = self._run(ids, exits.FixedDepth(self.config.num_blocks))
        return logits

    def _decide(self, ids: np.ndarray, policy: exits.ExitPolicy) -> Decisions:
        logits, taken = self._run(ids, policy)
        return Decisions(logits[np.arange(len(taken)), taken], taken)

    def _encode(
        self, texts: Sequence[str], pairs: Sequence[str] | None, truncate: bool, start: int = 0
    ) -> np.ndarray:
        preprocessor = self._preprocessor_for(pairs)
        # Of the checks only that of the length needs tokens; the engine makes it.
        preprocessor.check(texts, pairs, truncate=True, start=start)
        columns = [_Column(texts), None if pairs is None else _Column(pairs)]
        ids = np.zeros((len(texts), preprocessor.max_length), np.int32)

        def encode(engine: "_Engine", first: int, last: int) -> None:
            done, tokens = ctypes.c_size_t(), ctypes.c_size_t()
            places = [place for c in columns for place in (c.at(first) if c else (None, None))]
            status = self._library.beex_encode_texts(
                _at(engine.state), *places, last - first, truncate, _at(ids[first:]),
                ctypes.byref(done), ctypes.byref(tokens),
            )  # fmt: skip
            name = f"{'Text' if pairs is None else 'Pair'} {start + first + done.value + 1:,}"
            if status == library.TOO_LONG:
                raise BeexError(
                    f"{name} has {tokens.value:,} tokens, the model reads "
                    f"{preprocessor.max_length:,}: shorten it, or allow truncation."
                )
            self._check(status, name)

        self._divide(len(texts), encode)
        return ids

    # === Calls of the library ===

    def _run(self, ids: np.ndarray, policy: exits.ExitPolicy) -> tuple[np.ndarray, np.ndarray]:
        """Logits (B, N, C), zeros behind the exit taken, and the exits, counted from 0 (B,)."""
        ids = np.ascontiguousarray(ids, np.int32)
        rule = library.Policy(
            beex.POLICY_KINDS.index(exits.serialize(policy)["name"]),
            policy.below,
            policy.threshold,
        )
        taken = np.zeros(len(ids), np.int32)
        logits = np.zeros((len(ids), self.config.num_blocks, self.config.num_classes), np.float32)

        def run(engine: "_Engine", first: int, last: int) -> None:
            done = ctypes.c_size_t()
            status = self._library.beex_run_rows(
                _at(engine.state), _at(ids[first:]), last - first, ids.shape[1],
                ctypes.byref(rule), _at(taken[first:]), _at(logits[first:]), ctypes.byref(done),
            )  # fmt: skip
            self._check(status, f"Row {first + done.value + 1}")

        self._divide(len(ids), run)
        return logits, taken - 1

    def _divide(self, rows: int, work: Callable[["_Engine", int, int], None]) -> None:
        """Does the work for all rows, a few at a time on each thread."""

        def part(first: int) -> None:
            engine = self._idle.get()
            try:
                work(engine, first, min(first + _ROWS, rows))
            finally:
                self._idle.put(engine)

        starts = range(0, rows, _ROWS)
        for _ in map(part, starts) if self._pool is None else self._pool.map(part, starts):
            pass

    def _start(self, kernels: str, int8_activations: bool) -> "_Engine":
        size = self._library.beex_best_arena_size(_at(self._model))
        try:
            engine = _Engine(_memory(self._library.beex_engine_bytes()), _memory(size))
        except (MemoryError, ValueError):
            raise BeexError(
                f"There is no memory for the {size:,} bytes that the model needs; convert it with a "
                "smaller --length."
            ) from None
        status = self._library.beex_start_named(
            _at(engine.state), _at(self._model), _at(engine.arena), size, kernels.encode(),
            int8_activations,
        )  # fmt: skip
        if status == library.PLATFORM:
            raise BeexError(f"This machine has no kernels '{kernels}'; leave the choice to it.")
        self._check(status, "The engine")
        return engine

    def _check(self, status: int, subject: str) -> None:
        if status != library.OK:
            message = self._library.beex_status_message(status).decode()
            raise BeexError(f"{subject}: {message}.")


@dataclasses.dataclass(frozen=True)
class _Engine:
    """A `beex_engine` and its arena, in memory that Python owns."""

    state: np.ndarray
    arena: np.ndarray


class _Column:
    """Texts as the library reads them: pointers to UTF-8 and sizes."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._data = [text.encode("utf-8") for text in texts]
        self._places = (ctypes.c_char_p * len(self._data))(*self._data)
        self._sizes = (ctypes.c_size_t * len(self._data))(*map(len, self._data))

    def at(self, row: int) -> tuple[Any, Any]:
        """Where pointers and sizes stand, from a row on."""
        offset = row * ctypes.sizeof(ctypes.c_void_p)
        return ctypes.byref(self._places, offset), ctypes.byref(self._sizes, offset)


def _memory(size: int) -> np.ndarray:
    """Zeros, in whole words so that they are aligned."""
    return np.zeros(-(-size // 8), np.uint64)


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
