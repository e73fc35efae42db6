"""Collected results as Markdown tables."""

from collections.abc import Sequence
from typing import Any

from beex_keras import exits
from beex_keras.benchmark import summary
from beex_keras.benchmark.collect import PAPERS_POLICY, POLICIES
from beex_keras.benchmark.summary import Mean, Results, Row

NONE = "–"
_METRIC_NAMES = {"accuracy": "accuracy", "matthews": "Matthews", "f1": "F1"}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def points(mean: Mean | None) -> str:
    """A share in points: "81.2 ± 0.3", or "81.2 (1 seed)"."""
    if mean is None:
        return NONE
    text = f"{100 * mean.value:.1f}"
    return f"{text} (1 seed)" if mean.spread is None else f"{text} ± {100 * mean.spread:.1f}"


def saving(mean: Mean | None) -> str:
    """A share in whole percent."""
    return NONE if mean is None else f"{round(100 * mean.value)} %"


def _number(things: Sequence[Any], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def task_title(results: Results, task: str) -> str:
    """ "glue/cola (Matthews)", or the name alone for accuracy."""
    name = summary.metric(results, task)
    return task if name == "accuracy" else f"{task} ({_METRIC_NAMES[name]})"


def main_tables(results: Results) -> str:
    """Score at full depth; with an exit, by the paper's policy and the default: a row a task."""
    tasks, variants = summary.main_table(results)
    baselines = list(next(iter(results["tasks"].values()))["baselines"])
    shared, seeds = summary.measured(results)

    def lines(cell: Any, policy: str = PAPERS_POLICY, with_baselines: bool = False) -> str:
        rows = []
        for task in tasks:
            found = [summary.row(results, task, variant, policy) for variant in variants]
            known = results["tasks"][task]
            shown = []
            if with_baselines:
                shown = [f"{100 * known['baselines'][b][known['metric']]:.1f}" for b in baselines]
            rows.append(
                [
                    task_title(results, task),
                    *shown,
                    *(NONE if f is None else cell(f) for f in found),
                ]
            )
        means = [summary.over_tasks(results, variant, policy) for variant in variants]
        if shared:
            shown = []
            if with_baselines:
                for b in baselines:
                    scores = [
                        results["tasks"][t]["baselines"][b][summary.metric(results, t)]
                        for t in shared
                    ]
                    shown.append(f"**{100 * sum(scores) / len(scores):.1f}**")
            rows.append(
                [
                    f"**mean of {_number(shared, 'task')}, {_number(seeds, 'seed')}**",
                    *shown,
                    *(NONE if f is None else f"**{cell(f)}**" for f in means),
                ]
            )
        return table(["", *(baselines if with_baselines else []), *variants], rows)

    parts = [
        "Full depth (score × 100):",
        lines(lambda row: points(row.full), with_baselines=True),
    ]
    for policy in dict.fromkeys((PAPERS_POLICY, exits.DEFAULT)):
        parts += [
            f"Calibrated exit by {summary.POLICY_NAMES[policy]} (score × 100):",
            lines(lambda row: points(row.exit), policy),
            "FLOPs saved by it:",
            lines(lambda row: saving(row.saved), policy),
        ]
    return "\n\n".join(parts)


def second_metrics(results: Results) -> str:
    """Metrics besides the tasks' own, of the first table; empty if there are none."""
    tasks, variants = summary.main_table(results)
    rows = []
    for task in tasks:
        known = results["tasks"][task]
        for name in next(iter(known["baselines"].values())):
            if name == known["metric"]:
                continue
            found = [summary.row(results, task, v, metric_name=name) for v in variants]
            rows.append(
                [
                    f"{task} ({_METRIC_NAMES[name]})",
                    *(f"{100 * scores[name]:.1f}" for scores in known["baselines"].values()),
                    *(NONE if f is None else points(f.full) for f in found),
                ]
            )
    if not rows:
        return ""
    baselines = list(next(iter(results["tasks"].values()))["baselines"])
    return table(["full depth", *baselines, *variants], rows)


def policies(results: Results, variant: str) -> str:
    """Every policy on one variant: mean over the tasks that every variant has been trained on."""
    rows = []
    for policy in POLICIES:
        found = summary.over_tasks(results, variant, policy)
        strict = summary.over_tasks(results, variant, policy, strict=True)
        if found is None or strict is None:
            continue
        rows.append(
            [
                summary.POLICY_NAMES[policy],
                points(found.exit),
                gain(found),
                saving(found.saved),
                points(strict.exit),
                gain(strict),
                saving(strict.saved),
            ]
        )
    header = ["", "score", "against full depth", "FLOPs saved"]
    return table([*header, *(f"{name}, tolerance 0" for name in header[1:])], rows)


def gain(row: Row) -> str:
    """Score with exits less score at full depth, in points."""
    return f"{100 * (row.exit.value - row.full.value):+.1f}"


_COLUMNS = ("full depth", "calibrated exit", "FLOPs saved")


def ablation(results: Results, title: str) -> str:
    """A table of variants: full depth, calibrated exit and FLOPs saved on each task."""
    tasks = _measured_tasks(results, title)
    lines = []
    for variant in results["tables"][title]["variants"]:
        cells = (_figures(results, task, variant) for task in tasks)
        lines.append([variant, *(figure for of_task in cells for figure in of_task)])
    return table(["", *(f"{task}: {column}" for task in tasks for column in _COLUMNS)], lines)


def long_ablation(results: Results, title: str) -> str:
    """The same with baselines, and by the default policy too: task below task, what is measured."""
    policies = list(dict.fromkeys((PAPERS_POLICY, exits.DEFAULT)))
    lines = []
    for task in _measured_tasks(results, title):
        known = results["tasks"][task]
        missing = [NONE] * (2 * len(policies))
        rows = [
            [name, f"{100 * scores[known['metric']]:.1f}", *missing]
            for name, scores in known["baselines"].items()
        ]
        for variant in results["tables"][title]["variants"]:
            full, *with_exits = _figures(results, task, variant, policies)
            if full != NONE:
                rows.append([variant, full, *with_exits])
        lines += [[task, *rows[0]], *(["", *row] for row in rows[1:])]
    columns = [_COLUMNS[0]]
    for policy in policies:
        columns += [f"exit by {summary.POLICY_NAMES[policy]}", _COLUMNS[2]]
    return table(["", "", *columns], lines)


def _measured_tasks(results: Results, title: str) -> list[str]:
    """The tasks of a table that have data."""
    return [task for task in results["tables"][title]["tasks"] if task in results["tasks"]]


def _figures(
    results: Results, task: str, variant: str, policies: Sequence[str] = (PAPERS_POLICY,)
) -> list[str]:
    """Score at full depth; then, by each policy, score with its exit and FLOPs saved."""
    found = [summary.row(results, task, variant, policy) for policy in policies]
    shown = [NONE if found[0] is None else points(found[0].full)]
    for row in found:
        shown += [NONE, NONE] if row is None else [points(row.exit), saving(row.saved)]
    return shown


def choices(results: Results, default: str) -> str:
    """Of each table of variants the best besides the default, and whether it is better."""
    rows = []
    for title in list(results["tables"])[1:]:
        found = {
            variant: summary.difference(results, title, variant, default)
            for variant in results["tables"][title]["variants"]
            if variant != default
        }
        known = {variant: mean for variant, mean in found.items() if mean is not None}
        if not known:
            rows.append([title, NONE, NONE, NONE])
            continue
        best = max(known, key=lambda variant: known[variant].value)
        mean = known[best]
        sure = mean.value > (mean.spread or 0.0)
        rows.append([title, best, difference(mean), "better" if sure else "not surely better"])
    return table(["", f"best besides {default}", "difference, points", ""], rows)


def difference(mean: Mean) -> str:
    """A difference in points: "+0.4 ± 0.6"."""
    spread = "" if mean.spread is None else f" ± {100 * mean.spread:.1f}"
    return f"{100 * mean.value:+.1f}{spread}"


def sizes(results: Results) -> str:
    """Weights, bytes, operations and exported files of the first table's variants."""
    rows = []
    for variant, figures in results["files"].items():
        counted = figures["account"]
        macs = [counted[f"{kind}_macs"] / 1e6 for kind in ("binary", "mixed", "real")]
        rows.append(
            [
                variant,
                f"{counted['binary_parameters']:,}",
                f"{counted['real_parameters']:,}",
                f"{counted['bytes']:,}",
                f"{figures['bytes']:,}",
                f"{figures['float32_bytes'] / figures['bytes']:.2f}",
                *(f"{value:.1f}" for value in macs),
                f"{counted['full_depth_flops'] / 1e6:.1f}",
            ]
        )
    return table(
        [
            "",
            "binary weights",
            "real weights",
            "bytes of weights",
            "bytes of the .tflite",
            "times smaller",
            "binary MMACs",
            "mixed MMACs",
            "real MMACs",
            "full depth MFLOPs",
        ],
        rows,
    )


def expected_flops(results: Results, variant: str) -> str:
    """FLOPs of a text at each exit, and their mean under the exits taken on the test split."""
    rows = []
    for task in results["tasks"]:
        done = summary.cells(results, task, variant)
        if not done:
            continue
        counted = done[0]["account"]
        shares = [
            sum(c["policies"][PAPERS_POLICY]["exit_shares"][i] for c in done) / len(done)
            for i in range(len(counted["depth_flops"]))
        ]
        mean = sum(s * f for s, f in zip(shares, counted["depth_flops"], strict=True))
        rows.append(
            [
                task,
                " / ".join(f"{100 * share:.0f}" for share in shares),
                " / ".join(f"{flops / 1e6:.1f}" for flops in counted["depth_flops"]),
                f"{mean / 1e6:.1f}",
                f"{counted['full_depth_flops'] / 1e6:.1f}",
            ]
        )
    header = ["", "leave at exit 1 / 2 / … (%)", "MFLOPs of leaving there"]
    return table([*header, "expected MFLOPs", "full depth MFLOPs"], rows)


def tasks(results: Results) -> str:
    """Sizes and origin of each task's splits."""
    rows = [
        [
            name,
            f"{known['classes']}",
            *(f"{known['texts'][part]:,}" for part in ("train", "validation", "test")),
            known["splits"],
        ]
        for name, known in results["tasks"].items()
    ]
    return table(["", "classes", "train", "validation", "test", "splits"], rows)


def gaps(results: Results) -> str:
    """What is not measured, and why; empty if all is."""
    lines = [f"- {task} was left out. {why}" for task, why in results["skipped"].items()]
    lines += [
        f"- {cell['variant']} on {cell['task']}, seed {cell['seed']}, failed: {cell['reason']}"
        for cell in results["failed"]
    ]
    by_variant: dict[str, dict[str, list[int]]] = {}
    for cell in results["missing"]:
        of_variant = by_variant.setdefault(cell["variant"], {})
        of_variant.setdefault(cell["task"], []).append(cell["seed"])
    for variant, found in by_variant.items():
        seeds = (f"{task} (seed {', '.join(map(str, n))})" for task, n in found.items())
        lines.append(f"- {variant} is not trained yet on {', '.join(seeds)}.")
    return "\n".join(lines)


def report(results: Results, figures: Sequence[tuple[str, str]] = ()) -> str:
    """The whole report.

    Args:
        results: collected results.
        figures: path and title of each figure.
    """
    _, variants = summary.main_table(results)
    parts = [
        f"# {results['suite']}",
        f"{results['about']}.",
        "Scores on the test split, times 100: accuracy, or the metric named with the task. Means ± "
        "sample standard deviation over seeds. Exits are calibrated on the validation split.",
        main_tables(results),
    ]
    if more := second_metrics(results):
        parts += ["Further metrics:", more]
    for variant in variants:
        if found := policies(results, variant):
            parts += [f"## Exit policies: {variant}", found]
    for title in list(results["tables"])[1:]:
        parts += [f"## {title}", ablation(results, title)]
    parts += ["## Size and operations", sizes(results)]
    for variant in variants:
        parts += [f"Exits taken, {variant}:", expected_flops(results, variant)]
    parts += ["## Tasks", tasks(results)]
    if missing := gaps(results):
        parts += ["## Not measured", missing]
    if figures:
        parts += ["## Figures", *(f"![{title}]({path})" for path, title in figures)]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    parts.append(f"Code {', '.join(results['code'])}; {versions}.")
    return "\n\n".join(parts) + "\n"
