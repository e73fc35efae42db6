"""What calibrated exits cost and save in models that start from MiniLM, from recorded results.

    python benchmarks/warm_exits.py

A row for each task with the model that the pages recommend for it, and for each packaged model from MiniLM, then the
means of each group and of all. The exit is by the default policy: `confidence`, and `change` for a regression. The
cards of packaged models do not have the paper's rule.
"""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import click

import beex_keras.pretrained
from beex_keras import exits
from beex_keras.files import read_text
from measure import json_option, show
from suite import summary
from suite.collect import PAPERS_POLICY

_RECORDED = Path(__file__).parent / "recorded"
_CARDS = Path(beex_keras.pretrained.__file__).parent

GROUPS = {
    "weights-only, taught by the twin": "taught by the twin",
    "weights-only, with unlabelled texts": "with unlabelled texts",
    "weights-only, taught by the twin, 2 epochs": "with unlabelled texts",
    "weights-only, taught by the second twin, 1 epoch": "with unlabelled texts",
    "W1A8": "others",
    "W1A8, from the twin of all exits": "others",
    "weights-only, from corrupted sentences": "others",
}
"""The variants that the pages recommend, and where their trainings belong."""

PACKAGED = "packaged"
ALL = "all"
_ORDER = dict.fromkeys([*GROUPS.values(), PACKAGED])

_POLICIES = {"": exits.DEFAULT, " by the paper's rule": PAPERS_POLICY}


def models() -> list[dict[str, Any]]:
    """A row for each model: points lost at the exit, and the share of FLOPs saved, in the mean over seeds."""
    rows = []
    for name in ("few_labels_results", "pairs_results"):
        results = json.loads(read_text(_RECORDED / f"{name}.json", "results"))
        for table in results["tables"].values():
            for task in table["tasks"]:
                for variant, group in GROUPS.items():
                    known = variant in table["variants"]
                    if known and (found := _recorded(results, task, variant)):
                        rows.append({"group": group, "task": task, "model": variant, **found})
    rows += [_packaged(card) for card in sorted(_CARDS.glob("*-minilm*.json"))]
    return sorted(rows, key=lambda row: list(_ORDER).index(row["group"]))


def _recorded(results: summary.Results, task: str, variant: str) -> dict[str, float]:
    """Of a suite; nothing where it was not trained."""
    found = {}
    for rule, policy in _POLICIES.items():
        if row := summary.row(results, task, variant, policy):
            found[f"points lost{rule}"] = 100 * (row.full.value - row.exit.value)
            found[f"FLOPs saved{rule}"] = row.saved.value
    return found


def _packaged(card: Path) -> dict[str, Any]:
    """Of a packaged model."""
    facts = json.loads(read_text(card, "card"))
    lost = [seed["full_depth_score"] - seed["score"] for seed in facts["seeds"]]
    return {
        "group": PACKAGED,
        "task": facts["task"],
        "model": facts["name"],
        "points lost": 100 * statistics.fmean(lost),
        "FLOPs saved": statistics.fmean(seed["flops_saved"] for seed in facts["seeds"]),
    }


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each group of models, and one for all."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["group"]].append(row)
    return [_mean(name, of) for name, of in [*groups.items(), (ALL, rows)]]


def _mean(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    lost = [row["points lost"] for row in rows]
    papers = [row for row in rows if all(f"points lost{rule}" in row for rule in _POLICIES)]
    return {
        "group": name,
        "models": len(rows),
        "points lost": statistics.fmean(lost),
        "points lost, at most": max(lost),
        "FLOPs saved": statistics.fmean(row["FLOPs saved"] for row in rows),
        **{
            key: statistics.fmean(row[key] for row in papers)
            for rule in _POLICIES
            if rule and papers
            for key in (f"points lost{rule}", f"FLOPs saved{rule}")
        },
    }


@click.command(help=(__doc__ or "").split("\n")[0])
@json_option
def main(as_json: bool) -> None:
    """See the module."""
    rows = models()
    if not as_json:
        show(rows, "models", as_json)
    show(means(rows), "means", as_json, models=rows)


if __name__ == "__main__":
    main()
