"""Other seeds of a training, as a benchmark has measured them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from beex_keras.benchmark.suite import Cell, load_suite
from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.files import read_text


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
    known = {(row["task"], row["variant"], row["settings"]): row for row in results["cells"]}
    cells = {
        cell.seed: cell
        for cell in suite.cells(tasks)
        if (cell.task, cell.variant) == (settings[0]["task"], variant)
    }
    for run in settings:
        cell = cells.get(run["training"]["seed"])
        if cell is None or not _trains(cell, run, earlier):
            raise BeexError(
                f"'{variant}' of the suite {suite.name} is not the training of the runs on "
                f"{run['task']} with seed {run['training']['seed']}; give the variant with their "
                "settings."
            )
    own = {run["training"]["seed"] for run in settings}
    others = [cell for seed, cell in sorted(cells.items()) if seed not in own]
    twins = [
        cell
        for other in others
        for cell in {cell.key: cell for cell in other.earlier.values()}.values()
        if cell.model.weight_bits == 32
    ]

    def rows(cells: list[Cell]) -> list[dict[str, Any]]:
        found = [(cell, known.get((cell.task, cell.variant, cell.settings))) for cell in cells]
        return [_row(row, cell, tasks[cell.task]) for cell, row in found if row is not None]

    if not rows(others):
        raise BeexError(
            f"{file} has no other seed of '{variant}' on this data; measure it, or leave it out."
        )
    return Recorded(suite.name, variant, rows(others), rows(twins))


def _trains(cell: Cell, run: dict[str, Any], earlier: dict[str, dict[str, Any]]) -> bool:
    """Whether the cell is the training that `run`, a run.json, describes, starts included."""
    if (cell.task, cell.model.to_dict(), cell.training.to_dict()) != (
        run["task"], run["model"], run["training"]
    ):  # fmt: skip
        return False
    for role in ("init", "teacher"):
        source = run.get(role, {})
        if role in cell.earlier:
            before = earlier.get(source.get("weights", ""))
            if before is None or not _trains(cell.earlier[role], before, earlier):
                return False
        elif cell.start.get(role) != source.get("name"):
            return False
    return cell.start.get("init_layers") == run.get("init", {}).get("layers")


def _row(figures: dict[str, Any], cell: Cell, task: Task) -> dict[str, Any]:
    own = figures["policies"][cell.training.policy]
    return {
        "seed": cell.seed,
        "validation": own.get("validation"),
        "score": own[task.metric],
        "full_depth_score": figures["exits"][task.metric][-1],
        "mean_depth": own["mean_depth"],
        "flops_saved": own["flops_saved"],
    }
