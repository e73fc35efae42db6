"""Figures of a training, a calibration, the exits taken and the quantizers.

Every function returns a `matplotlib.figure.Figure` in the style of `beex_keras.evaluation.style`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.evaluation.calibration import Calibration
from beex_keras.evaluation.evaluate import Evaluation
from beex_keras.evaluation.style import (
    BLUE,
    CYCLE,
    DASHES,
    GREY,
    MARKERS,
    ORANGE,
    percent,
    shades,
    styled,
    subplots,
)
from beex_keras.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def history(logs: Mapping[str, Sequence[float]]) -> "Figure":
    """Loss, and accuracy at each exit, over the epochs of a history as Keras keeps it.

    Reads `loss`, `val_loss` if there, `val_exit_1`… (or else `exit_1`…, of the training data) and
    `val_calibrated_accuracy` if there.

    Raises:
        BeexError: matplotlib is missing, or the history has no epoch.
    """
    if not logs.get("loss"):
        raise BeexError("The history holds no finished epoch, so there is nothing to draw.")
    epochs = np.arange(1, len(logs["loss"]) + 1)
    figure, (left, right) = subplots(2, width=10)

    _training_and_validation(left, logs, "loss")
    left.set(title="Loss, all exits", xlabel="epoch", ylabel="loss")

    prefix, data = ("val_", "validation") if "val_exit_1" in logs else ("", "training")
    exits = [name for name in logs if name.startswith(f"{prefix}exit_")]
    exits.sort(key=lambda name: int(name.rsplit("_", 1)[1]))
    for index, (name, colour) in enumerate(zip(exits, shades(len(exits)), strict=True)):
        marker = MARKERS[index % len(MARKERS)]
        label = f"exit {name.rsplit('_', 1)[1]}"
        right.plot(epochs, percent(logs[name]), marker=marker, color=colour, label=label)
    if "val_calibrated_accuracy" in logs:
        right.plot(
            epochs, percent(logs["val_calibrated_accuracy"]), "--", color="black",
            linewidth=1.2, label="calibrated",
        )  # fmt: skip
    right.set(title=f"Accuracy, {data} data", xlabel="epoch", ylabel="accuracy (%)")
    right.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    _count_epochs(left, right, count=len(epochs))
    return figure


def _training_and_validation(axes: "Axes", logs: Mapping[str, Any], name: str) -> None:
    """A log and its counterpart on validation data over the epochs, each if it is there."""
    for key, label, colour, dash in (
        (name, "training", BLUE, "-"), (f"val_{name}", "validation", ORANGE, "--"),
    ):  # fmt: skip
        if key in logs:
            epochs = np.arange(1, len(logs[key]) + 1)
            axes.plot(epochs, logs[key], dash, marker="o", color=colour, label=label)
    axes.legend()


def _count_epochs(*all_axes: "Axes", count: int) -> None:
    """Epochs are whole numbers, from 1."""
    from matplotlib.ticker import MaxNLocator

    for axes in all_axes:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, count + 0.5)


@styled
def trade_off(calibration: Calibration) -> "Figure":
    """Accuracy against cost for every threshold tried, with the chosen point marked.

    Cost is the mean of FLOPs relative to full depth, on the validation data.

    Raises:
        BeexError: matplotlib is missing.
    """
    curve, chosen = calibration.curve, calibration.index
    figure, (axes,) = subplots(1, width=6.4, height=4.6)
    order = np.argsort(curve.cost, kind="stable")
    accuracy, cost = percent(curve.accuracy), percent(curve.cost)
    axes.plot(cost[order], accuracy[order], color=BLUE, zorder=2)
    if len(cost) <= 16:
        axes.plot(cost, accuracy, "o", color=BLUE, zorder=2)
    full = 100 * calibration.full_depth_accuracy
    axes.axhline(full, color=GREY, linestyle="--", linewidth=1.2, zorder=1,
                 label=f"full depth: {full:.2f} %")  # fmt: skip
    if calibration.tolerance:
        axes.axhline(full - 100 * calibration.tolerance, color=GREY, linestyle=":", linewidth=1.2,
                     zorder=1, label=f"tolerated: {full - 100 * calibration.tolerance:.2f} %")  # fmt: skip
    policy = calibration.policy
    axes.plot(
        cost[chosen], accuracy[chosen], "*", markersize=17, color=ORANGE, markeredgecolor="white",
        zorder=3, label=f"chosen: {accuracy[chosen]:.2f} % at {cost[chosen]:.1f} % of the FLOPs\n"
        f"({type(policy).__name__}, {policy.parameter} = {policy.threshold:.4g})",
    )  # fmt: skip
    axes.set(
        title="Accuracy against cost of early exit",
        xlabel="mean FLOPs relative to full depth (%)",
        ylabel=f"accuracy (%), {calibration.num_samples:,} validation texts",
    )
    axes.margins(x=0.04, y=0.08)
    figure.legend(loc="outside lower center")
    return figure


@styled
def exit_histogram(evaluation: Evaluation) -> "Figure":
    """Share of the texts that leave at each exit, with the score of that exit if all left there.

    Raises:
        BeexError: matplotlib is missing.
    """
    heights = percent(evaluation.exit_shares)
    numbers = np.arange(1, len(heights) + 1)
    figure, (axes,) = subplots(1, width=max(4.8, 1.6 + 0.85 * len(numbers)))
    bars = axes.bar(numbers, heights, width=0.68, color=BLUE)
    axes.bar_label(bars, [f"{height:.1f} %" for height in heights], padding=2, fontsize=9.5)
    scores = [f"\n({score:.3f})" for score in evaluation.exit_scores] or [""] * len(numbers)
    axes.set_xticks(numbers, [f"{n}{score}" for n, score in zip(numbers, scores, strict=True)])
    axes.grid(visible=False, axis="x")
    axes.set(
        title=f"Where texts leave: mean depth {evaluation.mean_depth:.2f} of {len(numbers)}",
        xlabel=f"exit ({evaluation.metric} if all left there)",
        ylabel=f"of {evaluation.num_samples:,} texts (%)",
        ylim=(0, 1.12 * heights.max()),
    )
    return figure


@styled
def quantizer(names: str | Sequence[str] = "polynomial_sign", limit: float = 1.6) -> "Figure":
    """Forward and gradient of one or several quantizers on [−`limit`, `limit`].

    For `polynomial_sign` alone the polynomial F, of which its gradient is the derivative, is drawn
    beside the forward.

    Raises:
        BeexError: matplotlib is missing, or an unknown quantizer.
    """
    import tensorflow as tf

    from beex_keras import quantizers

    names = [names] if isinstance(names, str) else list(names)
    figure, (left, right) = subplots(2, width=8.6)
    # An even number of points: none at the step, which is drawn as a vertical line.
    x = np.linspace(-limit, limit, 1200, dtype=np.float32)
    for index, name in enumerate(names):
        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = quantizers.get(name)(variable)
        gradient = tape.gradient(y, variable)
        style: dict[str, Any] = {
            "color": CYCLE[index % 4],
            "linestyle": DASHES[index % 4],
            "label": name,
        }
        left.plot(x, y.numpy(), **style)
        right.plot(x, gradient.numpy(), **style)
    if names == ["polynomial_sign"]:
        inside = np.clip(x, -1, 1)
        left.plot(x, 2 * inside - np.sign(inside) * inside**2, "--", color=ORANGE, linewidth=1.4,
                  label="F(w), behind the gradient")  # fmt: skip
    left.set(title="Forward: the weight used", xlabel="latent weight w", ylabel="q(w)")
    right.set(title="Backward: the gradient passed", xlabel="latent weight w", ylabel="dq / dw")
    left.set_yticks([-1, 0, 1])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a figure whole or not at all; the suffix (.png, .pdf, .svg…) chooses the format.

    Raises:
        BeexError: an unknown suffix, or a path that cannot be written.
    """
    suffix = Path(path).suffix.lstrip(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise BeexError(
            f"A figure cannot be written as '{path}'; end its name in .png, .pdf or .svg."
        )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=160, format=suffix)


def save_run_figures(run: Any) -> list[Path]:
    """Draws a training run into its folder's `figures/`: history, trade-off and exits taken.

    Args:
        run: what `beex_keras.train` returns.

    Returns:
        The files written; none where matplotlib is missing, since figures are an extra.
    """
    return _save_figures(
        run,
        {
            "history.png": lambda: history(run.history),
            "trade_off.png": lambda: trade_off(run.calibration),
            "exits.png": lambda: exit_histogram(run.evaluation),
        },
    )


def _save_figures(run: Any, figures: Mapping[str, Callable[[], "Figure"]]) -> list[Path]:
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return []
    folder = Path(run.directory) / "figures"
    for name, draw in figures.items():
        save(draw(), folder / name)
    return [folder / name for name in figures]
