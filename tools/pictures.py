"""Draws the pictures of the README and of docs/: python tools/pictures.py [FOLDER]

What they say of a model is asked of the model `sst2-minilm` when they are drawn. The same versions of
package and matplotlib draw the same bytes.
"""

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import beex_keras as beex
from beex_keras.evaluation import style
from beex_keras.evaluation.style import BLUE, GREEN, GREY, ORANGE, PURPLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
MODEL = "sst2-minilm"
TEXTS = (
    "what a lovely film",
    "boring",
    "I wanted to like it, and in the end I almost did",
)
PALE = "#E9EDF3"


def canvas(width: float, height: float) -> tuple["Figure", "Axes"]:
    """A figure whose units are inches, without axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def box(axes: "Axes", x: float, y: float, width: float, height: float, text: str, **look: Any):
    """A rectangle with a text in its middle; x and y are its lower left corner."""
    from matplotlib.patches import FancyBboxPatch

    settings = {"facecolor": PALE, "edgecolor": GREY, "linewidth": 1.1} | look
    ink = settings.pop("ink", "black")
    size = settings.pop("size", 10)
    shape = "round,pad=0,rounding_size=0.06"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, **settings))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=ink, size=size)


def arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float], color: str = GREY):
    look = {"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=look)


@style.styled
def exits() -> "Figure":
    """Where three texts leave the model, and its bytes beside those of its float32 twin."""
    figure, axes = canvas(11, 3.7)
    answers = beex.pipeline(MODEL)(list(TEXTS))
    config = beex.load(MODEL).config
    left, step, top = 2.75, 0.72, 2.45
    axes.text(0.15, 3.38, "A text leaves at the first exit that is sure", size=11.5, weight="bold")
    for row, (text, answer) in enumerate(zip(TEXTS, answers, strict=True)):
        y = top - 0.98 * row
        words = text if len(text) < 30 else text.replace(", and ", ",\nand ")
        axes.text(left - 0.3, y + 0.24, words, ha="right", va="center", size=10)
        arrow(axes, (left - 0.22, y + 0.24), (left - 0.04, y + 0.24))
        for block in range(config.num_blocks):
            x = left + step * block
            ran = block < answer.exit
            look = {"facecolor": BLUE, "edgecolor": BLUE, "ink": "white"}
            if not ran:
                look = {"facecolor": "white", "edgecolor": "#B8BDC4", "linestyle": "--"}
                look["ink"] = "#8A9098"
            box(axes, x, y, 0.56, 0.48, str(block + 1), **look)
            if ran and block + 1 < answer.exit:
                arrow(axes, (x + 0.57, y + 0.24), (x + step - 0.01, y + 0.24), BLUE)
        x = left + step * (answer.exit - 1) + 0.28
        arrow(axes, (x, y - 0.01), (x, y - 0.22), ORANGE)
        side, where = ("left", x + 0.12) if answer.exit < config.num_blocks else ("right", x - 0.12)
        label = f"{answer.label}, {answer.score:.2f}"
        axes.text(where, y - 0.17, label, ha=side, va="center", color=ORANGE, size=10)
    axes.text(left, 3.08, f"blocks of {MODEL}", color=GREY, size=9, va="center")

    card = beex.pretrained.card(MODEL)
    twin = beex.export.beex.weights_size(config.twin(), config.max_length)
    axes.text(7.7, 3.38, "Bytes of the weights", size=11.5, weight="bold")
    longest = 3.05
    for y, name, size, color in (
        (2.35, "the same in float32", twin, GREY),
        (1.35, "weights of one bit", card["file"]["weights"], GREEN),
    ):
        axes.barh(y, longest * size / twin, 0.34, left=7.7, color=color)
        axes.text(7.7, y + 0.31, name, va="center", size=10)
        beside = 7.8 if size == twin else 7.8 + longest * size / twin
        ink = "white" if size == twin else "black"
        axes.text(beside, y, f"{size / 1e6:.1f} MB", va="center", size=10, color=ink)
    times = twin / card["file"]["weights"]
    axes.text(7.7, 0.72, f"{times:.1f} times smaller", size=10, va="center", color=GREEN)
    return figure


@style.styled
def block() -> "Figure":
    """A block: attention, the SLFN with gate and content, and the exit behind it."""
    figure, axes = canvas(9, 4.6)
    x, width = 0.5, 1.7
    box(axes, x, 0.3, width, 0.5, "tokens (T, D)", facecolor="white")
    arrow(axes, (x + width / 2, 0.8), (x + width / 2, 1.15))
    box(axes, x, 1.15, width, 0.6, "self-attention\nQ, K, V, O", facecolor=BLUE, ink="white")
    arrow(axes, (x + width / 2, 1.75), (x + width / 2, 2.1))
    box(axes, x, 2.1, width, 0.5, "add, normalize")
    arrow(axes, (x + width / 2, 2.6), (x + width / 2, 2.95))
    box(axes, x, 2.95, width, 0.5, "SLFN", facecolor=BLUE, ink="white")
    arrow(axes, (x + width / 2, 3.45), (x + width / 2, 3.8))
    box(axes, x, 3.8, width, 0.5, "add, normalize")
    axes.annotate(
        "",
        (x, 2.35),
        (x, 0.55),
        arrowprops={"arrowstyle": "-|>", "color": GREY, "connectionstyle": "bar,fraction=-0.12"},
    )
    axes.annotate(
        "",
        (x, 4.05),
        (x, 2.45),
        arrowprops={"arrowstyle": "-|>", "color": GREY, "connectionstyle": "bar,fraction=-0.14"},
    )
    arrow(axes, (x + width, 4.05), (6.9, 4.05))
    axes.text(4.6, 4.18, "to the next block", ha="center", size=9.5, color=GREY)
    arrow(axes, (2.75, 4.05), (2.75, 3.72), ORANGE)
    box(axes, 2.75 - 0.25, 3.1, 1.75, 0.62, "exit: mean of tokens,\nlinear, softmax", size=9)
    arrow(axes, (4.25, 3.41), (4.75, 3.41), ORANGE)
    axes.text(4.85, 3.41, "sure enough? then the answer", va="center", color=ORANGE, size=10)

    axes.text(3.0, 2.45, "Inside the SLFN", weight="bold", size=11)
    rows = (("gate", 1.65, PURPLE, "identity, or sigmoid"), ("content", 0.55, GREEN, ""))
    box(axes, 3.0, 1.15, 0.6, 0.5, "x", facecolor="white")
    for name, y, color, note in rows:
        arrow(axes, (3.6, 1.4), (3.95, y + 0.25))
        box(axes, 3.95, y, 1.0, 0.5, f"{name}, in", facecolor=color, ink="white", size=9)
        arrow(axes, (4.95, y + 0.25), (5.2, y + 0.25))
        hidden = "sign or σ" if name == "gate" else "tanh, GELU\nor sign"
        box(axes, 5.2, y, 1.0, 0.5, hidden, size=9)
        arrow(axes, (6.2, y + 0.25), (6.45, y + 0.25))
        box(axes, 6.45, y, 1.05, 0.5, f"{name}, out", facecolor=color, ink="white", size=9)
        arrow(axes, (7.5, y + 0.25), (7.95, 1.4 + (0.1 if name == "gate" else -0.1)))
        if note:
            axes.text(7.0, y + 0.64, note, ha="center", size=8.5, color=GREY)
    box(axes, 7.95, 1.2, 0.4, 0.4, "×", facecolor="white", size=13)
    axes.text(
        3.0, 0.12, "Coloured: matrices of one-bit weights.", size=9.5, color=GREY, va="center"
    )
    return figure


@style.styled
def journey() -> "Figure":
    """From texts to devices: what trains, what converts, and what runs each file."""
    figure, axes = canvas(9, 3.5)
    box(axes, 0.2, 1.45, 1.35, 0.7, "texts and\nlabels", facecolor="white")
    arrow(axes, (1.55, 1.8), (2.0, 1.8))
    box(
        axes,
        2.0,
        1.35,
        1.5,
        0.9,
        "beex train\ntrains, calibrates,\ntests",
        facecolor=BLUE,
        ink="white",
    )
    arrow(axes, (3.5, 1.8), (3.95, 1.8))
    box(axes, 3.95, 1.45, 1.1, 0.7, "beex\nconvert", facecolor=BLUE, ink="white")
    rows = (
        (2.75, ".tflite", GREEN, "Larq Compute Engine\nTensorFlow Lite Micro"),
        (1.5, ".beex", ORANGE, "C engine: Python,\nC and C++ programs"),
        (0.25, "C project", PURPLE, "C engine on a\nbare Cortex-M"),
    )
    for y, name, color, where in rows:
        arrow(axes, (5.05, 1.8), (5.55, y + 0.3))
        box(axes, 5.55, y, 1.15, 0.6, name, facecolor=color, ink="white")
        arrow(axes, (6.7, y + 0.3), (7.0, y + 0.3))
        box(axes, 7.0, y, 1.85, 0.6, where, facecolor="white", size=9)
    return figure


@style.styled
def layout() -> "Figure":
    """The parts of a .beex file, each as long as its share of the bytes allows to see."""
    figure, axes = canvas(9, 1.9)
    data = beex.pretrained.find(MODEL).read_bytes()
    header = beex.export.beex.read_header(data)
    ends = ("weights", "labels", "words", "pieces", "metadata")
    starts = {name: header[name] for name in ends} | {"header": 0}
    names = sorted(starts, key=starts.__getitem__)
    sizes = [*(starts[b] - starts[a] for a, b in itertools.pairwise(names))]
    sizes.append(len(data) - starts[names[-1]])
    colors = {"header": GREY, "weights": BLUE, "words": GREEN, "pieces": GREEN}
    said = {"words": "vocabulary:\nwords", "pieces": "vocabulary:\npieces"}
    said["header"] = "header and\nexit policy"
    x = 0.2
    for name, size in zip(names, sizes, strict=True):
        width = 2.6 if name == "weights" else 1.2
        color = colors.get(name, PURPLE)
        box(
            axes, x, 0.75, width, 0.65, said.get(name, name), facecolor=color, ink="white", size=9.5
        )
        axes.text(x + width / 2, 0.52, f"{size:,} bytes", ha="center", va="center", size=9)
        x += width
    axes.text(0.2, 1.62, f"Parts of {MODEL}.beex", weight="bold", size=11, va="center")
    axes.text(
        0.2, 0.2, "Each part begins at a multiple of 64 bytes.", size=9, color=GREY, va="center"
    )
    return figure


PICTURES = {"exits": exits, "block": block, "journey": journey, "layout": layout}


def main(folder: Path = FOLDER) -> None:
    import matplotlib

    folder.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        with matplotlib.rc_context({"svg.hashsalt": name}):
            draw().savefig(folder / f"{name}.svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
