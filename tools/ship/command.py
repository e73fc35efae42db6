"""The command that made a run, from its run.json."""

import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from beex_keras import exits
from beex_keras.cli.train import train
from beex_keras.errors import BeexError
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.training import TrainingConfig
from beex_keras.training.warm_starts import NONE

FILES = "files"
"""The task of a run on a single file."""

CORPORA = "corpora"
"""The folder of the corpora that `python -m benchmarks.corpora` writes, for commands."""

ROLES = ("init", "teacher")
"""The models of a run.json from which a run started or learned."""

_OF_DATA = {"num_classes", "num_segments", "separator_id"}
"""Fields of a model's configuration that follow from the data."""

_SEED = "SEED"
"""The seed of a command, until all commands are known."""


def training_command(
    settings: dict[str, Any],
    name: str,
    seed: str = "$seed",
    earlier: dict[str, dict[str, Any]] | None = None,
    packaged: dict[str, str] | None = None,
    unlabelled: Mapping[str, str] | None = None,
    shared: Iterable[str] = (),
    before: str = "",
) -> str:
    """The `beex train` command of a run, as a shell reads it, after the commands of the runs that it needs.

    Args:
        settings: the run.json.
        name: run folders are called runs/name-seed.
        seed: the seed of the command.
        earlier: run.jsons of trainings that this one started or learned from, by their weights.
        packaged: names of packaged models, by their weights.
        unlabelled: the files of texts without a label that these learned from, by their hashes.
        shared: weights of those in `earlier` that all seeds have in common; they keep their own seed.
        before: the file of labelled texts of a run in `earlier`, if it was not trained on a corpus.

    Raises:
        BeexError: a start from a run that is not among `earlier`, or texts without a label that have no name.
    """
    commands = _Commands(earlier or {}, packaged or {}, unlabelled or {}, frozenset(shared), before)
    commands.add(settings, name, _SEED)
    return "\n  ".join(commands.found).replace(_SEED, seed)


@dataclasses.dataclass
class _Commands:
    """Commands in the order in which they have to run."""

    earlier: dict[str, dict[str, Any]]
    packaged: dict[str, str]
    unlabelled: Mapping[str, str]
    shared: frozenset[str]
    before: str
    found: list[str] = dataclasses.field(default_factory=list)
    names: dict[str, str] = dataclasses.field(default_factory=dict)

    def add(self, run: dict[str, Any], name: str, seed: str) -> None:
        words = ["beex", "train", *_data(run, self.before), *_configuration(run)]
        if "init" not in run and "teacher" in run:
            words += ["--init", NONE]  # else a teacher of the same shape gives the initial weights
        for role in ROLES:
            if role in run:
                words += [f"--{role}", self.source(role, run[role], name, seed)]
        for digest in run.get("unlabelled", ()):
            if digest not in self.unlabelled:
                fix = f"describe those of the SHA-256 {digest} in the file that --about names"
                raise BeexError(f"{name} learned from texts without a label; {fix}.")
            words += ["--unlabelled", self.unlabelled[digest]]
        self.found.append(f"{shlex.join(words)} --seed {seed} -o runs/{name}-{seed}")

    def source(self, role: str, identity: dict[str, Any], name: str, seed: str) -> str:
        """The value of --init or --teacher; adds the commands of another run.

        All seeds share some runs. Only the first of equal commands trains; the others read the finished run.
        """
        if identity["kind"] == "encoder":
            return identity["name"]
        weights = identity["weights"]
        if weights in self.packaged:
            return self.packaged[weights]
        if weights not in self.earlier:
            raise BeexError(f"The run that is the {role} of {name} is missing; give it, too.")
        if weights not in self.names:
            run, other = self.earlier[weights], f"{name}-{role}"
            has_own = seed != _SEED or weights in self.shared
            own = str(run["training"]["seed"]) if has_own else seed
            self.names[weights] = f"{other}-{own}"
            self.add(run, other, own)
        return f"runs/{self.names[weights]}"


def _data(run: dict[str, Any], file: str) -> list[str]:
    found = {FILES: file, "rotten_tomatoes": "rotten_tomatoes"}.get(run["task"])
    words = [found or f"{CORPORA}/{folder_of(run['task'])}"]
    if run["model"]["num_segments"] == 2:
        words += ["--pair-column", "pair"]
    if run.get("both_orders"):
        words += _option("both_orders", True)
    if "value_scale" in run and run["value_scale"]["least"] is None:
        words += _option("clip", False)
    return words


def _configuration(run: dict[str, Any]) -> list[str]:
    """The size of the model, and the fields in which the run differs from the preset and from `TrainingConfig`."""
    model, training = run["model"], run["training"]
    bits = BEExformerConfig.from_dict(model).precision.name
    preset, usual_model = _preset(model, bits)
    words = ["--recipe", "scratch", "--preset", preset, "--bits", bits]
    policy = exits.default("regression" if "value_scale" in run else "classification")
    # The default of the epochs depends on the number of texts.
    usual = {**TrainingConfig().hyperparameters(), "policy": policy, "epochs": None}
    # A recipe gives binarization_fraction also to a run without a start, which does not read it.
    ignored = {"seed"} if "init" in run else {"seed", "binarization_fraction"}
    words += _differences(model, usual_model, _OF_DATA)
    words += _differences(training, usual, ignored)
    layers = [run[role]["layers"] for role in ROLES if run.get(role, {}).get("layers")]
    return words + (_option("init_layers", layers[0]) if layers else [])


def _differences(own: dict[str, Any], usual: dict[str, Any], ignored: set[str]) -> list[str]:
    names = (name for name in own if name not in ignored and own[name] != usual[name])
    return [word for name in names for word in _option(name, own[name])]


def folder_of(task: str) -> str:
    """The name of a corpus' folder: "sst2" for the corpus "glue/sst2"."""
    return task.rpartition("/")[2]


def _preset(model: dict[str, Any], bits: str) -> tuple[str, dict[str, Any]]:
    """The preset from which the model differs in the fewest fields, and its fields at these bits."""
    found = {name: BEExformerConfig.preset(name, bits).to_dict() for name in PRESETS}
    best = min(found, key=lambda name: sum(model[key] != found[name][key] for key in model))
    return best, found[best]


def _option(name: str, value: Any) -> list[str]:
    """The words that set a field: an option of its own, or --set."""
    text = value if isinstance(value, str) else json.dumps(value)
    if any(parameter.name == name for parameter in train.params):
        return [f"--{name.replace('_', '-')}", text]
    return ["--set", f"{name}={text}"]
