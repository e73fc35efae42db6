"""Collected results as Markdown tables."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from beex_keras import exits
from suite import summary
from suite.collect import PAPERS_POLICY, POLICIES
from suite.summary import Mean, Results, Row

NONE = "–"
PAGES_POLICIES = tuple(dict.fromkeys((PAPERS_POLICY, exits.DEFAULT)))
"""The paper's policy and the recipe's."""

_METRIC_NAMES = {
    "accuracy": "accuracy",
    "matthews": "Matthews",
    "f1": "F1",
    "pearson": "Pearson, exit by change",
    "spearman": "Spearman",
    "mean_absolute_error": "mean absolute error",
}
_COLUMNS = ("full depth", "calibrated exit", "FLOPs saved")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# === Figures as text; what is not measured is a dash ===


def score(value: float | None) -> str:
    """A share in points: "81.2"."""
    return NONE if value is None else f"{100 * value:.1f}"


def points(mean: Mean | None) -> str:
    """A mean share in points: "81.2 ± 0.3", or "81.2 (1 seed)"."""
    if mean is None:
        return NONE
    spread = " (1 seed)" if mean.spread is None else f" ± {score(mean.spread)}"
    return score(mean.value) + spread


def saving(mean: Mean | None) -> str:
    """A share in whole percent."""
    return NONE if mean is None else f"{round(100 * mean.value)} %"


def difference(mean: Mean) -> str:
    """A difference in points: "+0.4 ± 0.6"."""
    spread = "" if mean.spread is None else f" ± {score(mean.spread)}"
    return f"{100 * mean.value:+.1f}{spread}"


def gain(row: Row) -> str:
    """Score with exits less score at full depth, in points."""
    return f"{100 * (row.exit.value - row.full.value):+.1f}"


def versions(results: Results) -> str:
    """What the results were made with: "numpy 1.26.4, …"."""
    return ", ".join(f"{name} {number}" for name, number in results["versions"].items())


def _number(things: Sequence[Any], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


# === Tables ===


def main_tables(results: Results) -> str:
    """Score at full depth; with an exit, by the paper's policy and the default: a row a task."""
    tasks, variants = summary.main_table(results)
    shared, seeds = summary.measured(results)

    def baseline(name: str, tasks: Sequence[str]) -> str:
        known = [results["tasks"][task] for task in tasks]
        if any(name not in of["baselines"] for of in known):
            return NONE
        return score(sum(of["baselines"][name][of["metric"]] for of in known) / len(known))

    def lines(
        figure: Callable[[Row], str], policy: str = PAPERS_POLICY, baselines: Sequence[str] = ()
    ) -> str:
        rows = []
        for task in tasks:
            name = summary.metric(results, task)
            title = task if name == "accuracy" else f"{task} ({_METRIC_NAMES[name]})"
            found = [summary.row(results, task, variant, policy) for variant in variants]
            shown = [NONE if row is None else figure(row) for row in found]
            rows.append([title, *(baseline(b, [task]) for b in baselines), *shown])
        if shared:
            title = f"mean of {_number(shared, 'task')}, {_number(seeds, 'seed')}"
            means = [summary.over_tasks(results, variant, policy) for variant in variants]
            shown = [figure(row) for row in means if row is not None]
            shown = [title, *(baseline(b, shared) for b in baselines), *shown]
            rows.append([f"**{text}**" for text in shown])
        return table(["", *baselines, *variants], rows)

    parts = [
        "Full depth (score × 100):",
        lines(lambda row: points(row.full), baselines=_baselines(results)),
    ]
    for policy in PAGES_POLICIES:
        parts += [
            f"Calibrated exit by {summary.POLICY_NAMES[policy]} (score × 100):",
            lines(lambda row: points(row.exit), policy),
            "FLOPs saved by it:",
            lines(lambda row: saving(row.saved), policy),
        ]
    return "\n\n".join(parts)


def _baselines(results: Results) -> list[str]:
    return list(dict.fromkeys(name for of in results["tasks"].values() for name in of["baselines"]))


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
                    *(score(known["baselines"].get(b, {}).get(name)) for b in _baselines(results)),
                    *(points(row and row.full) for row in found),
                ]
            )
    return table(["full depth", *_baselines(results), *variants], rows) if rows else ""


def policies(results: Results, variant: str) -> str:
    """Every policy on one variant: mean over the tasks that every variant has been trained on."""
    rows = []
    for policy in POLICIES:
        cells = [summary.POLICY_NAMES[policy]]
        for strict in (False, True):
            if row := summary.over_tasks(results, variant, policy, strict):
                cells += [points(row.exit), gain(row), saving(row.saved)]
        rows += [cells] if len(cells) > 1 else []
    header = ["", "score", "against full depth", "FLOPs saved"]
    return table([*header, *(f"{name}, tolerance 0" for name in header[1:])], rows)


def ablation(results: Results, title: str) -> str:
    """A table of variants: full depth, calibrated exit and FLOPs saved on each task."""
    tasks = summary.measured_tasks(results, results["tables"][title])
    lines = [
        [variant, *(figure for task in tasks for figure in _figures(results, task, variant))]
        for variant in results["tables"][title]["variants"]
    ]
    return table(["", *(f"{task}: {column}" for task in tasks for column in _COLUMNS)], lines)


def long_ablation(results: Results, title: str) -> str:
    """The same with baselines, and by the default policy too: task below task, what is measured."""
    lines = []
    for task in summary.measured_tasks(results, results["tables"][title]):
        known = results["tasks"][task]
        missing = [NONE] * (2 * len(PAGES_POLICIES))
        rows = [
            [name, score(scores[known["metric"]]), *missing]
            for name, scores in known["baselines"].items()
        ]
        for variant in results["tables"][title]["variants"]:
            full, *with_exits = _figures(results, task, variant, PAGES_POLICIES)
            if full != NONE:
                rows.append([variant, full, *with_exits])
        lines += [[task if number == 0 else "", *row] for number, row in enumerate(rows)]
    columns = [_COLUMNS[0]]
    for policy in PAGES_POLICIES:
        columns += [f"exit by {summary.POLICY_NAMES[policy]}", _COLUMNS[2]]
    return table(["", "", *columns], lines)


def _figures(
    results: Results, task: str, variant: str, policies: Sequence[str] = (PAPERS_POLICY,)
) -> list[str]:
    """Score at full depth; then, by each policy, score with its exit and FLOPs saved."""
    found = [summary.row(results, task, variant, policy) for policy in policies]
    shown = [points(found[0] and found[0].full)]
    for row in found:
        shown += [points(row and row.exit), saving(row and row.saved)]
    return shown


def choices(results: Results, default: str) -> str:
    """Of each table of variants the best besides the default, and whether it is better."""
    rows = []
    for title, shown in list(results["tables"].items())[1:]:
        others = [variant for variant in shown["variants"] if variant != default]
        found = {
            variant: summary.difference(results, title, variant, default) for variant in others
        }
        known = {variant: mean for variant, mean in found.items() if mean is not None}
        if not known:
            rows.append([title, NONE, NONE, NONE])
            continue
        best = max(known, key=lambda variant: known[variant].value)
        mean = known[best]
        sure = mean.spread is not None and mean.value > mean.spread
        rows.append([title, best, difference(mean), "better" if sure else "not surely better"])
    return table(["", f"best besides {default}", "difference, points", ""], rows)


def conversions(results: Results, title: str) -> str:
    """What conversion to activations of 8 bits changes, for each task and variant of a table, and in the mean.

    It is empty where no training was converted.
    """
    rows, changes = [], []
    for task in summary.measured_tasks(results, results["tables"][title]):
        for variant in results["tables"][title]["variants"]:
            done = summary.trials(results, task, variant)
            if known := [trial["w1a8"] for trial in done if "w1a8" in trial]:
                full, exit, saved = (_before_after(known, n) for n in ("full", "exit", "saved"))
                shown = [
                    cell
                    for *two, change in (full, exit)
                    for cell in (*map(points, two), difference(change))
                ]
                rows.append([task, variant, *shown, *map(saving, saved[:2])])
                changes.append((full[2].value, exit[2].value))
    if not rows:
        return ""
    full, exit = (f"{100 * sum(column) / len(rows):+.2f}" for column in zip(*changes, strict=True))
    rows.append(["mean", "", "", "", full, "", "", exit, "", ""])
    columns = [f"{c}{of}" for c in _COLUMNS[:2] for of in ("", ", W1A8", ", change")]
    return table(["", "", *columns, _COLUMNS[2], f"{_COLUMNS[2]}, W1A8"], rows)


def _before_after(known: Sequence[dict[str, Any]], name: str) -> tuple[Mean, Mean, Mean]:
    """Means of a figure over conversions: before, after, and the change."""
    pairs = [its[name] for its in known]
    before, after = (Mean.of(column) for column in zip(*pairs, strict=True))
    return before, after, Mean.of([new - old for old, new in pairs])


def sizes(results: Results) -> str:
    """Weights, bytes, operations and exported files of the first table's variants."""
    columns = {
        "binary weights": lambda file, of: f"{of['binary_parameters']:,}",
        "real weights": lambda file, of: f"{of['real_parameters']:,}",
        "bytes of weights": lambda file, of: f"{of['bytes']:,}",
        "bytes of the .tflite": lambda file, of: f"{file['bytes']:,}",
        "times smaller": lambda file, of: f"{file['float32_bytes'] / file['bytes']:.2f}",
        "binary MMACs": lambda file, of: _millions(of["binary_macs"]),
        "mixed MMACs": lambda file, of: _millions(of["mixed_macs"]),
        "real MMACs": lambda file, of: _millions(of["real_macs"]),
        "full depth MFLOPs": lambda file, of: _millions(of["full_depth_flops"]),
    }
    rows = [
        [variant, *(column(file, file["account"]) for column in columns.values())]
        for variant, file in results["files"].items()
    ]
    return table(["", *columns], rows)


def _millions(count: float) -> str:
    return f"{count / 1e6:.1f}"


def expected_flops(results: Results, variant: str) -> str:
    """FLOPs of a text at each exit, and their mean under the exits taken on the test split."""
    rows = []
    for task in results["tasks"]:
        done = summary.trials(results, task, variant)
        if not done:
            continue
        flops = done[0]["account"]["depth_flops"]
        taken = [summary.by_policy(trial, PAPERS_POLICY)["exit_shares"] for trial in done]
        shares = [sum(column) / len(done) for column in zip(*taken, strict=True)]
        mean = sum(s * f for s, f in zip(shares, flops, strict=True))
        rows.append(
            [
                task,
                " / ".join(f"{100 * share:.0f}" for share in shares),
                " / ".join(map(_millions, flops)),
                _millions(mean),
                _millions(done[0]["account"]["full_depth_flops"]),
            ]
        )
    header = ["", "leave at exit 1 / 2 / … (%)", "MFLOPs of leaving there"]
    return table([*header, "expected MFLOPs", "full depth MFLOPs"], rows)


def tasks(results: Results) -> str:
    """Sizes and origin of each task's splits."""
    parts = ("train", "validation", "test")
    rows = [
        [name, str(of["classes"]), *(f"{of['texts'][part]:,}" for part in parts), of["splits"]]
        for name, of in results["tasks"].items()
    ]
    return table(["", "classes", *parts, "splits"], rows)


def gaps(results: Results) -> str:
    """What is not measured, and why; empty if all is."""
    lines = [f"- {task} was left out. {why}" for task, why in results["skipped"].items()]
    lines += [
        f"- {trial['variant']} on {trial['task']}, seed {trial['seed']}, failed: {trial['reason']}"
        for trial in results["failed"]
    ]
    by_variant: dict[str, dict[str, list[str]]] = {}
    for trial in results["missing"]:
        of_variant = by_variant.setdefault(trial["variant"], {})
        of_variant.setdefault(trial["task"], []).append(str(trial["seed"]))
    for variant, found in by_variant.items():
        seeds = (f"{task} (seed {', '.join(numbers)})" for task, numbers in found.items())
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
        parts += [f"## Exit policies: {variant}", policies(results, variant)]
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
    parts.append(f"Code {', '.join(results['code'])}; {versions(results)}.")
    return "\n\n".join(parts) + "\n"
