"""The report one can play with: one HTML file, without a server or a network."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.data import Split, Task
from beex_keras.evaluation.accounting import relative_costs
from beex_keras.exits import ExitPolicy
from beex_keras.files import read_text, write_atomically
from beex_keras.models.config import BEExformerConfig
from suite.collect import POLICIES, calibrated
from suite.description import Suite
from suite.summary import POLICY_NAMES
from suite.trial import DONE, Trial, read_logits, read_result, state

_TEMPLATE = Path(__file__).parent / "report.html"
_MARK = "{{data}}"
_TEXTS = 1000
_STOPS = 60


def write(
    path: Path, suite: Suite, trials: list[Trial], tasks: dict[str, Task], folder: Path
) -> None:
    """Writes the page; it holds the test texts, so it belongs where they may be.

    For the first table's variants, with the first seed that is done: of each policy the scores of
    all texts at all exits, which the page compares with the threshold that is dragged.

    Args:
        path: of the page.
        suite, trials, tasks: as in `suite.collect.collect`.
        folder: of the trials.
    """
    first = suite.groups[0]
    models: dict[tuple[str, str], dict[str, Any]] = {}
    for trial in trials:
        name = trial.task, trial.variant
        done = state(folder / trial.folder) == DONE
        counted = not tasks[trial.task].is_regression  # whose texts are neither right nor wrong
        if done and counted and trial.variant in first.variants and name not in models:
            models[name] = model_data(trial, folder / trial.folder, tasks[trial.task].metric)
    data = {
        "title": suite.name,
        "policies": {name: POLICY_NAMES[name] for name in POLICIES},
        "texts": {task: _texts(tasks[task].test) for task in dict.fromkeys(t for t, _ in models)},
        "models": list(models.values()),
    }
    # A text may hold "</script>"; in JSON "<" can always be written like this.
    embedded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    template = read_text(_TEMPLATE, "report's template")
    write_atomically(path, template.replace(_MARK, embedded))


def model_data(trial: Trial, folder: Path, metric: str = "accuracy") -> dict[str, Any]:
    """What the page needs of one training.

    Returns:
        names; `costs` relative to full depth; `right`, for each text and exit 1 or 0; `policies`,
        each with `below` (whether scores stop below or from the threshold on), `scores`,
        `thresholds` from full depth to exit 1 and the `calibrated` one's place among them.
    """
    config = BEExformerConfig.from_dict(read_result(folder)["trained"])
    logits, costs = read_logits(folder), relative_costs(config)
    test, labels = logits["test"][:_TEXTS], logits["test_labels"][:_TEXTS]
    right = test.argmax(axis=2) == labels[:, None]
    training = trial.training
    found = {}
    for name, policy in POLICIES.items():
        calibration = calibrated(policy, logits, costs, training.tolerance, training.margin, metric)
        found[name] = _policy_data(calibration.policy, calibration.curve.thresholds, test)
    return {
        "task": trial.task,
        "variant": trial.variant,
        "seed": trial.seed,
        "costs": [_short(cost) for cost in costs],
        "right": right.astype(int).tolist(),
        "policies": found,
    }


def _policy_data(policy: ExitPolicy, thresholds: np.ndarray, test: np.ndarray) -> dict[str, Any]:
    own = float(policy.threshold)
    chosen = np.linspace(0, len(thresholds) - 1, min(_STOPS, len(thresholds))).round().astype(int)
    # From deep to shallow: scores stop below the threshold, so a larger one stops more, or above.
    stops = sorted({*thresholds[chosen].tolist(), own}, reverse=not policy.below)
    scores = np.asarray(policy.scores(test), np.float64)
    # The page compares rounded scores with rounded thresholds, so both keep enough digits.
    return {
        "parameter": policy.parameter,
        "below": policy.below,
        "thresholds": [_short(stop) for stop in stops],
        "calibrated": stops.index(own),
        "scores": [[_short(score) for score in row] for row in scores.tolist()],
    }


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def _texts(split: Split) -> list[str]:
    if split.pairs is None:
        return split.texts[:_TEXTS]
    pairs = zip(split.texts[:_TEXTS], split.pairs[:_TEXTS], strict=True)
    return [f"{first} ⟂ {second}" for first, second in pairs]
