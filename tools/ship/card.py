"""From run folders to the figures of a card: choice of the seed, accuracy, baselines, failures."""

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from command import FILES, ROLES, folder_of, training_command

import baselines
from beex_keras import exits, pretrained
from beex_keras.data import Task, load_task
from beex_keras.errors import BeexError
from beex_keras.evaluation import evaluate_runner, score
from beex_keras.export import beex as beex_format
from beex_keras.export.mcu import memory
from beex_keras.files import read_text
from beex_keras.models import BEExformerConfig
from beex_keras.runtime import CRunner, Prediction, ValuePrediction
from beex_keras.text import read_vocabulary
from beex_keras.training import run_folder, warm_start
from suite.description import tomllib

ABOUT = Path(__file__).parent / "about"
LEAST_SEEDS = 3

_LENGTHS = [
    *((low, high, f"{low + 1} to {high} words") for low, high in pairwise((0, 5, 10, 20, 30))),
    (30, np.inf, "more than 30 words"),
]
_CONFIDENCES = [
    *((low, high, f"to {high:.1f}") for low, high in pairwise((0.0, 0.5, 0.7, 0.9))),
    (0.9, np.inf, "and more"),
]
"""Ranges of scores by which answers are counted, as `_LENGTHS` are ranges of words."""
_MOST_CONFUSIONS = 5


@dataclasses.dataclass(frozen=True)
class Finished:
    """A finished run folder.

    Attributes:
        folder: its run folder.
        settings: its run.json.
        results: its results.json.
    """

    folder: Path
    settings: dict[str, Any]
    results: dict[str, Any]

    @property
    def seed(self) -> int:
        return self.settings["training"]["seed"]

    @property
    def figures(self) -> dict[str, Any]:
        """The results of the form that ships: a weights-only model ships with 8-bit activations."""
        return self.results.get("w1a8", self.results)

    @property
    def validation(self) -> float:
        return self.figures["calibration"]["validation_accuracy"]


# === Runs ===


def read_runs(folders: tuple[Path, ...]) -> list[Finished]:
    """The runs, by seed.

    Raises:
        BeexError: one is not finished, two have one seed, or they differ in more than the seed.
    """
    runs = sorted(map(_finished, folders), key=lambda run: run.seed)
    if len({run.seed for run in runs}) < len(runs):
        raise BeexError("Two of the runs have the same seed; give runs each of another seed.")
    first, *others = (_without_seed(run.settings) for run in runs)
    if any(other != first for other in others):
        raise BeexError("The runs differ in more than the seed; give those of one training.")
    return runs


def _finished(folder: Path) -> Finished:
    if not (folder / run_folder.RESULTS).is_file():
        raise BeexError(f"{folder} is not a finished run; give run folders of beex train.")
    files = (folder / run_folder.SETTINGS, folder / run_folder.RESULTS)
    return Finished(folder, *(json.loads(read_text(file, "run")) for file in files))


def _without_seed(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that all seeds share; each may start or learn from a run of its own."""
    shared = {**settings, "training": {**settings["training"], "seed": None}}
    for role in ROLES:
        if "weights" in shared.get(role, {}):
            shared[role] = shared[role]["kind"]
    return shared


def read_earlier(folders: tuple[Path, ...]) -> dict[str, Finished]:
    """Runs that others started or learned from, by the names of their weights in run.json.

    Raises:
        BeexError: a folder holds no finished run of beex train.
    """
    return {warm_start(run.folder).identity["weights"]: run for run in map(_finished, folders)}


def shared_by(runs: list[Finished]) -> set[str]:
    """The names in run.json of the weights from which every one of the runs started or learned."""
    each = [{run.settings.get(role, {}).get("weights") for role in ROLES} for run in runs]
    return set.intersection(*each) - {None} if len(runs) > 1 else set()


def seeds(runs: list[Finished]) -> list[dict[str, Any]]:
    """The figures of all runs.

    Raises:
        BeexError: fewer than three.
    """
    if len(runs) < LEAST_SEEDS:
        raise BeexError(
            f"A card needs a spread: give {LEAST_SEEDS} runs or more, each of another seed."
        )
    return [seed_row(run) for run in runs]


def twins(earlier: dict[str, Finished], runs: list[Finished]) -> list[dict[str, Any]]:
    """The figures of the float32 twins that `runs` start or learn from themselves, by seed.

    `earlier` is from `read_earlier`; it may also hold the runs from which a twin started.
    """
    direct = {run.settings.get(role, {}).get("weights") for run in runs for role in ROLES}

    def shape(run: Finished) -> BEExformerConfig:
        config = BEExformerConfig.from_dict(run.settings["model"])
        return config.twin().replace(dropout=0.0, token_dropout=0.0)

    found = [
        run
        for weights, run in earlier.items()
        if run.settings["model"]["weight_bits"] == 32
        and shape(run) == shape(runs[0])
        and weights in direct
    ]
    return [seed_row(run) for run in sorted(found, key=lambda run: run.seed)]


def choose(runs: list[Finished]) -> Finished:
    """The run that is best on validation data with its calibrated exit; of equals the first seed."""
    return max(runs, key=lambda run: (run.validation, -run.seed))


def read_about(name: str) -> dict[str, Any]:
    """The description of the data and its use: `name` is that of a file in about/, or a path.

    Raises:
        BeexError: there is none, or it is not TOML.
    """
    file = Path(name) if name.endswith(".toml") else ABOUT / f"{name}.toml"
    try:
        return tomllib.loads(read_text(file, "description"))
    except tomllib.TOMLDecodeError as error:
        raise BeexError(f"{file} is not valid TOML: {error}.") from None


def _packaged(runs: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Names of packaged models from which runs started or learned, by the names of their weights in run.json."""
    if not any(run.get(role, {}).get("weights") for run in runs for role in ROLES):
        return {}
    return {warm_start(name).identity["weights"]: name for name in pretrained.names()}


# === The card ===


def describe(
    name: str,
    data: bytes,
    seeds: list[dict[str, Any]],
    chosen: Finished,
    about: dict[str, Any],
    data_path: str,
    starts_from: str,
    earlier: dict[str, dict[str, Any]],
    twins: list[dict[str, Any]],
    shared: Iterable[str] = (),
) -> dict[str, Any]:
    """All figures of a card, as plain values.

    Args:
        name: name of the model.
        data: the file that ships, on which all is measured.
        seeds, twins: the rows of all seeds, and of float32 twins.
        chosen: the run that `data` was made of.
        about: from `read_about`.
        data_path: the data of the training, as `beex train` reads it.
        starts_from: the origin of the weights from which the training started.
        earlier: run.jsons of trainings that it started or learned from, by their weights.
        shared: the weights from which the runs of all seeds started or learned.

    Raises:
        BeexError: the data is not what the run was trained on, or the description is of another task.
    """
    scale = chosen.settings.get("value_scale")
    if folder_of(about["task"]) != folder_of(chosen.settings["task"]):
        differ = f"The description is of {about['task']}, the runs are of {chosen.settings['task']}"
        raise BeexError(f"{differ}; give the --about of this task.")
    task = load_task(
        data_path,
        pair_column="pair" if chosen.settings["model"]["num_segments"] == 2 else None,
        both_orders=chosen.settings.get("both_orders", False),
        clip=scale is None or scale["least"] is not None,
    )
    vocabulary = read_vocabulary(chosen.folder / run_folder.VOCABULARY)
    if chosen.settings["data"] not in (task.fingerprint(), task.fingerprint(vocabulary)):
        raise BeexError("The runs were trained on other data; give --data as of the training.")
    runs = [chosen.settings, *earlier.values()]
    learned = {digest for run in runs for digest in run.get("unlabelled", ())}
    unlabelled = [texts for texts in about.get("unlabelled", ()) if texts["sha256"] in learned]
    before: dict[str, str] = {}
    for run in earlier.values():
        if run["task"] == FILES:
            before = about.get("before", {})
            if run["data"] != before.get("data"):
                raise BeexError(
                    "A training before these was on files that --about does not describe; give their data "
                    f"there: {run['data']}."
                )
    return {
        "name": name,
        "title": about["title"],
        "task": about["task"],
        "labels": list(task.labels),
        **({"value_scale": scale} if scale else {}),
        "languages": about["languages"],
        "metric": task.metric,
        "starts_from": starts_from,
        **{key: about[key] for key in ("intended_use", "limits")},
        "data": {
            "splits": task.notes,
            **about["data"],
            **{part: len(getattr(task, part)) for part in ("train", "validation", "test")},
        },
        **({"before": before} if before else {}),
        **({"unlabelled": unlabelled} if unlabelled else {}),
        "commands": training_command(
            chosen.settings,
            name,
            earlier=earlier,
            packaged=_packaged(runs),
            unlabelled={texts["sha256"]: texts["file"] for texts in unlabelled},
            before=before.get("file", ""),
            shared=shared,
        ),
        "seeds": seeds,
        "twins": twins,
        "shipped_seed": chosen.seed,
        "baselines": {
            name: score(task.test.labels, predict(task), task.metric)
            for name, predict in baselines.of(task).items()
        },
        **measure(data, task, about),
    }


def measure(data: bytes, task: Task, about: dict[str, Any]) -> dict[str, Any]:
    """The figures of a card that are measured on the file that ships."""
    runner = CRunner(data)
    return {
        "config": runner.config.to_dict(),
        "policy": exits.serialize(runner.policy),
        "validation": evaluate_runner(runner, task, task.validation).to_dict(),
        "test": evaluate_runner(runner, task, task.test).to_dict(),
        "file": _file(data, runner),
        "boards": _boards(data),
        "failures": _failures(task, runner, about.get("groups", {})),
        "probes": _probes(runner, about.get("probes", [])),
        "versions": runner.metadata.versions,
    }


def seed_row(run: Finished) -> dict[str, Any]:
    """The card's row of a run."""
    test = run.figures["test"]
    return {
        "seed": run.seed,
        "validation": run.validation,
        **{name: test[name] for name in ("score", "full_depth_score", "mean_depth", "flops_saved")},
    }


def _file(data: bytes, runner: CRunner) -> dict[str, Any]:
    sizes = beex_format.file_sizes(data)
    return {
        "bytes": sizes["total"],
        "weights": sizes["weights"],
        "vocabulary": sizes["vocabulary"],
        "vocabulary_entries": runner.preprocessor.vocabulary_size,
        "arena": sizes["arena"],
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _boards(data: bytes) -> list[dict[str, Any]]:
    """The memory that the model needs on each board that holds it."""
    found = [memory.footprint(data, board) for board in memory.boards().values()]
    return [
        {
            "board": needs.board.name,
            "core": needs.board.core,
            "flash": needs.flash,
            "ram": needs.ram,
            "board_flash": needs.board.flash,
            "board_ram": needs.board.ram,
        }
        for needs in found
        if needs.fits
    ]


# === Where it fails ===


def _failures(task: Task, runner: CRunner, groups: dict[str, str]) -> dict[str, Any]:
    """The number of test texts of each kind, and the share of right answers; for a regression the mean absolute error.

    Kinds of wording are `groups`: regular expressions by name.
    """
    test = task.test
    found = runner.classify(test.inputs())
    if task.problem_type == "regression":
        figure, names = "error", []
        each = np.abs([p.value for p in found] - test.labels)
    else:
        figure, names = "accuracy", [task.labels[number] for number in test.labels]
        each = np.array([p.label == name for p, name in zip(found, names, strict=True)])

    def row(name: str, chosen: np.ndarray) -> dict[str, Any]:
        count = int(chosen.sum())
        return {"of": name, "texts": count, figure: float(each[chosen].mean()) if count else None}

    # Both texts of a pair count.
    parts = [*zip(*filter(None, (test.texts, test.pairs)), strict=True)]
    words = np.array([len(" ".join(each).split()) for each in parts])
    ids = runner.encode(test.inputs())
    unknown = (ids == runner.preprocessor.vocabulary.index("[UNK]")).any(axis=1)
    by_wording = []
    for name, pattern in groups.items():
        wanted = re.compile(pattern, re.IGNORECASE)
        chosen = np.array([any(map(wanted.search, each)) for each in parts])
        by_wording += [row(name, chosen), row("all others", ~chosen)]
    by_class: dict[str, Any] = {}
    if task.problem_type != "regression":
        scores = np.array([p.score for p in found])
        by_class = {
            "confidence": [
                row(f"{low:.1f} {of}", (scores >= low) & (scores < high))
                for low, high, of in _CONFIDENCES
            ],
            "labels": [row(label, test.labels == n) for n, label in enumerate(task.labels)],
            "confusions": _confusions(names, found),
        }
    return {
        **by_class,
        "length": [row(of, (words > low) & (words <= high)) for low, high, of in _LENGTHS],
        "unknown": [row("with a word unknown to it", unknown), row("without", ~unknown)],
        "groups": by_wording,
    }


def _confusions(names: list[str], found: list[Prediction]) -> list[dict[str, Any]]:
    """The most frequent mistakes."""
    pairs = Counter((name, p.label) for p, name in zip(found, names, strict=True))
    wrong = sorted((-count, *pair) for pair, count in pairs.items() if pair[0] != pair[1])
    return [
        {"label": label, "answer": answer, "texts": -count}
        for count, label, answer in wrong[:_MOST_CONFUSIONS]
    ]


def _probes(runner: CRunner, probes: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Answers to the description's own sentences, or pairs of sentences, each about one weakness."""
    if not probes:
        return []
    found = runner.classify(
        [(probe["text"], probe["pair"]) for probe in probes]
        if runner.reads_pairs
        else [probe["text"] for probe in probes]
    )
    return [
        {**probe, "answer": round(p.value, 4), "exit": p.exit}
        if isinstance(p, ValuePrediction)
        else {**probe, "answer": p.label, "score": round(p.score, 4), "exit": p.exit}
        for probe, p in zip(probes, found, strict=True)
    ]
