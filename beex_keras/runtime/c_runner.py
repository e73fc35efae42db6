"""A ``.beex`` file in the C engine."""

import ctypes
import itertools
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

import numpy as np

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.runtime import library
from beex_keras.runtime.predictions import Answer, ExitOutputs
from beex_keras.runtime.runner import Runner, check_threads

_Result = TypeVar("_Result")

_ROWS = 16
"""Texts that one thread computes at a time: few, so that it can be interrupted."""

_PARTS = 4
"""Parts of a batch for each of several threads: more than one, so that all threads end together."""


class CRunner(Runner):
    """Runs a ``.beex`` file in the C engine, which computes each text up to its exit and no further.

    Only real tokens are computed. Threads share a batch, and other Python threads run meanwhile.

    Args:
        model: the file's bytes, which may be mapped from it: they are not copied.
        source: names the file in errors.
        num_threads: texts that are computed at a time.
        kernels: name of an implementation of the kernels, such as "portable" or "avx2"; by default
            the best for this machine. All give the same result to the last bit.

    Attributes:
        metadata: what the file says of itself.
        kernels: the implementation's name.

    Raises:
        BeexError: the file is not ours or damaged, the engine was not built, or this machine cannot
            run such kernels.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> runner = beex.runtime.CRunner(data, num_threads=2)
        >>> runner.labels
        ('negative', 'positive')
    """

    def __init__(
        self,
        model: bytes | mmap.mmap,
        source: str = "The model",
        num_threads: int = 1,
        kernels: str = "",
    ) -> None:
        check_threads(num_threads)
        self._library = library.load()
        self.metadata = beex_format.read(model, source)
        super().__init__(self.metadata, self.metadata.length)
        self._data = np.frombuffer(model, np.uint8)
        self._model = _memory(self._library.beex_model_bytes())
        status = self._library.beex_open(_at(self._model), _at(self._data), self._data.nbytes)
        self._check(status, source)
        self._settings = source, num_threads, kernels
        self._start_all()
        _RUNNERS.add(self)

    def __reduce__(self) -> Any:
        """Pickled by its bytes, so that it can be read where there is no such file."""
        return CRunner, (self._data.tobytes(), *self._settings)

    def _start_all(self) -> None:
        """Makes engines, each with memory of its own; they wait for a thread that needs one."""
        _, num_threads, kernels = self._settings
        self._idle: SimpleQueue[_Engine] = SimpleQueue()
        for _ in range(num_threads):
            self._idle.put(engine := self._start(kernels))
        self.kernels = self._library.beex_engine_kernels(_at(engine.state)).decode()
        self._pool = ThreadPoolExecutor(num_threads) if num_threads > 1 else None
        self._own = threading.local()  # its engine, while a thread of the pool does a part

    # === The runner's interface ===

    def answer(
        self,
        texts: Iterable[Any],
        policy: exits.ExitPolicy | None = None,
        truncate: bool = True,
        top_k: int | None = None,
        start: int = 0,
    ) -> list[Answer]:
        if self._pool is None:
            return super().answer(texts, policy, truncate, top_k, start)
        items = list(texts)

        # What Python does for texts, one thread does at a time. Each does all of it for its own part,
        # and the engine computes other parts meanwhile.
        def answer_part(engine: "_Engine", first: int, last: int) -> list[Answer]:
            self._own.engine = engine
            try:
                part = items[first:last]
                return Runner.answer(self, part, policy, truncate, top_k, start + first)
            finally:
                del self._own.engine

        return list(itertools.chain.from_iterable(self._divide(len(items), answer_part)))

    def _exit_logits(self, ids: np.ndarray) -> np.ndarray:
        return self._run(ids, exits.FixedDepth(self.config.num_blocks))[0]

    def _decide(self, ids: np.ndarray, policy: exits.ExitPolicy) -> ExitOutputs:
        logits, taken = self._run(ids, policy)
        return ExitOutputs(logits[np.arange(len(taken)), taken], taken)

    def tokenize(
        self, texts: Sequence[str], pairs: Sequence[str] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        columns = [_Column(texts), None if pairs is None else _Column(pairs)]
        ids = np.zeros((len(texts), self.text_length), np.int32)
        lengths = np.zeros(len(texts), np.uintp)

        def tokenize(engine: "_Engine", first: int, last: int) -> None:
            done = ctypes.c_size_t()
            places = [place for c in columns for place in (c.at(first) if c else (None, None))]
            results = _at(ids[first:]), _at(lengths[first:]), ctypes.byref(done)
            status = self._library.beex_encode_texts(
                _at(engine.state), *places, last - first, *results
            )
            self._check(status, f"Text {first + done.value + 1:,}")

        self._divide(len(texts), tokenize)
        return ids, lengths

    # === Calls of the library ===

    def _run(self, ids: np.ndarray, policy: exits.ExitPolicy) -> tuple[np.ndarray, np.ndarray]:
        """Logits (B, N, C), zeros behind the exit taken, and the exits, counted from 0 (B,)."""
        ids = np.ascontiguousarray(ids, np.int32)
        kind = beex_format.POLICY_KINDS.index(policy.name)
        rule = library.Policy(kind, policy.below, policy.threshold)
        taken = np.zeros(len(ids), np.int32)
        logits = np.zeros((len(ids), self.config.num_blocks, self.config.num_classes), np.float32)

        def run(engine: "_Engine", first: int, last: int) -> None:
            done = ctypes.c_size_t()
            rows = _at(ids[first:]), last - first, ids.shape[1], ctypes.byref(rule)
            results = _at(taken[first:]), _at(logits[first:]), ctypes.byref(done)
            status = self._library.beex_run_rows(_at(engine.state), *rows, *results)
            self._check(status, f"Row {first + done.value + 1}")

        self._divide(len(ids), run)
        return logits, taken - 1

    def _divide(self, rows: int, work: Callable[["_Engine", int, int], _Result]) -> list[_Result]:
        """What the work gives for all rows, a part at a time on each thread, in their order."""
        if engine := getattr(self._own, "engine", None):
            return [work(engine, 0, rows)]
        _, num_threads, *_ = self._settings
        size = max(1, -(-rows // (_PARTS * num_threads))) if self._pool else _ROWS

        def part(first: int) -> _Result:
            engine = self._idle.get()
            try:
                return work(engine, first, min(first + size, rows))
            finally:
                self._idle.put(engine)

        return list((self._pool.map if self._pool else map)(part, range(0, rows, size)))

    def _start(self, kernels: str) -> "_Engine":
        size = self._library.beex_best_arena_size(_at(self._model))
        try:
            engine = _Engine(_memory(self._library.beex_engine_bytes()), _memory(size))
        except (MemoryError, ValueError):
            missing = f"There is no memory for the {size:,} bytes that the model needs"
            raise BeexError(f"{missing}; convert it with a smaller --length.") from None
        parts = _at(engine.state), _at(self._model), _at(engine.arena), size
        status = self._library.beex_start_named(*parts, kernels.encode())
        if status == library.PLATFORM:
            raise BeexError(f"This machine has no kernels '{kernels}'; let the engine choose them.")
        self._check(status, "The engine")
        return engine

    def _check(self, status: int, subject: str) -> None:
        if status != library.OK:
            raise BeexError(f"{subject}: {self._library.beex_status_message(status).decode()}.")


class _Engine(NamedTuple):
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


_RUNNERS: "weakref.WeakSet[CRunner]" = weakref.WeakSet()


def _start_anew() -> None:
    """In a forked process no thread of its parent lives, and engines that were at work never return."""
    for runner in _RUNNERS:
        runner._start_all()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_start_anew)
