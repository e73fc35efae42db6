"""Texts in, predictions out: a runner with its settings made once."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

from beex_keras.exits import ExitPolicy
from beex_keras.runtime.loading import load
from beex_keras.runtime.runner import CHUNK, Prediction, Runner


@dataclasses.dataclass
class Pipeline:
    """Classifies one text, thousands, or a stream of them.

    Texts of like length go through the model together. Give it as many as there are: a list is
    answered by a list, an iterator is read a chunk at a time, so memory does not grow with it.

    Args:
        runner: from `beex_keras.load`.
        policy: an exit policy in place of the model's own.
        truncate: cut texts that are longer than the model reads instead of refusing them.
        progress: show a progress bar over lists.
        chunk: texts held at a time by `stream`.

    Example:
        >>> classify = beex.pipeline("sst2-micro")
        >>> classify("a gorgeous, witty, seductive movie.").label
        'positive'
    """

    runner: Runner
    policy: ExitPolicy | None = None
    truncate: bool = False
    progress: bool = False
    chunk: int = CHUNK

    def __call__(
        self, texts: str | Sequence[str], pairs: str | Sequence[str] | None = None
    ) -> Prediction | list[Prediction]:
        """One prediction for a text, a list of them for a list.

        Args:
            texts: a text or many.
            pairs: as many second texts, for a model of pairs.

        Raises:
            BeexError: as `Runner.classify`.
        """
        if isinstance(texts, str):
            (prediction,) = self.stream([texts], [pairs] if isinstance(pairs, str) else pairs)
            return prediction
        predictions = self.stream(texts, pairs)
        if self.progress:
            from rich.progress import track

            return list(track(predictions, "Texts", total=len(texts)))
        return list(predictions)

    def stream(
        self, texts: Iterable[str], pairs: Iterable[str] | None = None
    ) -> Iterator[Prediction]:
        """The predictions of an iterable of texts, in order, as they are made."""
        return self.runner.stream(texts, pairs, self.policy, self.truncate, self.chunk)


def pipeline(
    path: str | os.PathLike[str],
    policy: ExitPolicy | None = None,
    truncate: bool = False,
    progress: bool = False,
    num_threads: int = 1,
) -> Pipeline:
    """The `Pipeline` of whatever model stands at `path`; it needs nothing else.

    Args:
        path: a ``.tflite`` or ``.beex`` file, a directory of segments, a ``.keras`` file or a run
            folder; or the name of a model that comes along.
        policy, truncate, progress: as of `Pipeline`.
        num_threads: threads of Larq Compute Engine or of the C engine.

    Raises:
        BeexError: nothing stands there, or nothing that can be loaded.

    Example:
        >>> classify = beex.pipeline("sst2-micro", policy=beex.FixedDepth(2))
        >>> classify("what a lovely film").exit
        2
    """
    return Pipeline(load(path, num_threads), policy, truncate, progress)
