"""MiniLM as it comes, in ONNX Runtime, with a logistic regression on the mean of its tokens."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import linear
import minilm
import numpy as np

if TYPE_CHECKING:
    from beex_keras.data import Task


REQUIRES = minilm.REQUIRES
_BATCH = 64


def files(folder: Path) -> list[Path]:
    return [folder / minilm.FLOAT32, folder / minilm.TOKENIZER, folder / linear.FILE]


def fit(task: "Task", folder: Path, seed: int) -> None:
    minilm.copy_tokenizer(folder)
    minilm.export(minilm.classifier(None).eval(), folder / minilm.FLOAT32)
    embed = _embedder(folder)
    linear.fit(task, lambda texts: _in_order_of_length(embed, texts), folder)


def load(folder: Path, length: int | None = None) -> Callable[[Sequence[str]], Any]:
    embed, choose = _embedder(folder, length), linear.load(folder)
    return lambda texts: choose(embed(texts))


def _embedder(folder: Path, length: int | None = None) -> Callable[[Sequence[str]], np.ndarray]:
    tokenize = minilm.tokenizer(folder, length)
    run = minilm.session(folder / minilm.FLOAT32)

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = run(tokenize(texts))
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    return embed


def _in_order_of_length(
    embed: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str]
) -> np.ndarray:
    """Embeddings of many texts, in batches of like length, so that little padding is computed."""
    order = np.argsort([len(text) for text in texts], kind="stable")
    parts = np.array_split(order, -(-len(texts) // _BATCH))
    found = np.concatenate([embed([texts[row] for row in part]) for part in parts])
    result = np.empty_like(found)
    result[order] = found
    return result
