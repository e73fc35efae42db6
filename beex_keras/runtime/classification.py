"""Texts in, predictions out: a runner with its settings made once."""

import dataclasses
import itertools
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence, Sized
from typing import Any, Literal

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.exits import ExitPolicy
from beex_keras.runtime.loading import load
from beex_keras.runtime.predictions import Answer, Failure
from beex_keras.runtime.runner import Runner, check_texts

CHUNK = 1024
"""The number of texts that are held in memory at a time."""


@dataclasses.dataclass
class Pipeline:
    """Classifies one text, thousands, or a stream of them.

    Texts of similar length are computed together, so give a pipeline all texts at once. A call with a list
    returns a list. `stream` reads an iterator chunk by chunk, so memory does not grow with its length.

    A model of pairs takes a list of (text, text_pair) tuples, for one pair a list of one tuple.

    Threads may share a pipeline. If it runs a file, it can be pickled and used after a `fork`. A ``.beex``
    file computes `num_threads` texts at the same time, and other Python threads run meanwhile.

    Args:
        runner: a runner that `beex_keras.load` returns.
        policy: an exit policy in place of the model's own.
        truncate: cut texts that are longer than the model reads, and set their `Prediction.truncated`;
            otherwise such texts cannot be classified.
        on_error: "raise" an error at the first text that cannot be classified, or "return" a `Failure` in
            its place.
        top_k: number of the most probable labels that `Prediction.probabilities` has; all if None. A
            regression must have None.
        progress: show a progress bar over lists.
        chunk: number of texts that are held in memory at a time.

    Raises:
        BeexError: a setting that is not allowed.

    Example:
        >>> classify = beex.pipeline("sst2-micro")
        >>> classify("a gorgeous, witty, seductive movie.").label
        'positive'
        >>> classify = beex.pipeline("sst2-micro", on_error="return")
        >>> [type(answer).__name__ for answer in classify(["what a lovely film", ""])]
        ['Prediction', 'Failure']
    """

    runner: Runner
    policy: ExitPolicy | None = None
    truncate: bool = True
    on_error: Literal["raise", "return"] = "raise"
    top_k: int | None = None
    progress: bool = False
    chunk: int = CHUNK

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "return"):
            raise BeexError(f"on_error={self.on_error!r} must be 'raise' or 'return'.")
        for name in ("top_k", "chunk"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise BeexError(f"{name}={value!r} must be a whole number of at least 1.")
        problem_type = self.runner.task.problem_type
        if self.policy is not None:
            exits.check(self.policy, problem_type)
        if self.top_k is not None and problem_type != "classification":
            raise BeexError(
                "top_k chooses among classes, and this model answers a number; leave it out."
            )

    def __call__(self, texts: Any) -> Any:
        """Returns the prediction for a text, and a list of predictions for a list.

        Args:
            texts: a text or a list of texts; for a model of pairs, a list of (text, text_pair) tuples.

        Raises:
            BeexError: `texts` is not what the model reads, the model has no vocabulary, or a text cannot
                be classified and `on_error` is "raise".
        """
        if isinstance(texts, str):
            (answer,) = self.stream([texts])
            return answer
        answers = self.stream(texts)
        if self.progress:
            from rich.progress import track

            total = len(texts) if isinstance(texts, Sized) else None
            return list(track(answers, "Texts", total=total))
        return list(answers)

    def stream(self, texts: Iterable[Any]) -> Iterator[Answer]:
        """Yields the answers to an iterable of texts in order; raises the same errors as a call."""
        check_texts(texts, self.runner.reads_pairs)
        items, start = iter(texts), 0
        while chunk := list(itertools.islice(items, self.chunk)):
            yield from self._answers(chunk, start)
            start += len(chunk)

    async def run_async(self, texts: Any) -> Any:
        """As a call, in a thread, so that the event loop goes on meanwhile."""
        import asyncio  # which takes a third of the time that a small model loads in

        return await asyncio.to_thread(self, texts)

    async def stream_async(
        self, texts: AsyncIterable[Any] | Iterable[Any]
    ) -> AsyncIterator[Answer]:
        """As `stream`, of texts that may come asynchronously; a chunk at a time goes to a thread."""
        import asyncio

        check_texts(texts, self.runner.reads_pairs)
        start = 0
        async for chunk in _chunks(texts, self.chunk):
            for answer in await asyncio.to_thread(lambda *a: [*self._answers(*a)], chunk, start):
                yield answer
            start += len(chunk)

    def _answers(self, items: Sequence[Any], start: int) -> Iterator[Answer]:
        for answer in self.runner.answer(items, self.policy, self.truncate, self.top_k, start):
            if isinstance(answer, Failure) and self.on_error == "raise":
                raise BeexError(answer.error)
            yield answer


async def _chunks(texts: AsyncIterable[Any] | Iterable[Any], size: int) -> AsyncIterator[list[Any]]:
    if not isinstance(texts, AsyncIterable):
        items = iter(texts)
        while chunk := list(itertools.islice(items, size)):
            yield chunk
        return
    chunk = []
    async for text in texts:
        chunk.append(text)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def pipeline(
    path: str | os.PathLike[str],
    policy: ExitPolicy | None = None,
    truncate: bool = True,
    on_error: Literal["raise", "return"] = "raise",
    top_k: int | None = None,
    progress: bool = False,
    num_threads: int = 1,
) -> Pipeline:
    """Makes a `Pipeline` of the model that `beex_keras.load` loads.

    Args:
        path: a model's file, folder or name, as in `beex_keras.load`.
        policy, truncate, on_error, top_k, progress: as in `Pipeline`.
        num_threads: number of threads of Larq Compute Engine or the C engine.

    Raises:
        BeexError: as `beex_keras.load` and `Pipeline`.

    Example:
        >>> classify = beex.pipeline("sst2-micro", policy=beex.FixedDepth(2))
        >>> classify("what a lovely film").exit
        2
    """
    runner = load(path, num_threads)
    # All threads finish a chunk before the next begins: the more threads, the larger the chunk.
    chunk = num_threads * CHUNK
    return Pipeline(runner, policy, truncate, on_error, top_k, progress, chunk)
