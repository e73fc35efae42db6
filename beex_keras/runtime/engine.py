"""A ``.beex`` file in the C engine."""

import ctypes
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export import beex_format
from beex_keras.files import read_bytes
from beex_keras.runtime import library
from beex_keras.runtime.runner import Prediction, Runner

_BATCH = 256
"""Texts that are held at a time."""

_CHUNK = 16
"""Texts that a thread takes at a time: few, so that all end together."""


class CRunner(Runner):
    """Runs a ``.beex`` file in the C engine, which stops each text at its exit.

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
        if isinstance(num_threads, bool) or not isinstance(num_threads, int) or num_threads < 1:
            raise BeexError(f"num_threads={num_threads!r} must be a whole number of at least 1.")
        self._library = library.load()
        self.metadata = beex_format.read(model, source)
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
        self.kernels = self._library.beex_kernels_name(_at(engine.state)).decode()
        self._pool = ThreadPoolExecutor(num_threads) if num_threads > 1 else None

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], num_threads: int = 1, **options: Any
    ) -> "CRunner":
        """The runner of a file; options as those of the class.

        Raises:
            BeexError: as the class, or there is no such file.
        """
        return cls(read_bytes(path, "model"), str(path), num_threads, **options)

    # === The runner's interface ===

    def stream(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        policy: exits.ExitPolicy | None = None,
        truncate: bool = False,
    ) -> Iterator[Prediction]:
        self._check_texts(texts, pairs, truncate=True)
        for start in range(0, len(texts), _BATCH):
            batch = _Texts(texts, pairs, start)
            taken, logits = self._run_texts(batch, policy or self.policy, truncate)
            yield from self._predictions_at(logits, taken)

    def _encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        batch = _Texts(texts, pairs, 0, len(texts))
        ids = np.zeros((len(batch), self._require_preprocessor().max_length), np.int32)

        def run(engine: "_Engine", first: int, last: int) -> None:
            done, tokens = ctypes.c_size_t(), ctypes.c_size_t()
            status = self._library.beex_encode_texts(
                _at(engine.state), *batch.pointers(first), last - first, True, _at(ids[first:]),
                ctypes.byref(done), ctypes.byref(tokens),
            )  # fmt: skip
            self._check(status, batch.name(first + done.value))

        self._divide(len(batch), run)
        return ids

    def _run(self, ids: np.ndarray) -> np.ndarray:
        _, logits = self._run_ids(ids, exits.FixedDepth(self.config.num_blocks))
        return logits

    # === Calls of the library ===

    def _run_ids(self, ids: np.ndarray, policy: exits.ExitPolicy) -> tuple[np.ndarray, np.ndarray]:
        """Exits taken, counted from 0, and logits, zeros behind the exit."""
        ids = np.ascontiguousarray(ids, np.int32)
        rule = _rule(policy)
        taken, logits = self._outputs(len(ids))

        def run(engine: "_Engine", first: int, last: int) -> None:
            done = ctypes.c_size_t()
            status = self._library.beex_run_rows(
                _at(engine.state), _at(ids[first:]), last - first, ids.shape[1],
                ctypes.byref(rule), _at(taken[first:]), _at(logits[first:]), ctypes.byref(done),
            )  # fmt: skip
            self._check(status, f"Row {first + done.value + 1}")

        self._divide(len(ids), run)
        return taken - 1, logits

    def _run_texts(
        self, batch: "_Texts", policy: exits.ExitPolicy, truncate: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same of texts."""
        rule = _rule(policy)
        taken, logits = self._outputs(len(batch))

        def run(engine: "_Engine", first: int, last: int) -> None:
            done, tokens = ctypes.c_size_t(), ctypes.c_size_t()
            status = self._library.beex_run_texts(
                _at(engine.state), *batch.pointers(first), last - first, truncate,
                ctypes.byref(rule), _at(taken[first:]), _at(logits[first:]), ctypes.byref(done),
                ctypes.byref(tokens),
            )  # fmt: skip
            name = batch.name(first + done.value)
            if status == library.TOO_LONG:
                limit = self._require_preprocessor().max_length
                raise BeexError(
                    f"{name} has {tokens.value:,} tokens, the model reads {limit:,}: shorten it, or "
                    "allow truncation."
                )
            self._check(status, name)

        self._divide(len(batch), run)
        return taken - 1, logits

    def _outputs(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        shape = (rows, self.config.num_blocks, self.config.num_classes)
        return np.zeros(rows, np.int32), np.zeros(shape, np.float32)

    def _divide(self, rows: int, run: Callable[["_Engine", int, int], None]) -> None:
        """Runs all rows, a few at a time on each thread."""

        def chunk(first: int) -> None:
            engine = self._idle.get()
            try:
                run(engine, first, min(first + _CHUNK, rows))
            finally:
                self._idle.put(engine)

        starts = range(0, rows, _CHUNK)
        for _ in map(chunk, starts) if self._pool is None else self._pool.map(chunk, starts):
            pass

    def _start(self, kernels: str, int8_activations: bool) -> "_Engine":
        size = self._library.beex_arena_size(_at(self._model))
        try:
            engine = _Engine(_memory(self._library.beex_engine_bytes()), _memory(size))
        except MemoryError:
            raise BeexError(f"There is no memory for the {size:,} bytes the model needs.") from None
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


class _Texts:
    """A batch of texts, or of pairs, as the library reads them."""

    def __init__(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None,
        start: int,
        count: int = _BATCH,
    ) -> None:
        self._start = start
        self._kind = "Text" if pairs is None else "Pair"
        self._columns = [_Column(texts[start : start + count])]
        if pairs is not None:
            self._columns.append(_Column(pairs[start : start + count]))

    def __len__(self) -> int:
        return len(self._columns[0].data)

    def name(self, row: int) -> str:
        """For errors, counted as the user counts."""
        return f"{self._kind} {self._start + row + 1}"

    def pointers(self, first: int) -> list[Any]:
        """Where texts, their sizes, second texts and their sizes stand, from row `first` on."""
        found = [pointer for column in self._columns for pointer in column.pointers(first)]
        return found + [None] * (4 - len(found))


class _Column:
    def __init__(self, texts: Sequence[str]) -> None:
        self.data = [text.encode("utf-8") for text in texts]
        self._places = (ctypes.c_char_p * len(self.data))(*self.data)
        self._sizes = (ctypes.c_size_t * len(self.data))(*map(len, self.data))

    def pointers(self, first: int) -> list[Any]:
        offset = first * ctypes.sizeof(ctypes.c_void_p)
        return [ctypes.byref(self._places, offset), ctypes.byref(self._sizes, offset)]


def _rule(policy: exits.ExitPolicy) -> library.Policy:
    kind = beex_format.POLICY_KINDS.index(exits.serialize(policy)["name"])
    return library.Policy(kind, policy.below, policy.threshold)


def _memory(size: int) -> np.ndarray:
    """Zeros, in whole words so that they are aligned."""
    return np.zeros(-(-size // 8), np.uint64)


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
