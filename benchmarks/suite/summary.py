"""Rows of the tables: means and spreads over seeds, from collected results."""

import dataclasses
import itertools
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from beex_keras import exits as exit_policies
from suite.collect import PAPERS_POLICY

Results = dict[str, Any]
"""What `suite.collect.collect` returns."""

Figures = dict[str, Any]
"""One of its `trials`."""

POLICY_NAMES = {
    "fractional_entropy": "fractional entropy (the paper's)",
    "fractional_entropy, above": "fractional entropy, opposite direction",
    "entropy": "entropy (DeeBERT)",
    "confidence": "confidence",
    "patience": "patience (PABEE)",
    "fixed_depth": "fixed depth",
    "change": "change",
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

    @classmethod
    def of(cls, values: Iterable[Sequence[float]]) -> "Row":
        """Of the `_values` of each seed."""
        return cls(*(Mean.of(column) for column in zip(*values, strict=True)))


def main_table(results: Results) -> tuple[list[str], list[str]]:
    """The tasks and variants of the first table; tasks without data are left out."""
    table = next(iter(results["tables"].values()))
    return measured_tasks(results, table), table["variants"]


def measured_tasks(results: Results, table: dict[str, list[str]]) -> list[str]:
    """The tasks of a table that have data."""
    return [task for task in table["tasks"] if task in results["tasks"]]


def trials(results: Results, task: str, variant: str) -> list[Figures]:
    """The finished trainings of a variant on a task, one a seed."""
    return [t for t in results["trials"] if (t["task"], t["variant"]) == (task, variant)]


def metric(results: Results, task: str) -> str:
    """The task's own metric."""
    return results["tasks"][task]["metric"]


def full_depth(figures: Figures, metric: str) -> float:
    """The score of the last exit."""
    return figures["exits"][metric][-1]


def by_policy(figures: Figures, policy: str) -> Figures | None:
    """A training's figures with an exit by that policy, None if it does not go with the model.

    For a regression "change" stands in for the paper's policy and for the recipe's.
    """
    known = figures["policies"]
    if policy not in known and policy in (PAPERS_POLICY, exit_policies.DEFAULT):
        policy = exit_policies.default("regression")
    return known.get(policy)


def _values(figures: Figures, policy: str, metric: str, strict: bool = False) -> tuple[float, ...]:
    """Score at full depth; score, share of FLOPs saved and depth with the exit."""
    found = by_policy(figures, policy)
    assert found is not None
    score, saved = ("strict_score", "strict_flops_saved") if strict else (metric, "flops_saved")
    return full_depth(figures, metric), found[score], found[saved], found["mean_depth"]


def row(
    results: Results,
    task: str,
    variant: str,
    policy: str = PAPERS_POLICY,
    metric_name: str | None = None,
) -> Row | None:
    """The figures of a variant on a task, None where no seed is done.

    Args:
        results: collected results.
        task, variant: names.
        policy: name from `POLICIES`.
        metric_name: the task's own if None.
    """
    done = trials(results, task, variant)
    if not done or any(by_policy(figures, policy) is None for figures in done):
        return None
    name = metric_name or metric(results, task)
    return Row.of(_values(figures, policy, name) for figures in done)


def measured(results: Results) -> tuple[list[str], list[int]]:
    """The first table's tasks that every variant has been trained on, and the seeds.

    Means over tasks are of these: every variant on the same tasks, with the same seeds. A task that
    lacks seeds which others have is left out, rather than these seeds of all.
    """
    tasks, variants = main_table(results)
    seeds = {
        task: set.intersection(*({t["seed"] for t in trials(results, task, v)} for v in variants))
        for task in tasks
    }
    most = max(map(len, seeds.values()), default=0)
    found = [task for task in tasks if seeds[task] and len(seeds[task]) == most]
    return found, sorted(set.intersection(*(seeds[task] for task in found))) if found else []


def over_tasks(
    results: Results, variant: str, policy: str = PAPERS_POLICY, strict: bool = False
) -> Row | None:
    """Means over the `measured` tasks, with the spread over seeds of these means.

    With `strict` the exit is by the threshold that may lose nothing on validation.
    """
    tasks, seeds = measured(results)
    if any(row(results, task, variant, policy) is None for task in tasks):
        return None
    means = []
    for seed in seeds:
        values = [
            _values(figures, policy, metric(results, task), strict)
            for task in tasks
            for figures in trials(results, task, variant)
            if figures["seed"] == seed
        ]
        means.append([statistics.fmean(column) for column in zip(*values, strict=True)])
    return Row.of(means) if means else None


def difference(results: Results, title: str, variant: str, reference: str) -> Mean | None:
    """By how much a variant of a table is better than another at full depth.

    The mean over the table's tasks for each seed that both have on all of them; None without one.
    """
    tasks = measured_tasks(results, results["tables"][title])
    theirs, ours = (
        {
            (task, figures["seed"]): full_depth(figures, metric(results, task))
            for task in tasks
            for figures in trials(results, task, name)
        }
        for name in (variant, reference)
    )
    both = theirs.keys() & ours.keys()
    values = [
        statistics.fmean(theirs[task, seed] - ours[task, seed] for task in tasks)
        for seed in sorted({seed for _, seed in both})
        if all((task, seed) in both for task in tasks)
    ]
    return Mean.of(values) if values else None


def rows(results: Results) -> list[dict[str, Any]]:
    """The first table for the terminal: a row for each task and variant."""
    return [
        {
            "task": task,
            "variant": variant,
            "seeds": means.full.count,
            metric(results, task): means.full.value,
            "calibrated exit": means.exit.value,
            "mean depth": means.depth.value,
            "FLOPs saved": means.saved.value,
        }
        for task, variant in itertools.product(*main_table(results))
        if (means := row(results, task, variant))
    ]
