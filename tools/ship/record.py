"""Other seeds of a training, as a benchmark has measured them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.files import read_text
from suite.description import load_suite
from suite.trial import Trial


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Figures of a benchmark that stand in a card.

    Attributes:
        suite, variant: whose they are.
        seeds: rows of the seeds that the card's runs lack.
        twins: rows of the float32 twins that those seeds start or learn from.
    """

    suite: str
    variant: str
    seeds: list[dict[str, Any]]
    twins: list[dict[str, Any]]


def recorded(
    file: Path,
    variant: str,
    settings: list[dict[str, Any]],
    earlier: dict[str, dict[str, Any]],
    data_dir: str | None,
) -> Recorded:
    """The other seeds of a training.

    Args:
        file: results.json of a benchmark.
        variant: of its suite, whose trainings the runs are.
        settings: the runs' run.jsons.
        earlier: run.jsons of trainings that they started or learned from, by their weights.
        data_dir: of the tasks.

    Raises:
        BeexError: the suite trains that variant otherwise than the runs were, itself or what it starts
            or learns from; or the results have no other seed of it on this data.
    """
    results = json.loads(read_text(file, "results"))
    suite = load_suite(results["suite"])
    names = {run["task"] for run in (*settings, *earlier.values())} & set(suite.tasks)
    tasks = {name: suite.load(name, data_dir) for name in sorted(names)}
    wanted = (settings[0]["task"], variant)
    trials = {t.seed: t for t in suite.trials(tasks) if (t.task, t.variant) == wanted}
    for run in settings:
        trial = trials.pop(seed := run["training"]["seed"], None)
        if trial is None or not _trains(trial, run, earlier):
            raise BeexError(
                f"'{variant}' of the suite {suite.name} is not the training of the runs on "
                f"{run['task']} with seed {seed}; give the variant with their settings."
            )
    others = [trial for _, trial in sorted(trials.items())]
    sources = ({t.key: t for t in other.earlier.values()}.values() for other in others)
    twins = [t for of_one in sources for t in of_one if t.model.weight_bits == 32]
    known = {(row["task"], row["variant"], row["settings"]): row for row in results["trials"]}

    def rows(trials: list[Trial]) -> list[dict[str, Any]]:
        found = (
            (trial, known.get((trial.task, trial.variant, trial.settings))) for trial in trials
        )
        return [_row(row, trial, tasks[trial.task]) for trial, row in found if row is not None]

    if not rows(others):
        raise BeexError(
            f"{file} has no other seed of '{variant}' on this data; measure it, or leave it out."
        )
    return Recorded(suite.name, variant, rows(others), rows(twins))


def _trains(trial: Trial, run: dict[str, Any], earlier: dict[str, dict[str, Any]]) -> bool:
    """Whether the trial is the training that `run`, a run.json, describes, starts included."""
    settings = (trial.task, trial.model.to_dict(), trial.training.to_dict())
    if settings != (run["task"], run["model"], run["training"]):
        return False
    for role in ("init", "teacher"):
        source = run.get(role, {})
        if role in trial.earlier:
            before = earlier.get(source.get("weights", ""))
            if before is None or not _trains(trial.earlier[role], before, earlier):
                return False
        elif trial.start.get(role) != source.get("name"):
            return False
    return trial.start.get("init_layers") == run.get("init", {}).get("layers")


def _row(figures: dict[str, Any], trial: Trial, task: Task) -> dict[str, Any]:
    own = figures["policies"][trial.training.policy]
    return {
        "seed": trial.seed,
        "validation": own.get("validation"),
        "score": own[task.metric],
        "full_depth_score": figures["exits"][task.metric][-1],
        **{name: own[name] for name in ("mean_depth", "flops_saved")},
    }
