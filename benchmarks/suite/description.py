"""What a benchmark measures, as data: trainings of task, variant and seed, from one TOML file."""

import dataclasses
import hashlib
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import baselines
import corpora
from baselines import Baseline
from beex_keras.data import Split, Task, load_task
from beex_keras.errors import BeexError
from beex_keras.files import read_text
from beex_keras.models.config import BEExformerConfig
from beex_keras.training import TrainingConfig
from suite.trial import Trial

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent / "suites"
_FIELDS = {
    "suite": "about preset seeds model training tasks variants groups",
    "task": "source files pair_column rows train_rows rows_per_label both_orders frozen_minilm metrics model training unlabelled",
    "variant": "preset model training arguments start",
    "start": "init init_layers teacher unlabelled",
    "group": "table tasks variants seeds",
}


_FIXED = {"policy": "confidence", "matmul_dtype": "float32"}
"""Fields that `train` would choose by the task and the machine."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Trainings that belong together: every variant on every task with every seed.

    Attributes:
        table: title of the table that shows them; groups of one title share a table.
        tasks, variants: names.
        seeds: of the trainings.
    """

    table: str
    tasks: tuple[str, ...]
    variants: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Suite:
    """A suite as its file says it.

    Attributes:
        name: of the file.
        about: what it is for, in a sentence.
        values: the file's other contents, checked for unknown names only.
        groups: in the order in which their trainings are done.
    """

    name: str
    about: str
    values: dict[str, Any]
    groups: tuple[Group, ...]

    @property
    def tasks(self) -> list[str]:
        """Names of all tasks, in the order of their first use; last, those only started from."""
        used = [task for group in self.groups for task in group.tasks]
        variants = dict.fromkeys(v for group in self.groups for v in group.variants)
        return list(dict.fromkeys([*used, *(t for v in variants for t in self._tasks_before(v))]))

    def _tasks_before(self, variant: str) -> list[str]:
        """Names of the other tasks that a variant's start is trained on."""
        tasks = []
        for value in self._of("variants", variant).get("start", {}).values():
            if isinstance(value, dict):
                tasks += [value["task"]] if "task" in value else []
                tasks += self._tasks_before(value["variant"])
        return tasks

    def metrics(self, task: Task, name: str) -> list[str]:
        """The task's own metric, and those that the suite asks for besides."""
        return list(dict.fromkeys([task.metric, *self._of("tasks", name).get("metrics", [])]))

    def load(self, name: str, data_dir: str | os.PathLike[str] | None) -> Task:
        """The task of that name, or of a user's files, whose paths are relative to `data_dir`.

        A task with a `source` is that task under a name of its own. Where the suite says `rows`,
        each split keeps that many texts at most, drawn at random; `train_rows` is the same for the
        training split alone, and `rows_per_label` that many of each label. With `both_orders` that has each
        pair in both orders.

        Raises:
            BeexError: its data is missing or faulty.
        """
        values, task = self._of("tasks", name), self._whole(name, data_dir)
        splits: dict[str, Any] = {}
        notes = [task.notes]
        for field, parts, what in (
            ("rows", ("train", "validation", "test"), "texts of each"),
            ("train_rows", ("train",), "training texts"),
        ):
            if field in values:
                splits |= {part: _draw(getattr(task, part), values[field]) for part in parts}
                notes.append(f"at most {values[field]:,} {what}")
        if most := values.get("rows_per_label"):
            splits["train"] = _draw_per_label(splits.get("train", task.train), most)
            notes.append(f"at most {most:,} training texts per label")
        task = dataclasses.replace(task, name=name, notes="; ".join(notes), **splits)
        return task.in_both_orders() if values.get("both_orders") else task

    def _whole(self, name: str, data_dir: str | os.PathLike[str] | None) -> Task:
        """The task before rows are drawn from it."""
        values = self._of("tasks", name)
        if "files" in values:
            folder = Path(data_dir or ".")
            files = {part: folder / file for part, file in values["files"].items()}
            train = files.pop("train")
            return load_task(train, pair_column=values.get("pair_column"), **files)
        return corpora.load(values.get("source", name), data_dir)

    def unlabelled(self, task: Task, data_dir: str | os.PathLike[str] | None) -> list[str]:
        """Lines of the task's file of texts without labels, or of the training texts that a loaded task left out.

        Raises:
            BeexError: the file is missing, or is not the one that the suite means.
        """
        if given := self._of("tasks", task.name).get("unlabelled"):
            return _lines_of_file(Path(data_dir or ".") / given["file"], given["sha256"])
        kept = set(_lines(task.train))
        return [line for line in _lines(self._whole(task.name, data_dir).train) if line not in kept]

    def baselines(self, task: Task, name: str) -> dict[str, Baseline]:
        """The baselines of a task; with frozen embeddings of MiniLM if the suite asks for them."""
        return baselines.of(task, self._of("tasks", name).get("frozen_minilm", False))

    def trials(self, tasks: Mapping[str, Task]) -> list[Trial]:
        """All trainings on the given tasks in the order in which to do them.

        Each name of task, variant and seed comes once; two names may mean the same training. What
        a training starts from or learns from comes before it.

        Raises:
            BeexError: a setting that does not exist or is out of range.
        """
        data = {name: task.fingerprint() for name, task in tasks.items()}
        found: dict[tuple[str, str, int], Trial] = {}

        def add(trial: Trial) -> None:
            for earlier in trial.earlier.values():
                add(earlier)
            found.setdefault((trial.task, trial.variant, trial.seed), trial)

        for group in self.groups:
            for seed, task, variant in itertools.product(group.seeds, group.tasks, group.variants):
                if {task, *self._tasks_before(variant)} <= set(tasks):
                    add(self.trial(task, variant, seed, data))
        return list(found.values())

    def trial(self, task: str, variant: str, seed: int, data: Mapping[str, str]) -> Trial:
        """The training of these names; settings of the task go over the suite's, the variant's over both.

        `data` are the hashes of tasks' texts and labels, by the tasks' names.
        """
        own = self._of("variants", variant)
        model, training = (
            {
                k: v
                for layer in (self.values, self._of("tasks", task), own)
                for k, v in layer.get(part, {}).items()
            }
            for part in ("model", "training")
        )
        known = TrainingConfig().hyperparameters().keys() - {"seed"}
        for name in sorted(set(training) - known):
            why = "set by 'seeds'" if name == "seed" else "no field of TrainingConfig"
            raise BeexError(
                f"The suite {self.name} sets training.{name} of {variant} on {task}; it is {why}."
            )
        start = dict(own.get("start", {}))
        earlier = {role: value for role, value in start.items() if isinstance(value, dict)}
        # The hash is part of what the result follows from.
        if start.get("unlabelled") and "unlabelled" in self._of("tasks", task):
            start["unlabelled"] = self._of("tasks", task)["unlabelled"]
        return Trial(
            task,
            variant,
            seed,
            BEExformerConfig.preset(own.get("preset", self.values.get("preset", "tiny")), **model),
            TrainingConfig(**{**_FIXED, **training}, seed=seed),
            data.get(task, ""),
            {role: value for role, value in start.items() if role not in earlier},
            {
                role: self.trial(
                    value.get("task", task), value["variant"], value.get("seed", seed), data
                )
                for role, value in earlier.items()
            },
            own.get("arguments", {}),
        )

    def _of(self, kind: str, name: str) -> dict[str, Any]:
        return self.values.get(kind, {}).get(name, {})


def _draw(split: Split, rows: int) -> Split:
    return split.rows(np.random.default_rng(0).permutation(len(split))[:rows])


def _lines(split: Split) -> list[str]:
    """Its texts, or its pairs with a tab between their texts."""
    if split.pairs is None:
        return list(split.texts)
    return ["\t".join(row) for row in zip(split.texts, split.pairs, strict=True)]


def _lines_of_file(path: Path, sha256: str) -> list[str]:
    text = read_text(path, "file of unlabelled texts")
    found = hashlib.sha256(text.encode()).hexdigest()
    if not found.startswith(sha256):
        raise BeexError(
            f"{path} is another file than the suite means: its SHA-256 begins with {found[:16]} and not "
            f"with {sha256}; make it again as the suite's comment says."
        )
    return text.splitlines()


def _draw_per_label(split: Split, rows: int) -> Split:
    order = np.random.default_rng(0).permutation(len(split))
    labels = split.labels[order]
    kept = [order[labels == label][:rows] for label in np.unique(labels)]
    return split.rows(np.sort(np.concatenate(kept)))


def names() -> list[str]:
    """Names of the suites that are here."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def load_suite(name: str | os.PathLike[str]) -> Suite:
    """A suite that is here by its name, or one's own by the path of its .toml file.

    Raises:
        BeexError: there is no such suite, or its file is faulty.
    """
    path = Path(name)
    if path.suffix != ".toml":
        path = _FOLDER / f"{name}.toml"
        if not path.is_file():
            raise BeexError(
                f"There is no suite '{name}'; choose {', '.join(names())}, or give a .toml file."
            )
    try:
        values = tomllib.loads(read_text(path, "suite"))
    except tomllib.TOMLDecodeError as error:
        raise BeexError(f"The suite {path} is not valid TOML: {error}.") from None
    _check_names("suite", values, path)
    for kind in ("task", "variant"):
        for entry in values.get(f"{kind}s", {}).values():
            _check_names(kind, entry, path)
            _check_names("start", entry.get("start", {}), path)
            _check_unlabelled(entry.get("unlabelled"), path)
    for variant in values.get("variants", {}):
        _check_order(variant, values["variants"], path)
    groups = tuple(_group(entry, values, path) for entry in values.get("groups", []))
    if not groups:
        raise BeexError(f"The suite {path} has no [[groups]], so there is nothing to do; add one.")
    return Suite(path.stem, values.pop("about", ""), values, groups)


def _group(entry: Any, values: dict[str, Any], path: Path) -> Group:
    _check_names("group", entry, path)
    missing = {"table", "tasks", "variants"} - set(entry)
    if missing:
        raise BeexError(f"A group of the suite {path} lacks '{min(missing)}'; add it.")
    for variant in entry["variants"]:
        _check_variant(variant, values.get("variants", {}), path)
    seeds = entry.get("seeds", values.get("seeds", [0]))
    return Group(entry["table"], *map(tuple, (entry["tasks"], entry["variants"], seeds)))


def _check_unlabelled(value: Any, path: Path) -> None:
    if value is not None and (not isinstance(value, dict) or {*value} != {"file", "sha256"}):
        raise BeexError(
            f"The suite {path} gives unlabelled = {value}; give a task's file of texts without labels as "
            '{ file = "its name in the data folder", sha256 = "how its SHA-256 begins" }.'
        )


def _check_variant(name: str, variants: Mapping[str, Any], path: Path) -> None:
    if name not in variants:
        raise BeexError(f"The suite {path} has no variant '{name}'; describe it there.")


def _check_order(
    name: str, variants: Mapping[str, Any], path: Path, later: tuple[str, ...] = ()
) -> None:
    """A variant that starts from or learns from others must not wait for itself."""
    _check_variant(name, variants, path)
    if name in later:
        raise BeexError(f"The variant {name} of the suite {path} starts from itself.")
    for role, value in variants[name].get("start", {}).items():
        if not isinstance(value, dict):
            continue
        given = set(value)
        if role == "init_layers" or not {"variant"} <= given <= {"variant", "task", "seed"}:
            raise BeexError(
                f"start.{role} of the suite {path} is {value}; another training is given as "
                '{ variant = "its name" }, with a task = "its name" if it is of another one and with a '
                "seed = NUMBER if all seeds share one, for init or teacher."
            )
        _check_order(value["variant"], variants, path, (*later, name))


def _check_names(kind: str, values: Any, path: Path) -> None:
    if not isinstance(values, dict):
        raise BeexError(f"A {kind} of the suite {path} must be a table of named values.")
    known = sorted(_FIELDS[kind].split())
    for name in sorted(set(values) - set(known)):
        raise BeexError(
            f"A {kind} of the suite {path} has no '{name}'; known are {', '.join(known)}."
        )
