"""Writes docs/results.md and its figures anew: python benchmarks/results.py [FOLDER] [--keep]

Without a folder, from the results.json of benchmarks/recorded; with the folder of a benchmark, from its
results.json, which takes that one's place. --keep leaves those trainings of it that the benchmark lacks.
The suite is paper; with --suite it is another one, which has a page of its own (`PAGES`).
"""

import json
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from beex_keras.files import read_text, write_atomically
from suite import figures, summary, tables
from suite.benchmark import dumps
from suite.collect import PAPERS_POLICY, fill_gaps, left_behind
from suite.trial import DONE, LOGITS_FILE, RESULT_FILE, read_result, state

RECORDED = Path(__file__).parent / "recorded"
DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    "paper": "results",
    "warm": "warm_results",
    "few-labels": "few_labels_results",
    "pairs": "pairs_results",
    "gate": "gate_results",
}
"""The page of each suite, in docs, and its file in benchmarks/recorded."""

_BY_DEFAULT = "weights-only, by default"
_MOST_BYTES = 200_000  # of a training's logits to record; those of 150 classes take megabytes
_FROM_SCRATCH = "weights-only from scratch"
_BITS = {"float32 twin": "32-32-32", "weights-only": "1-1-32", "fully binary": "1-1-1"}


def page(results: dict[str, Any], published: dict[str, Any], template: str) -> str:
    """The text of results.md."""
    _, variants = summary.main_table(results)
    shared, seeds = summary.measured(results)
    missing = tables.gaps(results)

    def each(make: Callable[[str], str]) -> str:
        return "\n\n".join(f"{variant}:\n\n{make(variant)}" for variant in variants)

    return string.Template(template).substitute(
        done=progress(results),
        gaps=f"## Not measured\n\n{missing}" if missing else "",
        claims=claims(results, published["paper"]),
        shared=f"{', '.join(shared)}, seeds {', '.join(map(str, seeds))}" if shared else "none yet",
        main=tables.main_tables(results),
        second=tables.second_metrics(results),
        policies=each(lambda variant: tables.policies(results, variant)),
        ablations="\n\n".join(
            f"### {title}\n\n{tables.ablation(results, title)}"
            for title in list(results["tables"])[1:]
        ),
        choices=tables.choices(results, "micro"),
        sizes=tables.sizes(results),
        flops=each(lambda variant: tables.expected_flops(results, variant)),
        peers=peers(results, published["peers"]),
        source=published["peers"]["source"],
        tasks=tables.tasks(results),
        code=", ".join(results["code"]),
        versions=tables.versions(results),
    )


def warm_page(results: dict[str, Any], paper: dict[str, Any], template: str) -> str:
    """The text of a page on warm starts: of each table what is measured, beside the baselines.

    `paper` are the results of the suite paper, whose trainings begin from scratch.
    """
    done = progress(results)
    results = _with_trials_from_scratch(results, paper)
    measured = {(trial["task"], trial["variant"]) for trial in results["trials"]}
    shown = {}
    for title, whole in results["tables"].items():
        tasks = [t for t in whole["tasks"] if any((t, v) in measured for v in whole["variants"])]
        variants = [v for v in whole["variants"] if any((t, v) in measured for t in tasks)]
        if variants:
            shown[title] = {"tasks": tasks, "variants": variants}
    used = {task for table in shown.values() for task in table["tasks"]}
    known = {task: about for task, about in results["tasks"].items() if task in used}
    missing = tables.gaps(results)
    results = {**results, "tables": shown, "tasks": known}
    return string.Template(template).substitute(
        done=done,
        tables="\n\n".join(f"## {t}\n\n{tables.long_ablation(results, t)}" for t in shown),
        conversions="\n\n".join(tables.conversions(results, t) for t in shown),
        gaps=f"## Not measured\n\n{missing}\n\n" if missing else "",
        tasks=tables.tasks(results),
        code=", ".join(results["code"]),
    )


def _with_trials_from_scratch(results: dict[str, Any], paper: dict[str, Any]) -> dict[str, Any]:
    """With the suite paper's weights-only models in each table whose tasks it has."""

    def shared(task: str) -> bool:
        known = (of["tasks"].get(task, {}) for of in (results, paper))
        mine, others = ((about.get("texts"), about.get("splits")) for about in known)
        return mine == others != (None, None)

    trials = [
        {**trial, "variant": _FROM_SCRATCH}
        for trial in paper["trials"]
        if trial["variant"] == "weights-only" and shared(trial["task"])
    ]
    shown = {}
    for title, table in results["tables"].items():
        own = [variant for variant in table["variants"] if variant != _FROM_SCRATCH]
        begins = own != table["variants"] or any(map(shared, table["tasks"]))
        shown[title] = {**table, "variants": [_FROM_SCRATCH, *own] if begins else own}
    return {**results, "trials": results["trials"] + trials, "tables": shown}


def progress(results: dict[str, Any]) -> str:
    """How much of the suite these results are."""
    done, missing = len(results["trials"]), len(results["missing"]) + len(results["failed"])
    if not missing:
        return f"All {done} trainings are done."
    return (
        f"**{done} of {done + missing} trainings are done**; the first command, given again, does the "
        "rest, and the end of this page lists them. A dash is a figure that waits for one."
    )


def claims(results: dict[str, Any], paper: dict[str, Any]) -> str:
    """The paper's claims, each with what we measure."""
    _, (twin, *binary) = summary.main_table(results)

    def of(rows: list[summary.Row | None], figure: Callable[[summary.Row], str]) -> list[str]:
        return [tables.NONE if row is None else figure(row) for row in rows]

    def percent(value: float) -> str:
        return f"{100 * value:.2f}"

    def points(value: float) -> str:
        return f"{100 * value:+.2f}"

    ratios = (results["files"][v]["float32_bytes"] / results["files"][v]["bytes"] for v in binary)
    lines = [
        [
            "times smaller than float32, whole file without vocabulary",
            *(f"{ratio:.2f}" for ratio in (paper["size_ratio"], *ratios)),
        ]
    ]
    for policy in tables.PAGES_POLICIES:
        first, *rows = (summary.over_tasks(results, v, policy) for v in (twin, *binary))
        full, exit = (first.full.value, first.exit.value) if first else (0.0, 0.0)
        rule, papers = summary.POLICY_NAMES[policy], policy == PAPERS_POLICY
        if papers:
            against = of(rows, lambda row, full=full: points(row.full.value - full))
            lines.append(["against the float32 twin, both at full depth", tables.NONE, *against])
        lines += [
            [
                f"FLOPs saved by early exit: {rule}",
                f"{percent(paper['flops_saved'])} %" if papers else tables.NONE,
                *of(rows, lambda row: f"{percent(row.saved.value)} %"),
            ],
            [
                f"score gained by it, points: {rule}",
                points(paper["gain"]) if papers else tables.NONE,
                *of(rows, lambda row: points(row.exit.value - row.full.value)),
            ],
            [
                f"against the float32 twin, both with exits: {rule}",
                tables.NONE,
                *of(rows, lambda row, exit=exit: points(row.exit.value - exit)),
            ],
        ]
    for task, score in paper["scores"].items():
        found = [summary.row(results, task, variant) for variant in binary]
        lines.append([task, percent(score), *of(found, lambda row: tables.points(row.exit))])
    header = ["", "the paper (published)", *(f"{variant} (measured)" for variant in binary)]
    return tables.table(header, lines)


def peers(results: dict[str, Any], published: dict[str, Any]) -> str:
    """Published models, then ours at full depth on the same tasks, each marked."""
    _, variants = summary.main_table(results)
    lines = [
        [name, "published", bits, f"{size:g}", *(f"{score:.1f}" for score in scores)]
        for name, bits, size, *scores in published["rows"]
    ]
    for variant in variants:
        rows = (
            summary.row(results, task, variant) if task in results["tasks"] else None
            for task in published["columns"]
        )
        size = results["files"][variant]["bytes"] / 1e6
        scores = (tables.points(row and row.full) for row in rows)
        lines.append([f"ours, {variant}", "measured", _BITS[variant], f"{size:.2f}", *scores])
    return tables.table(["", "", "bits", "MB", *published["columns"]], lines)


def keep_logits(folder: Path) -> None:
    """Records the logits of a benchmark's trainings by default, so that other calibrations can be tried on them."""
    for trial in sorted(folder.glob("trials/*")):
        if state(trial) != DONE or (trial / LOGITS_FILE).stat().st_size > _MOST_BYTES:
            continue
        its = read_result(trial)
        if its["variant"] == _BY_DEFAULT:
            kept = RECORDED / "trials" / re.sub(r"\W+", "-", f"{its['task']}-{its['seed']}")
            kept.mkdir(parents=True, exist_ok=True)
            for name in (RESULT_FILE, LOGITS_FILE):
                write_atomically(kept / name, (trial / name).read_bytes())


def read(name: str) -> str:
    """A file of benchmarks/recorded."""
    return read_text(RECORDED / name, "page's file")


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--keep", is_flag=True, help="Keep trainings that the benchmark lacks.")
@click.option("--suite", type=click.Choice(list(PAGES)), default="paper", show_default=True)
def main(folder: Path | None, keep: bool, suite: str) -> None:
    """Write the page of a suite anew, from the results of the benchmark in FOLDER if it is given."""
    name, is_paper = PAGES[suite], suite == "paper"
    file = RECORDED / f"{name}.json"
    results = json.loads(read(file.name)) if file.exists() else {}
    if folder is not None:
        before, results = results, json.loads(read_text(folder / "results.json", "results"))
        if keep and before:
            results = fill_gaps(results, before)
            for old in left_behind(results, before):
                click.echo(
                    f"Left out: {old['task']}, {old['variant']}, seed {old['seed']}, whose name or "
                    "settings the suite no longer has.",
                    err=True,
                )
        write_atomically(file, dumps(results))
        keep_logits(folder)
    make, other = (page, "published.json") if is_paper else (warm_page, "results.json")
    text = make(results, json.loads(read(other)), read(f"{name}.template.md"))
    write_atomically(DOCS / f"{name}.md", text)
    if is_paper:
        figures.save_figures(results, DOCS / "results")


if __name__ == "__main__":
    main()
