"""model2vec: static embeddings of tokens, distilled from MiniLM, with a logistic regression on their mean."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import linear
import minilm

if TYPE_CHECKING:
    from beex_keras.data import Task


REQUIRES = ("model2vec",)
_FOLDER = "static"


def files(folder: Path) -> list[Path]:
    return [*(folder / _FOLDER).iterdir(), folder / linear.FILE]


def fit(task: "Task", folder: Path, seed: int) -> None:
    from model2vec.distill import distill

    made = distill(str(minilm.source()), pca_dims=256)
    made.save_pretrained(folder / _FOLDER)
    linear.fit(task, lambda texts: made.encode(list(texts)), folder)


def load(folder: Path) -> Callable[[Sequence[str]], Any]:
    from model2vec import StaticModel

    model, choose = StaticModel.from_pretrained(folder / _FOLDER), linear.load(folder)
    return lambda texts: choose(model.encode(list(texts), use_multiprocessing=False))
