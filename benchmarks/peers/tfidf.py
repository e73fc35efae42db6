"""TF-IDF of words and pairs of words, with a logistic regression, in scikit-learn."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beex_keras.data import Task


REQUIRES = ("scikit-learn",)
_FILE = "model.joblib"


def files(folder: Path) -> list[Path]:
    return [folder / _FILE]


def fit(task: "Task", folder: Path, seed: int) -> None:
    import joblib

    from baselines import tfidf_model

    joblib.dump(tfidf_model(task), folder / _FILE)


def load(folder: Path) -> Callable[[Sequence[str]], Any]:
    import joblib

    return joblib.load(folder / _FILE).predict
