"""Writes results.md and its figures anew: python docs/results.py [FOLDER of beex benchmark] [--keep]

Without a folder, from the results.json beside it; with one, from that benchmark's, which takes its
place. --keep leaves those trainings of it that the benchmark lacks. With --warm it is the page
warm_results.md of the suite warm.
"""

import json
import string
from pathlib import Path
from typing import Any

import click

from beex_keras import exits
from beex_keras.benchmark import figures, markdown, summary
from beex_keras.benchmark.benchmark import dumps
from beex_keras.benchmark.collect import PAPERS_POLICY, fill_gaps, left_behind
from beex_keras.files import write_atomically

DOCS = Path(__file__).parent
_CHANCE = "weights-only from chance"
_BITS = {"float32 twin": "32-32-32", "weights-only": "1-1-32", "fully binary": "1-1-1"}


def page(results: dict[str, Any], published: dict[str, Any], template: str) -> str:
    """The text of results.md."""
    _, variants = summary.main_table(results)
    shared, seeds = summary.measured(results)
    missing = markdown.gaps(results)
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return string.Template(template).substitute(
        done=progress(results),
        gaps=f"## Not measured\n\n{missing}" if missing else "",
        claims=claims(results, published["paper"]),
        shared=f"{', '.join(shared)}, seeds {', '.join(map(str, seeds))}" if shared else "none yet",
        main=markdown.main_tables(results),
        second=markdown.second_metrics(results),
        policies="\n\n".join(
            f"{variant}:\n\n{markdown.policies(results, variant)}" for variant in variants
        ),
        ablations="\n\n".join(
            f"### {title}\n\n{markdown.ablation(results, title)}"
            for title in list(results["tables"])[1:]
        ),
        choices=markdown.choices(results, "micro"),
        sizes=markdown.sizes(results),
        flops="\n\n".join(
            f"{variant}:\n\n{markdown.expected_flops(results, variant)}" for variant in variants
        ),
        peers=peers(results, published["peers"]),
        source=published["peers"]["source"],
        tasks=markdown.tasks(results),
        code=", ".join(results["code"]),
        versions=versions,
    )


def warm_page(results: dict[str, Any], cold: dict[str, Any], template: str) -> str:
    """The text of warm_results.md: of each table what is measured, beside the baselines.

    `cold` are the results of the suite paper, whose trainings begin from chance.
    """
    done = progress(results)
    results = _with_chance(results, cold)
    measured = {(cell["task"], cell["variant"]) for cell in results["cells"]}
    shown, tables = {}, []
    for title, whole in results["tables"].items():
        tasks = [t for t in whole["tasks"] if any((t, v) in measured for v in whole["variants"])]
        variants = [v for v in whole["variants"] if any((t, v) in measured for t in tasks)]
        if variants:
            shown[title] = {"tasks": tasks, "variants": variants}
    used = {task for table in shown.values() for task in table["tasks"]}
    known = {task: about for task, about in results["tasks"].items() if task in used}
    results = {**results, "tables": shown, "tasks": known}
    for title in shown:
        tables.append(f"## {title}\n\n{markdown.long_ablation(results, title)}")
    return string.Template(template).substitute(
        done=done,
        tables="\n\n".join(tables),
        gaps=markdown.gaps(results),
        tasks=markdown.tasks(results),
        code=", ".join(results["code"]),
    )


def _with_chance(results: dict[str, Any], cold: dict[str, Any]) -> dict[str, Any]:
    """With the suite paper's weights-only models in each table whose tasks it has."""

    def shared(task: str) -> bool:
        known = (of["tasks"].get(task) for of in (results, cold))
        mine, others = ({k: t[k] for k in ("texts", "splits")} if t else None for t in known)
        return mine is not None and mine == others

    cells = [
        {**cell, "variant": _CHANCE}
        for cell in cold["cells"]
        if cell["variant"] == "weights-only" and shared(cell["task"])
    ]
    tables = {
        title: {**table, "variants": [_CHANCE, *table["variants"]]}
        if any(map(shared, table["tasks"]))
        else table
        for title, table in results["tables"].items()
    }
    return {**results, "cells": [*results["cells"], *cells], "tables": tables}


def progress(results: dict[str, Any]) -> str:
    """How much of the suite these results are."""
    done, missing = len(results["cells"]), len(results["missing"]) + len(results["failed"])
    if not missing:
        return f"All {done} trainings are done."
    return (
        f"**{done} of {done + missing} trainings are done**; the first command, given again, does the "
        "rest, and the end of this page lists them. A dash is a figure that waits for one."
    )


def claims(results: dict[str, Any], paper: dict[str, Any]) -> str:
    """The paper's claims, each with what we measure."""
    _, (twin, *binary) = summary.main_table(results)
    policies = dict.fromkeys((PAPERS_POLICY, exits.DEFAULT))
    rows = {
        policy: {v: summary.over_tasks(results, v, policy) for v in (twin, *binary)}
        for policy in policies
    }
    sizes = results["files"]

    def ours(value: Any, policy: str = PAPERS_POLICY) -> list[str]:
        return [
            markdown.NONE if row is None else value(row)
            for row in (rows[policy][v] for v in binary)
        ]

    def against_twin(part: str, policy: str = PAPERS_POLICY) -> list[str]:
        reference = getattr(rows[policy][twin], part).value if rows[policy][twin] else 0.0
        return ours(lambda row: f"{100 * (getattr(row, part).value - reference):+.2f}", policy)

    lines = [
        [
            "times smaller than float32, whole file without vocabulary",
            f"{paper['size_ratio']:.2f}",
            *(f"{sizes[v]['float32_bytes'] / sizes[v]['bytes']:.2f}" for v in binary),
        ],
        ["against the float32 twin, both at full depth", markdown.NONE, *against_twin("full")],
    ]
    for policy in policies:
        rule = summary.POLICY_NAMES[policy]
        lines += [
            [
                f"FLOPs saved by early exit: {rule}",
                f"{100 * paper['flops_saved']:.2f} %" if policy == PAPERS_POLICY else markdown.NONE,
                *ours(lambda row: f"{100 * row.saved.value:.2f} %", policy),
            ],
            [
                f"score gained by it, points: {rule}",
                f"{100 * paper['gain']:+.2f}" if policy == PAPERS_POLICY else markdown.NONE,
                *ours(lambda row: f"{100 * (row.exit.value - row.full.value):+.2f}", policy),
            ],
            [
                f"against the float32 twin, both with exits: {rule}",
                markdown.NONE,
                *against_twin("exit", policy),
            ],
        ]
    for task, score in paper["scores"].items():
        found = [summary.row(results, task, v) for v in binary]
        lines.append(
            [
                task,
                f"{100 * score:.2f}",
                *(markdown.NONE if f is None else markdown.points(f.exit) for f in found),
            ]
        )
    header = ["", "the paper (published)", *(f"{variant} (measured)" for variant in binary)]
    return markdown.table(header, lines)


def peers(results: dict[str, Any], published: dict[str, Any]) -> str:
    """Published models, then ours at full depth on the same tasks, each marked."""
    _, variants = summary.main_table(results)
    lines = [
        [name, "published", bits, f"{size:g}", *(f"{score:.1f}" for score in scores)]
        for name, bits, size, *scores in published["rows"]
    ]
    for variant in variants:
        scores = []
        for task in published["columns"]:
            row = summary.row(results, task, variant) if task in results["tasks"] else None
            scores.append(markdown.NONE if row is None else markdown.points(row.full))
        size = results["files"][variant]["bytes"] / 1e6
        lines.append([f"ours, {variant}", "measured", _BITS[variant], f"{size:.2f}", *scores])
    return markdown.table(["", "", "bits", "MB", *published["columns"]], lines)


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--keep", is_flag=True, help="Keep trainings that the benchmark lacks.")
@click.option("--warm", is_flag=True, help="The page of the suite warm.")
def main(folder: Path | None, keep: bool, warm: bool) -> None:
    """Write results.md anew, from the results of the benchmark in FOLDER if it is given."""
    file = DOCS / ("warm_results.json" if warm else "results.json")
    results = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if folder is not None:
        found = json.loads((folder / "results.json").read_text("utf-8"))
        if keep and results:
            before, results = results, fill_gaps(found, results)
            for old in left_behind(results, before):
                click.echo(
                    f"Left out: {old['task']}, {old['variant']}, seed {old['seed']}, whose name or "
                    "settings the suite no longer has.",
                    err=True,
                )
        else:
            results = found
        write_atomically(file, dumps(results))
    if warm:
        template = (DOCS / "warm_results.template.md").read_text("utf-8")
        cold = json.loads((DOCS / "results.json").read_text("utf-8"))
        write_atomically(DOCS / "warm_results.md", warm_page(results, cold, template))
        return
    published = json.loads((DOCS / "published.json").read_text("utf-8"))
    template = (DOCS / "results.template.md").read_text("utf-8")
    write_atomically(DOCS / "results.md", page(results, published, template))
    figures.save_figures(results, DOCS / "results")


if __name__ == "__main__":
    main()
