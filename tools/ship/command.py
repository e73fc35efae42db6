"""The command that made a run, from the settings that its folder keeps."""

import dataclasses
import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from beex_keras import exits, pretrained
from beex_keras.cli.train import train
from beex_keras.errors import BeexError
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.training import TrainingConfig, binary_minilm, settings, transfer
from beex_keras.training.arguments import NEEDS, NONE, OF_DATA, TWIN, known

FILES = "files"
"""The task of a run on a user's own files."""

_SEED = "SEED"
"""What stands in the place of a seed until all commands are known."""


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
    """The `beex train` command of a run.json, as a shell reads it, behind those that it needs.

    Args:
        settings: the run.json.
        name: run folders are called runs/name-seed.
        seed: what stands in the seed's place.
        earlier: run.jsons of trainings that this one started or learned from, by their weights.
        packaged: names of packaged models, by their weights.
        unlabelled: the files of texts without a label that these learned from, by their hashes.
        shared: weights of those in `earlier` that all seeds have in common; they keep their own seed.
        before: the file of labelled texts of a run in `earlier`, if it was not trained on a task with a name.

    Raises:
        BeexError: a setting that no option sets, a start from a run that is not among `earlier`, or texts
            without a label that have no name.
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
        words = _words(run, self.start(run), self.before)
        # The call names the start of the twin; with few labels the run has another.
        sources = {**run, "init": run.get("teacher", {}).get("init", run.get("init"))}
        for role in ("init", "teacher"):
            if sources.get(role) is not None:
                words += self.source(role, sources[role], name, seed)
        from_encoder = run.get("init", {}).get("kind") == "encoder"
        if "teacher" not in run and from_encoder and run["model"]["weight_bits"] == 1:
            words += ["--teacher", NONE]  # with few texts it would be the twin
        for digest in run.get("unlabelled", ()):
            if digest not in self.unlabelled:
                fix = f"describe those of the SHA-256 {digest} in the file that --about names"
                raise BeexError(f"{name} learned from texts without a label; {fix}.")
            words += ["--unlabelled", self.unlabelled[digest]]
        self.found.append(f"{shlex.join(words)} --seed {seed} -o runs/{name}-{seed}")

    def start(self, run: dict[str, Any]) -> dict[str, Any]:
        """The settings of the model that a run started from, if it was one of ours."""
        weights = run.get("init", {}).get("weights", "")
        if weights in self.packaged:
            return pretrained.card(self.packaged[weights])["config"]
        return self.earlier.get(weights, {}).get("model", {})

    def source(self, role: str, its: dict[str, Any], name: str, seed: str) -> list[str]:
        """The words for what a run starts or learns from; adds the commands of another run.

        What all seeds share is trained once: the same command on a finished run only reads it.
        """
        if its["kind"] == "encoder":
            layers = its["layers"] if role == "init" else None
            chosen = json.dumps(layers, separators=(",", ":"))
            return [f"--{role}", its["name"], *(_option("init_layers", chosen) if layers else [])]
        if its["kind"] == TWIN:
            return [f"--{role}", TWIN]
        weights = its["weights"]
        if weights in self.packaged:
            return [f"--{role}", self.packaged[weights]]
        if weights not in self.earlier:
            raise BeexError(f"The run that is the {role} of {name} is missing; give it, too.")
        if weights not in self.names:
            run, other = self.earlier[weights], f"{name}-{role}"
            has_own = seed != _SEED or weights in self.shared
            own = str(run["training"]["seed"]) if has_own else seed
            self.names[weights] = f"{other}-{own}"
            self.add(run, other, own)
        return [f"--{role}", f"runs/{self.names[weights]}"]


def _words(run: dict[str, Any], before: dict[str, Any], file: str) -> list[str]:
    """The command without what it starts from (a model of ours with the settings `before`), seed and run folder."""
    model, training = run["model"], run["training"]
    mode = BEExformerConfig.from_dict(model).precision.name
    preset, base = _preset(model, mode)
    on_files = run["task"] == FILES
    words = ["beex", "train", file if on_files else run["task"]]
    if not on_files and run["task"] != "rotten_tomatoes":
        words += ["--data-dir", "DATA"]
    words += ["--preset", preset, "--bits", mode]
    base, defaults = _defaults(run, before, base)
    # Without a start or a teacher the command refuses what is about one.
    idle = {"seed"} | OF_DATA | {key for key, role in NEEDS.items() if run.get(role) is None}
    if "value_scale" in run:
        defaults["policy"] = exits.default(is_regression=True)
        idle.add("label_smoothing")  # numbers have none
        if run["value_scale"]["least"] is None:
            words += _option("clip", False)
    if run.get("both_orders"):
        words += _option("both_orders", True)
    if model["weight_bits"] != 1:
        idle.add("anneal")  # nothing turns binary
    defaults |= {"epochs": None, "batch_size": None}  # what follows from the data's size is told
    if run.get("teacher", {}).get("epochs", training["epochs"]) != training["epochs"]:
        idle.add("epochs")  # but not where the twin would have them, too
    for own, usual in ((model, base), (training, defaults)):
        for key, value in own.items():
            if key not in idle and value != usual.get(key):
                words += _option(key, value)
    return words


def _defaults(
    run: dict[str, Any], before: dict[str, Any], base: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the command would set by itself, of the model, where the preset has `base`, and of the training."""
    model, start = run["model"], run.get("init", {})
    is_encoder = start.get("kind") == "encoder"
    bits = dict.fromkeys(transfer.BITS, 32) if is_encoder else {}
    if before:
        bits = BEExformerConfig.from_dict(before).precision.learned_bits()
    defaults = TrainingConfig().to_dict()
    if start and settings.starts_warm(is_encoder, bits, model):
        defaults = TrainingConfig.warm(model["weight_bits"] == 1).to_dict()
    if start.get("name") in binary_minilm.FILES and model["weight_bits"] != 1:
        defaults |= settings.REAL_TRAINING
    elif is_encoder and model["weight_bits"] == 1:
        defaults["head_rate"] = None  # follows from the number of classes, so it is told
    by_twin = run.get("teacher", {}).get("kind") == TWIN
    if settings.is_taught(by_twin, is_encoder, bits, model["weight_bits"]):
        return base | settings.TAUGHT_MODEL, defaults | settings.TAUGHT_TRAINING
    return base, defaults


def _preset(model: dict[str, Any], mode: str) -> tuple[str, dict[str, Any]]:
    """The preset that the fewest settings differ from, and what it says at these bits."""
    found = {name: BEExformerConfig.preset(name, mode).to_dict() for name in PRESETS}
    best = min(found, key=lambda name: sum(model[key] != found[name].get(key) for key in model))
    return best, found[best]


def _option(name: str, value: Any) -> list[str]:
    """The words that set a value: an option of its own, or --set."""
    text = value if isinstance(value, str) else json.dumps(value)
    if any(parameter.name == name for parameter in train.params):
        return [f"--{name.replace('_', '-')}", text]
    if name not in known():
        raise BeexError(f"No option of beex train sets {name}, so its command cannot be told.")
    return ["--set", f"{name}={text}"]
