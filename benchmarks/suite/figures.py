"""Figures of collected results, means over seeds; in the style of `beex_keras.evaluation.style`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras.evaluation import plots, style
from suite import summary
from suite.collect import PAPERS_POLICY
from suite.summary import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_BROWN = "#7A5C14"
_LEAST_SHOWN = 0.5  # percent of texts, lest one text fill a panel
_TFIDF = "TF-IDF"


@style.styled
def accuracy_against_flops(results: Results, variant: str, twin: str) -> "Figure":
    """Score against FLOPs for every policy on one variant, and the float32 twin: a panel a task.

    Points of a policy are its thresholds from full depth to the first exit, on the test split; each
    seed's curve is read at the same costs, and the seeds' mean is drawn. The twin is drawn with the
    paper's policy, and its full depth as a star.

    Args:
        results: collected results.
        variant: whose policies to draw.
        twin: the variant to compare with.
    """

    def draw(axes: "Axes", task: str) -> None:
        name = summary.metric(results, task)
        done = summary.trials(results, task, variant)
        for index, policy in enumerate(done[0]["policies"] if done else ()):
            curve = _mean_curve(done, policy)
            look = {
                "color": (*style.CYCLE, _BROWN, style.GREY)[index],
                "linestyle": style.DASHES[index % 4],
            }
            look |= {"marker": style.MARKERS[index], "markersize": 3.5, "linewidth": 1.2}
            axes.plot(*curve, **look, label=summary.POLICY_NAMES[policy])
        if others := summary.trials(results, task, twin):
            curve = _mean_curve(others, PAPERS_POLICY)
            full = np.mean([summary.full_depth(trial, name) for trial in others])
            axes.plot(*curve, color="black", linewidth=1.0, label=f"{twin}, the paper's policy")
            star = {"color": "black", "markersize": 11, "label": f"{twin}, full depth"}
            axes.plot(100, 100 * full, "*", **star)
        known = results["tasks"][task]["baselines"]
        baseline = next(100 * of[name] for key, of in known.items() if key.startswith(_TFIDF))
        axes.axhline(
            baseline, color=style.GREY, linestyle=(0, (1, 2)), linewidth=1.2, label="TF-IDF"
        )
        axes.set(xlabel="FLOPs (% of full depth)", ylabel=name)

    return _panels(results, [variant], f"{variant}: score against FLOPs", draw)


@style.styled
def exits_taken(results: Results, variant: str) -> "Figure":
    """Share of the test texts that leaves at each exit by the paper's policy: a panel a task."""

    def draw(axes: "Axes", task: str) -> None:
        done = summary.trials(results, task, variant)
        shares = np.array([summary.by_policy(t, PAPERS_POLICY)["exit_shares"] for t in done])
        mean = style.percent(shares.mean(axis=0))
        numbers = np.arange(1, len(mean) + 1)
        axes.bar(numbers, mean, width=0.7, color=style.BLUE)
        for values in style.percent(shares):
            axes.plot(numbers, values, "o", color="black", markersize=2.5)
        for number, value in zip(numbers, mean, strict=True):
            axes.annotate(f"{value:.0f}", (number, 106), ha="center", fontsize=9)
        axes.set(xlabel="exit", ylabel="texts (%)", ylim=(0, 116), xticks=numbers)
        axes.grid(visible=False, axis="x")

    title = f"{variant}: exits taken (mean; dots are seeds)"
    return _panels(results, [variant], title, draw, height=2.4)


@style.styled
def accuracy_per_exit(results: Results) -> "Figure":
    """Score of each exit, if all texts left there, for the first table's variants: a panel a task."""
    _, variants = summary.main_table(results)

    def draw(axes: "Axes", task: str) -> None:
        name = summary.metric(results, task)
        for index, variant in enumerate(variants):
            done = summary.trials(results, task, variant)
            if not done:
                continue
            scores = style.percent([trial["exits"][name] for trial in done])
            numbers = np.arange(1, scores.shape[1] + 1)
            spread = scores.std(axis=0, ddof=1) if len(scores) > 1 else None
            look = {"color": style.CYCLE[index % 4], "linestyle": style.DASHES[index % 4]}
            look |= {"marker": style.MARKERS[index % 8], "capsize": 2, "label": variant}
            axes.errorbar(numbers + 0.06 * (index - 1), scores.mean(axis=0), spread, **look)
            axes.set_xticks(numbers)
        axes.set(xlabel="exit", ylabel=name)

    return _panels(results, variants, "Score of each exit (mean ± deviation over seeds)", draw)


@style.styled
def overthinking(results: Results, variant: str) -> "Figure":
    """What running on to the last exit gains and loses, from each earlier exit: a panel a task.

    Upwards the texts that are wrong there and right at the end, downwards those that are right there
    and wrong at the end: what the network overthinks. Mean over seeds.
    """

    def draw(axes: "Axes", task: str) -> None:
        found = [trial["overthinking"] for trial in summary.trials(results, task, variant)]
        gained, lost = (
            style.percent(np.mean([of[key] for of in found], axis=0)) for key in ("gained", "lost")
        )
        numbers = np.arange(1, len(gained) + 1)
        axes.bar(
            numbers, gained, width=0.6, color=style.GREEN, label="wrong there, right at the last"
        )
        look = {"color": style.ORANGE, "hatch": "//", "edgecolor": "white"}
        axes.bar(numbers, -lost, width=0.6, **look, label="right there, wrong at the last")
        axes.plot(numbers, gained - lost, "D", color="black", markersize=4, label="difference")
        axes.axhline(0, color=style.GREY, linewidth=1)
        most = 1.15 * max([*gained, *lost, _LEAST_SHOWN])  # one block: no earlier exit
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="exit", ylabel="test texts (%)", ylim=(-most, most), xticks=numbers)

    return _panels(results, [variant], f"{variant}: does depth help or hurt?", draw)


@style.styled
def sizes(results: Results) -> "Figure":
    """Bytes of the weights by place and kind, and of the exported file: a bar a variant."""
    names = list(results["files"])
    small = [n for n in names if results["files"][n]["account"]["binary_parameters"]] or names
    figure, panels = style.subplots(2, width=11, height=1.9 + 0.55 * len(names))
    for axes, shown in zip(panels, (names, small), strict=True):
        _size_bars(axes, results["files"], shown)
    panels[0].set_title("Bytes of the weights, vocabulary apart")
    panels[1].set_title("The binary ones alone")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _size_bars(axes: "Axes", files: dict[str, Any], names: list[str]) -> None:
    left = np.zeros(len(names))
    for place, colour in {
        "embedding": style.BLUE,
        "blocks": style.ORANGE,
        "exits": style.GREEN,
    }.items():
        for kind, look in {"binary": {"alpha": 0.5, "hatch": "//"}, "real": {}}.items():
            places = [files[name]["account"]["bytes_by_place"][place] for name in names]
            values = np.array([of[kind] / 1024 for of in places])
            if values.any():
                look = {"color": colour, "edgecolor": "white", "linewidth": 0.5, **look}
                axes.barh(names, values, 0.55, left, label=f"{place}, {kind}", **look)
            left += values
    for index, name in enumerate(names):
        file, twin = files[name]["bytes"], files[name]["float32_bytes"]
        text = f" file {file / 1024:,.0f} KiB" + (f": {twin / file:.1f}x" if file != twin else "")
        axes.annotate(text, (left[index], index), va="center", fontsize=9.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.5 * left.max())
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("KiB")


def save_figures(results: Results, folder: Path) -> list[tuple[str, str]]:
    """Draws everything into `folder`.

    Returns:
        File name and title of each figure.

    Raises:
        BeexError: matplotlib is missing.
    """
    tasks, variants = summary.main_table(results)
    trained = [v for v in variants if any(summary.trials(results, t, v) for t in tasks)]
    if not trained:
        return []
    drawn: dict[str, tuple[str, Figure]] = {}
    for variant in trained[1:] or trained:
        for kind, title, figure in (
            ("flops", "Score against FLOPs", accuracy_against_flops(results, variant, trained[0])),
            ("exits", "Exits taken", exits_taken(results, variant)),
            ("overthinking", "Overthinking", overthinking(results, variant)),
        ):
            drawn[f"{kind}-{variant.replace(' ', '-')}.png"] = f"{title}, {variant}", figure
    drawn["accuracy-per-exit.png"] = "Score of each exit", accuracy_per_exit(results)
    drawn["sizes.png"] = "Bytes of the weights", sizes(results)
    for name, (_, figure) in drawn.items():
        plots.save(figure, folder / name)
    return [(name, title) for name, (title, _) in drawn.items()]


def _panels(
    results: Results,
    variants: Sequence[str],
    title: str,
    draw: "Callable[[Axes, str], None]",
    height: float = 3.0,
) -> "Figure":
    """A panel for each task on which one of the variants is trained, and one legend for all."""
    names, _ = summary.main_table(results)
    tasks = [t for t in names if any(summary.trials(results, t, v) for v in variants)]
    columns = min(_COLUMNS, len(tasks))
    rows = -(-len(tasks) // columns)
    figure, axes = style.subplots(columns, max(5.0, 3.1 * columns), height * rows + 0.9, rows)
    for panel, task in zip(axes, tasks, strict=False):
        draw(panel, task)
        panel.set_title(task)
    for panel in axes[len(tasks) :]:
        panel.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        columns = min(columns if len(labels) > 3 else 3, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def _mean_curve(trials: list[dict[str, Any]], policy: str) -> tuple[np.ndarray, np.ndarray]:
    """Costs and mean scores of a policy, in percent, where all seeds' curves reach."""
    curves = [np.array(sorted(summary.by_policy(t, policy)["curve"])) for t in trials]
    if min(map(len, curves)) == len({len(c) for c in curves}) == 1:
        return style.percent(curves[0][:, 0]), style.percent(curves[0][:, 1])
    start, end = max(c[0, 0] for c in curves), min(c[-1, 0] for c in curves)
    costs = np.linspace(start, end, 12)
    # Fixed depth and patience have a handful of points: drawn as they are.
    if all(np.array_equal(c[:, 0], curves[0][:, 0]) for c in curves):
        costs = curves[0][:, 0]
    scores = [np.interp(costs, c[:, 0], c[:, 1]) for c in curves]
    return style.percent(costs), style.percent(np.mean(scores, axis=0))
