"""The command that made a run, from the settings that its folder keeps."""

import json
import shlex
from typing import Any

from beex_keras import exits
from beex_keras.cli.train import train
from beex_keras.errors import BeexError
from beex_keras.models.config import PRESETS, BEExformerConfig
from beex_keras.training import TrainingConfig, settings, transfer


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
                    words += _option(
                        "init_layers", json.dumps(source["layers"], separators=(",", ":"))
                    )
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


def _words(run: dict[str, Any], earlier: dict[str, dict[str, Any]]) -> list[str]:
    """The command without what it starts from, its seed and its run folder."""
    model, training = run["model"], run["training"]
    mode = BEExformerConfig.from_dict(model).precision.name
    preset, base = _preset(model, mode)
    words = ["beex", "train", run["task"]]
    if run["task"] != "rotten_tomatoes":
        words += ["--data-dir", "DATA"]
    words += ["--preset", preset, "--bits", mode]
    start = run.get("init", {})
    before = earlier.get(start.get("weights", ""), {}).get("model", {})
    real = {name: before[name] for name in transfer.BITS if before}
    if start and settings.starts_warm(start.get("kind") == "donor", real, model):
        defaults = TrainingConfig.warm(model["weight_bits"] == 1).to_dict()
    else:
        defaults = TrainingConfig().to_dict()
    # Without a start or a teacher the command refuses what is about one.
    idle = {"seed"} | {key for key, role in settings.NEEDS.items() if run.get(role) is None}
    if "value_scale" in run:
        defaults["policy"] = exits.default(is_regression=True)
        idle.add("label_smoothing")  # numbers have none
        if run["value_scale"]["least"] is None:
            words += _option("clip", False)
    if run.get("both_orders"):
        words += _option("both_orders", True)
    if model["weight_bits"] != 1:
        idle.add("anneal")  # nothing turns binary
    del defaults["epochs"]  # it follows from the data's size
    for own, usual in ((model, base), (training, defaults)):
        for key, value in own.items():
            if key not in idle and value != usual.get(key):
                words += _option(key, value)
    return words


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
    if name not in settings.known():
        raise BeexError(f"No option of beex train sets {name}, so its command cannot be told.")
    return ["--set", f"{name}={text}"]
