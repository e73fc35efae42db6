"""Rows of the tables: means and spreads over seeds, from collected results."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from beex_keras.benchmark.collect import PAPERS_POLICY, POLICIES

Results = dict[str, Any]
"""What `beex_keras.benchmark.collect.collect` returns."""

Figures = dict[str, Any]
"""One of its `cells`."""

POLICY_NAMES = {
    "fractional_entropy": "fractional entropy (the paper's)",
    "fractional_entropy, above": "fractional entropy, opposite direction",
    "entropy": "entropy (DeeBERT)",
    "confidence": "confidence",
    "patience": "patience (PABEE)",
    "fixed_depth": "fixed depth",
}
"""What people call the policies."""


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        value: the mean.
        spread: sample standard deviation, None for a single value.
        count: number of values.
    """

    value: float
    spread: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Of one value or more."""
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), spread, len(values))


def main_table(results: Results) -> tuple[list[str], list[str]]:
    """The tasks and variants of the first table; tasks without data are left out."""
    table = next(iter(results["tables"].values()))
    return [task for task in table["tasks"] if task in results["tasks"]], table["variants"]


def cells(results: Results, task: str, variant: str) -> list[Figures]:
    """The finished trainings of a variant on a task, one a seed."""
    return [c for c in results["cells"] if (c["task"], c["variant"]) == (task, variant)]


def metric(results: Results, task: str) -> str:
    """The task's own metric."""
    return results["tasks"][task]["metric"]


def full_depth(figures: Figures, metric: str) -> float:
    """The score of the last exit."""
    return figures["exits"][metric][-1]


@dataclasses.dataclass(frozen=True)
class Row:
    """One variant on one task, or its mean over tasks.

    Attributes:
        full: score at full depth.
        exit: score with a calibrated exit.
        saved: share of FLOPs saved.
        depth: mean number of blocks run.
    """

    full: Mean
    exit: Mean
    saved: Mean
    depth: Mean


def row(
    results: Results,
    task: str,
    variant: str,
    policy: str = PAPERS_POLICY,
    metric_name: str | None = None,
    strict: bool = False,
) -> Row | None:
    """The figures of a variant on a task, None where no seed is done.

    Args:
        results: collected results.
        task, variant: names.
        policy: name from `POLICIES`.
        metric_name: the task's own if None.
        strict: with the threshold that may lose nothing on validation.
    """
    done = cells(results, task, variant)
    if not done:
        return None
    name = metric_name or metric(results, task)
    exit_key, saved_key = (
        ("strict_score", "strict_flops_saved") if strict else (name, "flops_saved")
    )
    taken = [figures["policies"][policy] for figures in done]

    return Row(
        Mean.of([full_depth(figures, name) for figures in done]),
        Mean.of([figures[exit_key] for figures in taken]),
        Mean.of([figures[saved_key] for figures in taken]),
        Mean.of([figures["mean_depth"] for figures in taken]),
    )


def measured(results: Results) -> tuple[list[str], list[int]]:
    """The first table's tasks that every variant has been trained on, and the seeds.

    Means over tasks are of these: every variant on the same tasks, with the same seeds. A task that
    lacks seeds which others have is left out, rather than these seeds of all.
    """
    tasks, variants = main_table(results)
    seeds = {
        task: set.intersection(*({c["seed"] for c in cells(results, task, v)} for v in variants))
        for task in tasks
    }
    most = max(map(len, seeds.values()), default=0)
    found = [task for task in tasks if seeds[task] and len(seeds[task]) == most]
    return found, sorted(set.intersection(*(seeds[task] for task in found))) if found else []


def difference(results: Results, title: str, variant: str, reference: str) -> Mean | None:
    """By how much a variant of a table is better than another at full depth.

    The mean over the table's tasks for each seed that both have on all of them; None without one.
    """
    tasks = [task for task in results["tables"][title]["tasks"] if task in results["tasks"]]
    found: dict[str, dict[tuple[str, int], float]] = {
        name: {
            (task, figures["seed"]): full_depth(figures, metric(results, task))
            for task in tasks
            for figures in cells(results, task, name)
        }
        for name in (variant, reference)
    }
    theirs, ours = found.values()
    seeds = sorted({seed for _, seed in theirs} & {seed for _, seed in ours})
    values = [
        statistics.fmean(theirs[task, seed] - ours[task, seed] for task in tasks)
        for seed in seeds
        if all((task, seed) in theirs and (task, seed) in ours for task in tasks)
    ]
    return Mean.of(values) if values else None


def over_tasks(
    results: Results,
    variant: str,
    policy: str = PAPERS_POLICY,
    strict: bool = False,
) -> Row | None:
    """Means over the `measured` tasks, with the spread over seeds of these means."""
    tasks, seeds = measured(results)
    if not seeds:
        return None
    means = []
    for seed in seeds:
        values = []
        for task in tasks:
            (figures,) = (c for c in cells(results, task, variant) if c["seed"] == seed)
            name, found = metric(results, task), figures["policies"][policy]
            keys = ("strict_score", "strict_flops_saved") if strict else (name, "flops_saved")
            values.append(
                (full_depth(figures, name), *(found[key] for key in keys), found["mean_depth"])
            )
        means.append([statistics.fmean(column) for column in zip(*values, strict=True)])
    return Row(*(Mean.of(column) for column in zip(*means, strict=True)))


def rows(results: Results) -> list[dict[str, Any]]:
    """The first table for the terminal: a row for each task and variant."""
    tasks, variants = main_table(results)
    found = []
    for task in tasks:
        for variant in variants:
            means = row(results, task, variant)
            if means is not None:
                found.append(
                    {
                        "task": task,
                        "variant": variant,
                        "seeds": means.full.count,
                        metric(results, task): means.full.value,
                        "calibrated exit": means.exit.value,
                        "mean depth": means.depth.value,
                        "FLOPs saved": means.saved.value,
                    }
                )
    return found


def records(results: Results) -> list[dict[str, Any]]:
    """One flat row for each training, policy and metric: for CSV."""
    rows = []
    for figures in results["cells"]:
        for policy in POLICIES:
            found = figures["policies"][policy]
            for name, exits in figures["exits"].items():
                rows.append(
                    {
                        "task": figures["task"],
                        "variant": figures["variant"],
                        "seed": figures["seed"],
                        "metric": name,
                        "policy": policy,
                        "full_depth": exits[-1],
                        "calibrated_exit": found[name],
                        "flops_saved": found["flops_saved"],
                        "mean_depth": found["mean_depth"],
                        "exits": " ".join(map(str, exits)),
                        "exit_shares": " ".join(map(str, found["exit_shares"])),
                    }
                )
    return rows
