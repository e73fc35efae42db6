"""The command that made a run, from the settings that its folder keeps."""

import shlex
from typing import Any

from beex_keras.cli.train import START_SETTINGS, starts_warm, train
from beex_keras.errors import BeexError
from beex_keras.models import PRESETS, BEExformerConfig
from beex_keras.precision import Precision
from beex_keras.training import TrainingConfig, transfer


def training_command(
    settings: dict[str, Any],
    name: str,
    seed: str = "$seed",
    earlier: dict[str, dict[str, Any]] | None = None,
) -> str:
    """The `beex train` command of a run.json, as a shell reads it, behind those that it needs.

    Args:
        settings: the run.json.
        name: run folders are called runs/name-seed.
        seed: what stands in the seed's place.
        earlier: run.jsons of trainings that this one started or learned from, by their weights.

    Raises:
        BeexError: a setting that no option sets, or a start from a run that is not among `earlier`.
    """
    commands: list[str] = []
    names: dict[str, str] = {}

    def add(settings: dict[str, Any], name: str) -> None:
        words = _words(settings, earlier or {})
        for role in ("init", "teacher"):
            source = settings.get(role)
            if source is None:
                continue
            if source["kind"] == "donor":
                words += [f"--{role}", source["name"]]
                if role == "init" and source["layers"]:
                    words += ["--init-layers", ",".join(map(str, source["layers"]))]
                continue
            weights = source["weights"]
            if weights not in (earlier or {}):
                raise BeexError(f"The run that is the {role} of {name} is missing; give it, too.")
            if weights not in names:
                names[weights] = f"{name}-{role}"
                add(earlier[weights], names[weights])
            words += [f"--{role}", f"runs/{names[weights]}-SEED"]
        command = f"{shlex.join(words)} --seed SEED -o runs/{name}-SEED"
        commands.append(command.replace("SEED", seed))

    add(settings, name)
    return "\n  ".join(commands)


def _words(settings: dict[str, Any], earlier: dict[str, dict[str, Any]]) -> list[str]:
    """The command without what it starts from, its seed and its run folder."""
    model, training = settings["model"], settings["training"]
    mode = _bits(model["weight_bits"], model["activation_bits"])
    preset, base = _preset(model)
    words = ["beex", "train", "--task", settings["task"]]
    if settings["task"] != "rotten_tomatoes":
        words += ["--data-dir", "DATA"]
    words += ["--preset", preset, "--bits", mode]
    changed = {key: value for key, value in model.items() if value != base[key]}
    if changed.pop("embedding_bits", base["embedding_bits"]) != base["embedding_bits"]:
        words += ["--embedding-bits", str(model["embedding_bits"])]
    for key, value in changed.items():
        words += _option(key, value) or ["--set", f"{key}={_plain(value)}"]
    start = settings.get("init", {})
    before = earlier.get(start.get("weights", ""), {}).get("model", {})
    bits = {name: before[name] for name in transfer.BITS if before}
    if start and starts_warm(start.get("kind") == "donor", bits, model):
        defaults = TrainingConfig.warm(model["weight_bits"] == 1).to_dict()
    else:
        defaults = TrainingConfig().to_dict()
    # Without a start or a teacher the command refuses what is about one.
    idle = {key for key, role in START_SETTINGS.items() if settings.get(role) is None}
    if model["weight_bits"] != 1:
        idle.add("anneal")  # nothing turns binary
    for key, value in training.items():
        if key != "seed" and key not in idle and value != defaults.get(key):
            words += _required(key, value)
    for key in settings.keys() - {"task", "data", "model", "training", "init", "teacher"}:
        words += _required(key, settings[key])
    return words


def _bits(weights: int, activations: int) -> str:
    return Precision(weights, activations).name


def _preset(model: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The preset that the fewest settings differ from, and what it says at these bits."""
    weights, activations = model["weight_bits"], model["activation_bits"]
    found = {}
    for name in PRESETS:
        precision = Precision(weights, activations, embedding=weights)
        config = BEExformerConfig.preset(name, **precision.bits())
        found[name] = config.to_dict()
    best = min(found, key=lambda name: sum(model[key] != found[name].get(key) for key in model))
    return best, found[best]


def _required(name: str, value: Any) -> list[str]:
    words = _option(name, value)
    if words is None:
        raise BeexError(f"No option of beex train sets {name}, so its command cannot be told.")
    return words


def _option(name: str, value: Any) -> list[str] | None:
    """The option of `beex train` that sets a value, if there is one of that name."""
    for parameter in train.params:
        if parameter.name == name and parameter.opts[0].startswith("--"):
            if isinstance(value, bool):
                flags = parameter.opts if value else parameter.secondary_opts
                return [flags[0]] if flags else []
            return [parameter.opts[0], _plain(value)]
    return None


def _plain(value: Any) -> str:
    return "null" if value is None else str(value)
