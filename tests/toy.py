"""A task so small and plain that a model learns it in seconds."""

import json
from pathlib import Path

import numpy as np

GOOD, BAD = ["good", "great", "fine", "lovely"], ["bad", "awful", "poor", "boring"]
NOUNS = ["film", "plot", "cast", "story", "score"]
FILL = ["the", "a", "this", "really", "so", "quite"]


def toy_rows(count: int, seed: int) -> list[dict[str, str]]:
    """Sentences whose label is told by one word, between words that tell nothing."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        label = str(generator.choice(["negative", "positive"]))
        word = generator.choice(GOOD if label == "positive" else BAD)
        filler = list(generator.choice(FILL, generator.integers(1, 7)))
        rows.append({"text": " ".join([*filler, word, generator.choice(NOUNS)]), "label": label})
    return rows


def write_toy_files(directory: Path, train: int = 200, others: int = 60) -> dict[str, Path]:
    """train, validation and test as JSON lines, with so many rows: arguments of `load_task`."""
    counts = {"train": train, "validation": others, "test": others}
    for seed, (name, count) in enumerate(counts.items()):
        lines = (json.dumps(row) for row in toy_rows(count, seed))
        (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return toy_files(directory)


def write_toy_snips(directory: Path) -> Path:
    """A folder of data sets that has the task snips alone."""
    (directory / "snips").mkdir()
    lines = (json.dumps(row) for row in toy_rows(300, 0))
    (directory / "snips" / "train.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return directory


def toy_files(directory: Path) -> dict[str, Path]:
    """The files of `write_toy_files`, as arguments of `load_task`."""
    parts = {"data": "train", "validation": "validation", "test": "test"}
    return {argument: directory / f"{name}.jsonl" for argument, name in parts.items()}


def data_options(directory: Path) -> list[str]:
    """The files of `write_toy_files`, as arguments of a command."""
    data, *others = (f"{directory / name}.jsonl" for name in ("train", "validation", "test"))
    return [data, f"--validation={others[0]}", f"--test={others[1]}"]


TOY_SIZE = {
    "vocabulary_size": 80,
    "max_length": 12,
    "width": 16,
    "num_heads": 2,
    "hidden_width": 24,
    "num_blocks": 2,
}
"""Overrides of a preset for a model that trains in a moment."""
