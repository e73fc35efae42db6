"""Figures of a training, a calibration, the exits taken and the quantizers.

Every function that draws returns a `matplotlib.figure.Figure` in the style of
`beex_keras.evaluation.style`, and raises `BeexError` where matplotlib is missing.
"""

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.evaluation import style
from beex_keras.evaluation.calibration import Calibration
from beex_keras.evaluation.scores import OF_NUMBERS, Evaluation
from beex_keras.evaluation.style import percent, styled
from beex_keras.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def history(logs: Mapping[str, Sequence[float]]) -> "Figure":
    """Plots the loss and the accuracy at each exit over the epochs of a Keras history.

    For a regression it plots the task's metric in place of accuracy.

    Reads `loss`, `val_loss` if there, `val_exit_1`… (or else `exit_1`…, of the training data) and
    `val_calibrated_accuracy` if there.

    Raises:
        BeexError: the history has no epoch.

    Example:
        >>> from beex_keras.evaluation import plots
        >>> figure = plots.history({"loss": [1.0, 0.6], "exit_1": [0.6, 0.7], "exit_2": [0.7, 0.8]})
        >>> len(figure.axes)
        2
    """
    if not logs.get("loss"):
        raise BeexError("The history holds no finished epoch; train at least one epoch first.")
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(logs["loss"]) + 1)
    figure, (left, right) = style.subplots(2, width=10)

    left.plot(epochs, logs["loss"], "-", marker="o", color=style.BLUE, label="training")
    if "val_loss" in logs:
        look: dict[str, Any] = {"marker": "o", "color": style.ORANGE, "label": "validation"}
        left.plot(epochs, logs["val_loss"], "--", **look)
    left.legend()
    left.set(title="Loss, all exits", xlabel="epoch", ylabel="loss")

    prefix, data = ("val_", "validation") if "val_exit_1" in logs else ("", "training")
    count = sum(name.startswith(f"{prefix}exit_") for name in logs)
    for number, colour in enumerate(style.shades(count), start=1):
        accuracy, marker = percent(logs[f"{prefix}exit_{number}"]), style.MARKERS[(number - 1) % 8]
        right.plot(epochs, accuracy, marker=marker, color=colour, label=f"exit {number}")
    if "val_calibrated_accuracy" in logs:
        accuracy = percent(logs["val_calibrated_accuracy"])
        right.plot(epochs, accuracy, "--", color="black", linewidth=1.2, label="calibrated")
    what = "metric" if "val_pearson" in logs else "accuracy"
    right.set(title=f"{what.capitalize()}, {data} data", xlabel="epoch", ylabel=f"{what} (%)")
    right.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    for axes in (left, right):  # epochs are whole numbers, from 1
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(0.5, len(epochs) + 0.5)
    return figure


@styled
def trade_off(calibration: Calibration) -> "Figure":
    """Plots estimated accuracy (a regression's metric) against cost for all thresholds, and the chosen one.

    Cost is the mean of FLOPs relative to full depth, on the validation data.

    Example:
        >>> from beex_keras.evaluation import plots
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> figure = plots.trade_off(beex.calibrate(beex.Confidence(), logits, np.array([1, 1])))
        >>> len(figure.axes)
        1
    """
    curve, chosen = calibration.curve, calibration.index
    what = calibration.metric.replace("_", " ") if calibration.metric in OF_NUMBERS else "accuracy"
    figure, (axes,) = style.subplots(1, width=6.4, height=4.6)
    order = np.argsort(curve.cost, kind="stable")
    full = 100 * calibration.full_depth_accuracy
    accuracy, cost = full - percent(curve.loss), percent(curve.cost)
    axes.plot(cost[order], accuracy[order], color=style.BLUE, zorder=2)
    if len(cost) <= 16:
        axes.plot(cost, accuracy, "o", color=style.BLUE, zorder=2)
    line: dict[str, Any] = {"color": style.GREY, "linewidth": 1.2, "zorder": 1}
    axes.axhline(full, linestyle="--", label=f"full depth: {full:.2f} %", **line)
    if calibration.tolerance:
        least = full - 100 * calibration.tolerance
        axes.axhline(least, linestyle=":", label=f"tolerated: {least:.2f} %", **line)
    policy = calibration.policy
    label = (
        f"chosen: {accuracy[chosen]:.2f} % at {cost[chosen]:.1f} % of the FLOPs\n"
        f"({type(policy).__name__}, {policy.parameter} = {policy.threshold:.4g})"
    )
    star: dict[str, Any] = {"markersize": 17, "color": style.ORANGE, "markeredgecolor": "white"}
    axes.plot(cost[chosen], accuracy[chosen], "*", zorder=3, label=label, **star)
    axes.set(
        title=f"{what.capitalize()} against cost, by {calibration.num_samples:,} validation texts",
        xlabel="mean FLOPs relative to full depth (%)",
        ylabel=f"estimated {what} (%)",
    )
    axes.margins(x=0.04, y=0.08)
    figure.legend(loc="outside lower center")
    return figure


@styled
def exit_histogram(evaluation: Evaluation) -> "Figure":
    """Plots the share of texts that leave at each exit, and the score of each exit for all texts.

    Example:
        >>> from beex_keras.evaluation import plots
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> found = beex.evaluation.evaluate(logits, np.array([1, 1]), beex.Confidence(0.8))
        >>> figure = plots.exit_histogram(found)
    """
    heights = percent(evaluation.exit_shares)
    numbers = np.arange(1, len(heights) + 1)
    figure, (axes,) = style.subplots(1, width=max(4.8, 1.6 + 0.85 * len(numbers)))
    bars = axes.bar(numbers, heights, width=0.68, color=style.BLUE)
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
def quantizer(names: str | Sequence[str] = "polynomial_sign") -> "Figure":
    """Plots the forward pass and the gradient of one or several quantizers on [−1.6, 1.6].

    For `polynomial_sign` alone, it also plots the polynomial F, whose derivative is the gradient.

    Raises:
        BeexError: an unknown quantizer.

    Example:
        >>> from beex_keras.evaluation import plots
        >>> figure = plots.quantizer(["polynomial_sign", "ste_sign"])
        >>> len(figure.axes)
        2
    """
    from beex_keras import quantizers
    from beex_keras.backend import tf

    names = [names] if isinstance(names, str) else list(names)
    figure, (left, right) = style.subplots(2, width=8.6)
    # An even number of points: none at the step, which is drawn as a vertical line.
    x = np.linspace(-1.6, 1.6, 1200, dtype=np.float32)
    for name, colour, dash in zip(names, cycle(style.CYCLE), cycle(style.DASHES), strict=False):
        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = quantizers.get(name)(variable)
        left.plot(x, y.numpy(), dash, color=colour, label=name)
        right.plot(x, tape.gradient(y, variable).numpy(), dash, color=colour, label=name)
    if names == ["polynomial_sign"]:
        inside = np.clip(x, -1, 1)
        y, label = 2 * inside - np.sign(inside) * inside**2, "F(w), behind the gradient"
        left.plot(x, y, "--", color=style.ORANGE, linewidth=1.4, label=label)
    left.set(title="Forward: the weight used", xlabel="latent weight w", ylabel="q(w)")
    right.set(title="Backward: the gradient passed", xlabel="latent weight w", ylabel="dq / dw")
    left.set_yticks([-1, 0, 1])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a figure whole or not at all; the suffix (.png, .pdf, .svg…) chooses the format.

    Raises:
        BeexError: an unknown suffix, or a path that cannot be written.

    Example:
        >>> from beex_keras.evaluation import plots
        >>> plots.save(plots.quantizer(), "quantizer.svg")
    """
    suffix = Path(path).suffix.lstrip(".").lower()
    if suffix not in figure.canvas.get_supported_filetypes():
        fix = "end its name in .png, .pdf or .svg"
        raise BeexError(f"A figure cannot be written as '{path}'; {fix}.")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=160, format=suffix)


def save_run_figures(run: Any) -> list[Path]:
    """Draws what `beex_keras.train` returns into its folder: history, trade-off and exits taken.

    Returns the files of `figures/`; none where matplotlib is missing, since figures are an extra.

    Example:
        >>> from beex_keras.evaluation import plots
        >>> run = beex.train("reviews.csv", "runs/plots", text_column="review", label_column="stars")
        >>> files = plots.save_run_figures(run)
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        return []
    folder = Path(run.directory) / "figures"
    figures = {
        "history.png": history(run.history),
        "trade_off.png": trade_off(run.calibration),
        "exits.png": exit_histogram(run.evaluation),
    }
    for name, figure in figures.items():
        save(figure, folder / name)
    return [folder / name for name in figures]
