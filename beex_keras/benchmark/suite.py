"""What a benchmark measures, as data: cells of task, variant and seed, from one TOML file."""

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from beex_keras import pretrained
from beex_keras.benchmark.code import code_version
from beex_keras.data import Split, Task, load_task
from beex_keras.errors import BeexError
from beex_keras.files import read_text
from beex_keras.models.config import BEExformerConfig
from beex_keras.training.config import TrainingConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent / "suites"
_FIELDS = {
    "suite": {
        "about",
        "preset",
        "seeds",
        "model",
        "training",
        "tasks",
        "variants",
        "groups",
    },
    "task": {
        "source",
        "model",
        "training",
        "metrics",
        "files",
        "pair_column",
        "rows",
        "train_rows",
    },
    "variant": {"preset", "model", "training", "start"},
    "start": {"init", "init_layers", "teacher"},
    "group": {"table", "tasks", "variants", "seeds"},
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training of a suite: a classifier on a task.

    Attributes:
        task, variant: their names in the suite.
        seed: of the training.
        model, training: its settings, the seed included.
        data: hash of the task's texts and labels.
        start: what it starts from and learns from: `init` and `teacher` as for `beex train`, and
            `init_layers`; empty for a training from chance.
        earlier: other trainings of the suite in their place, by "init" and "teacher".
    """

    task: str
    variant: str
    seed: int
    model: BEExformerConfig
    training: TrainingConfig
    data: str
    start: dict[str, Any] = dataclasses.field(default_factory=dict)
    earlier: dict[str, "Cell"] = dataclasses.field(default_factory=dict)

    @property
    def title(self) -> str:
        """What people call it: "trec, weights-only, seed 0"."""
        return f"{self.task}, {self.variant}, seed {self.seed}"

    @property
    def key(self) -> str:
        """Hash of all that the result follows from: settings, data, packaged models and code.

        The names of task and variant do not count, so that a training that two tables need is
        done once.
        """
        return self.key_by(code_version())

    @property
    def settings(self) -> str:
        """Hash of settings and data: the key, whatever the code."""
        return self.key_by("")

    def key_by(self, code: str) -> str:
        """The key under another version of the code."""
        parts: list[Any] = [self.model.to_dict(), self.training.to_dict(), self.data, code]
        if self.start:
            parts.append(self.start)
        packaged = {
            role: pretrained.fingerprint(source)
            for role, source in self.start.items()
            if source in pretrained.names()
        }
        if packaged:  # one name is another model in another release
            parts.append(packaged)
        if self.earlier:
            parts.append({role: cell.key_by(code) for role, cell in self.earlier.items()})
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def folder(self) -> str:
        """Name of its folder, readable and unique."""
        return self.folder_by(code_version())

    def folder_by(self, code: str) -> str:
        """The name under another version of the code."""
        return f"{self.task.replace('/', '-')}-{self.seed}-{self.key_by(code)}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "variant": self.variant,
            "seed": self.seed,
            "model": self.model.to_dict(),
            "training": self.training.to_dict(),
            "data": self.data,
            "start": self.start,
            "earlier": {role: cell.folder for role, cell in self.earlier.items()},
            "code": code_version(),
        }


@dataclasses.dataclass(frozen=True)
class Group:
    """Cells that belong together: every variant on every task with every seed.

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
        groups: in the order in which cells are trained.
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
        training split alone.

        Raises:
            BeexError: its data is missing or faulty.
        """
        values = self._of("tasks", name)
        if "files" in values:
            folder = Path(data_dir or ".")
            files = {part: folder / file for part, file in values["files"].items()}
            task = load_task("files", pair_column=values.get("pair_column"), **files)
        else:  # the packaged task reads no folder; all others look into the same one
            source = values.get("source", name)
            task = load_task(source, data_dir=None if source == "rotten_tomatoes" else data_dir)
        splits: dict[str, Any] = {}
        notes = [task.notes]
        for field, parts in (("rows", ("train", "validation", "test")), ("train_rows", ("train",))):
            if field in values:
                splits |= {part: _draw(getattr(task, part), values[field]) for part in parts}
                what = "training texts" if field == "train_rows" else "texts of each"
                notes.append(f"at most {values[field]:,} {what}")
        return dataclasses.replace(task, name=name, notes="; ".join(notes), **splits)

    def cells(self, tasks: Mapping[str, Task]) -> list[Cell]:
        """All trainings on the given tasks in the order in which to do them.

        Each name of task, variant and seed comes once; two names may mean the same training. What
        a training starts from or learns from comes before it.

        Raises:
            BeexError: a setting that does not exist or is out of range.
        """
        data = {name: task.fingerprint() for name, task in tasks.items()}
        cells: dict[tuple[str, str, int], Cell] = {}

        def add(cell: Cell) -> None:
            for earlier in cell.earlier.values():
                add(earlier)
            cells.setdefault((cell.task, cell.variant, cell.seed), cell)

        for group in self.groups:
            for seed in group.seeds:
                for task in group.tasks:
                    for variant in group.variants:
                        if {task, *self._tasks_before(variant)} <= set(tasks):
                            add(self.cell(task, variant, seed, data[task], data))
        return list(cells.values())

    def cell(
        self,
        task: str,
        variant: str,
        seed: int,
        data: str,
        others: Mapping[str, str] = MappingProxyType({}),
    ) -> Cell:
        """The cell of these names; settings of the task go over the suite's, the variant's over both.

        `data` is the hash of the task's texts and labels, `others` are those of tasks by their names,
        for a start that is trained on another one.
        """
        layers = [self.values, self._of("tasks", task), self._of("variants", variant)]
        model, training = (
            {name: value for layer in layers for name, value in layer.get(part, {}).items()}
            for part in ("model", "training")
        )
        unknown = set(training) - {field.name for field in dataclasses.fields(TrainingConfig)}
        if unknown or "seed" in training:
            raise BeexError(
                f"The suite {self.name} sets training.{'seed' if 'seed' in training else min(unknown)} "
                f"of {variant} on {task}; it is "
                + ("set by 'seeds'." if "seed" in training else "no field of TrainingConfig.")
            )
        preset = self._of("variants", variant).get("preset", self.values.get("preset", "tiny"))
        start = self._of("variants", variant).get("start", {})
        return Cell(
            task, variant, seed,
            BEExformerConfig.preset(preset, **model),
            TrainingConfig(**training, seed=seed),
            data,
            {name: value for name, value in start.items() if not isinstance(value, dict)},
            {
                role: self.cell(
                    value.get("task", task),
                    value["variant"],
                    seed,
                    others.get(value["task"], "") if "task" in value else data,
                    others,
                )
                for role, value in start.items()
                if isinstance(value, dict)
            },
        )  # fmt: skip

    def _of(self, kind: str, name: str) -> dict[str, Any]:
        return self.values.get(kind, {}).get(name, {})


def _draw(split: Split, rows: int) -> Split:
    return split.rows(np.random.default_rng(0).permutation(len(split))[:rows])


def names() -> list[str]:
    """Names of the packaged suites."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def load_suite(name: str | os.PathLike[str]) -> Suite:
    """A packaged suite by its name, or one's own by the path of its .toml file.

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
    variants = values.get("variants", {})
    for name in variants:
        _check_order(str(name), variants, path)
    default_seeds = values.get("seeds", [0])
    groups = []
    for entry in values.get("groups", []):
        _check_names("group", entry, path)
        missing = {"table", "tasks", "variants"} - set(entry)
        if missing:
            raise BeexError(f"A group of the suite {path} lacks '{min(missing)}'; add it.")
        unknown = [v for v in entry["variants"] if v not in variants]
        if unknown:
            raise BeexError(f"The suite {path} has no variant '{unknown[0]}'; describe it there.")
        groups.append(
            Group(
                entry["table"],
                tuple(entry["tasks"]),
                tuple(entry["variants"]),
                tuple(entry.get("seeds", default_seeds)),
            )
        )
    if not groups:
        raise BeexError(f"The suite {path} has no [[groups]], so there is nothing to do; add one.")
    return Suite(path.stem, values.pop("about", ""), values, tuple(groups))


def _check_order(
    name: str,
    variants: Mapping[str, Any],
    path: Path,
    later: tuple[str, ...] = (),
) -> None:
    """A variant that starts from or learns from others must not wait for itself."""
    if name not in variants:
        raise BeexError(f"The suite {path} has no variant '{name}'; describe it there.")
    if name in later:
        raise BeexError(f"The variant {name} of the suite {path} starts from itself.")
    for role, value in variants[name].get("start", {}).items():
        if not isinstance(value, dict):
            continue
        if role == "init_layers" or not {"variant"} <= set(value) <= {"variant", "task"}:
            raise BeexError(
                f"start.{role} of the suite {path} is {value}; another training is given as "
                '{ variant = "its name" }, with a task = "its name" if it is of another one, for '
                "init or teacher."
            )
        _check_order(value["variant"], variants, path, (*later, name))


def _check_names(kind: str, values: Any, path: Path) -> None:
    if not isinstance(values, dict):
        raise BeexError(f"A {kind} of the suite {path} must be a table of named values.")
    unknown = sorted(set(values) - _FIELDS[kind])
    if unknown:
        known = ", ".join(sorted(_FIELDS[kind]))
        raise BeexError(f"A {kind} of the suite {path} has no '{unknown[0]}'; known are {known}.")
