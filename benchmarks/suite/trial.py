"""One training of a suite: what it follows from, what it is called, and where it is kept."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras import pretrained
from beex_keras.files import read_text
from beex_keras.models.config import BEExformerConfig
from beex_keras.training import TrainingConfig
from beex_keras.training.warm_starts import PACKAGED_STARTS
from suite.recipe_version import RECIPE_VERSION, library_versions

TRIAL_FILE, LOGITS_FILE, RESULT_FILE = "trial.json", "logits.npz", "result.json"
FAILURE_FILE, LOCK_FILE, RUN_FOLDER = "failure.txt", "lock", "run"
DONE, FAILED, MISSING = "done", "failed", "missing"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training of a suite: a classifier on a task.

    Attributes:
        task, variant: their names in the suite.
        seed: of the training.
        model, training: its settings, the seed included.
        data: hash of the task's texts and labels.
        start: what it starts from and learns from: `init` and `teacher` as for `beex train`, and
            `init_layers`; empty for a training from scratch.
        earlier: other trainings of the suite in their place, by "init" and "teacher".
        arguments: arguments of `train` in place of `model` and `training`, of which then only the exit's policy and
            its calibration count; a recipe gives the fields that they leave out.
    """

    task: str
    variant: str
    seed: int
    model: BEExformerConfig
    training: TrainingConfig
    data: str
    start: dict[str, Any] = dataclasses.field(default_factory=dict)
    earlier: dict[str, "Trial"] = dataclasses.field(default_factory=dict)
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)

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
        starts = [_digest(PACKAGED_STARTS[name]) for name in sorted(PACKAGED_STARTS)]
        code = [RECIPE_VERSION, library_versions(), starts]
        return self._hash(json.dumps(code, sort_keys=True))

    @property
    def settings(self) -> str:
        """Hash of settings and data: the key, whatever the code."""
        return self._hash("")

    def _hash(self, code: str) -> str:
        parts: list[Any] = [self.model.to_dict(), _recorded(self.training), self.data, code]
        # One name is another model in another release.
        packaged = {
            role: _digest(file)
            for role, source in self.start.items()
            if (file := _packaged_file(source)) is not None
        }
        earlier = {role: trial._hash(code) for role, trial in self.earlier.items()}
        parts += filter(None, (self.start, packaged, earlier, self.arguments))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def folder(self) -> str:
        """Name of its folder, readable and unique."""
        return f"{self.task.replace('/', '-')}-{self.seed}-{self.key}"

    def to_dict(self) -> dict[str, Any]:
        """What trial.json holds."""
        return {
            **{name: getattr(self, name) for name in ("task", "variant", "seed", "data", "start")},
            "model": self.model.to_dict(),
            "training": self.training.hyperparameters(),
            "arguments": self.arguments,
            "earlier": {role: trial.folder for role, trial in self.earlier.items()},
            "code": f"recipe {RECIPE_VERSION}",
        }


_RECORDED_NAMES = {
    "binarization_fraction": "anneal",
    "exit_lr_multiplier": "head_rate",
    "hidden_loss_weight": "hidden_weight",
    "distillation_alpha": "soft_targets",
    "token_replacement_rate": "replaced_tokens",
    "matmul_dtype": "precision",
    "use_subwords": "pieces",
}


def _recorded(training: TrainingConfig) -> dict[str, Any]:
    """The hyperparameters under the names that they had when the first trainings were recorded.

    A field that gets another name keeps its name here, so that recorded trainings keep their identity.
    """
    return {_RECORDED_NAMES.get(k, k): value for k, value in training.hyperparameters().items()}


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _packaged_file(source: Any) -> Path | None:
    """The file of a start or teacher that comes with the package."""
    if not isinstance(source, str):
        return None
    packaged = pretrained.find(source) if source in pretrained.names() else None
    return PACKAGED_STARTS.get(source, packaged)


def state(folder: Path) -> str:
    """Of a trial's folder: "done", "failed", or "missing"."""
    if (folder / RESULT_FILE).exists():
        return DONE
    return FAILED if (folder / FAILURE_FILE).exists() else MISSING


def read_result(folder: Path) -> dict[str, Any]:
    """What result.json says of a finished training."""
    return json.loads(read_text(folder / RESULT_FILE, "result"))


def read_logits(folder: Path) -> dict[str, np.ndarray]:
    """`validation` and `test`, float32 (B, N, C), with `validation_labels` and `test_labels`."""
    with np.load(folder / LOGITS_FILE) as arrays:
        return {name: arrays[name] for name in arrays.files}
