"""Writes docs/microcontrollers.md and its figure from the recorded measurements and the template."""

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beex_keras.evaluation import plots, style
from beex_keras.files import read_text, write_atomically
from suite.tables import NONE, table, versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORDED = Path(__file__).parents[1] / "recorded"
DOCS = Path(__file__).parents[2] / "docs"
RESULTS = RECORDED / "microcontrollers.json"
CORES = {"cortex-m3": "M3", "cortex-m4": "M4", "cortex-m7": "M7", "cortex-m55": "M55"}
_FASTEST_FLOAT = "mps2-an500"
_BYTES = {
    "flash, KB": "flash",
    "model in flash": "model",
    "RAM, KB": "ram",
    "arena in RAM": "arena",
}

Row = dict[str, Any]


def page(results: dict[str, Any], template: str) -> str:
    """The text of microcontrollers.md."""
    return string.Template(template).substitute(
        versions=versions(results),
        **{name: results[name] for name in ("seed", "task", "tokens")},
        answers=answers(results["answers"]),
        saved=saved(results["answers"]),
        kernels=kernels(results["kernels"]),
        micro=models(results["models"], "micro"),
        tiny=models(results["models"], "tiny"),
        memory=memory(results["models"]),
        work=work(results["models"]),
    )


def title(row: Row) -> str:
    """A board, with its core."""
    return f"{row['board']} ({CORES[row['core']]})"


def thousands(count: float | None) -> str:
    return NONE if count is None else f"{round(count / 1000):,}"


def kilobytes(row: Row, *names: str) -> list[str]:
    return [f"{row[name] / 1024:.1f}" for name in names]


def answers(rows: list[Row]) -> str:
    """Agreement with Keras, flash and RAM of a trained model on each board."""
    sizes = {**_BYTES, "stack": "stack", "stack used": "stack used"}
    counts = ("sentences", "equal to Keras")
    return table(
        ["board", *counts, *sizes],
        [
            [title(row), *(str(row[name]) for name in counts), *kilobytes(row, *sizes.values())]
            for row in rows
        ],
    )


def saved(rows: list[Row]) -> str:
    """The instructions and FLOPs that early exit saves."""
    counts = ("tokenizer", "full depth", "own exit")
    shares = ("instructions saved", "FLOPs saved")
    return table(
        ["board", "tokens", "mean exit", *counts, *(f"{name}, %" for name in shares)],
        [
            [
                title(row),
                *(f"{row['mean tokens']:.1f}", f"{row['mean exit']:.2f}"),
                *(thousands(row[name]) for name in counts),
                *(f"{100 * row[name]:.1f}" for name in shares),
            ]
            for row in rows
        ],
    )


_PRODUCTS = {
    "binary_signs": "binary × binary, to signs",
    "binary_linear": "binary × binary",
    "int8_linear": "int8 × binary",
    "int8_int8_linear": "int8 × int8",
    "real_linear": "float32 × binary",
    "matmul": "float32 × float32",
}
"""The inputs and weights of each kernel of a linear layer."""


def kernels(rows: list[Row]) -> str:
    """Instructions per multiply-accumulate."""
    found = {(title(row), row["kernel"]): row["instructions"] for row in rows}
    boards = dict.fromkeys(board for board, _ in found)
    shown = [[board, *(f"{found[board, name]:.3f}" for name in _PRODUCTS)] for board in boards]
    return table(["board", *_PRODUCTS.values()], shown)


def models(rows: list[Row], preset: str) -> str:
    """Instructions up to each exit, in thousands, and the ratio of the int8 and float32 builds to them."""
    chosen = [row for row in rows if row["preset"] == preset]
    depth = max(len(row["instructions"] or []) for row in chosen)
    others = ("int8", "float32")
    shown = []
    for row in chosen:
        ratios = (row[f"of {other}"] for other in others)
        shown.append(
            [
                *(title(row), row["build"]),
                *map(thousands, row["instructions"] or [None] * depth),
                *(NONE if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            ]
        )
    exits = (f"exit {number}" for number in range(1, depth + 1))
    return table(["board", "build", *exits, *(f"{other} takes" for other in others)], shown)


def memory(rows: list[Row]) -> str:
    """Flash and RAM of each preset and build, and the boards that hold them."""
    alike: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        alike.setdefault((row["preset"], row["build"]), []).append(row)
    shown = []
    for names, same in alike.items():
        holders = ", ".join(CORES[row["core"]] for row in same if row["fits"])
        shown.append([*names, *kilobytes(same[0], *_BYTES.values()), holders or NONE])
    return table(["preset", "build", *_BYTES, "boards that it fits on"], shown)


def _with_work(rows: list[Row]) -> list[Row]:
    """The rows of preset micro that have instructions by kind of work."""
    return [row for row in rows if row["preset"] == "micro" and row["work"]]


def work(rows: list[Row]) -> str:
    """Instructions by kind of work at full depth, in thousands, for preset micro."""
    chosen = _with_work(rows)
    shown = [[title(row), row["build"], *map(thousands, row["work"].values())] for row in chosen]
    return table(["board", "build", *chosen[0]["work"]], shown)


@style.styled
def figure(rows: list[Row]) -> "Figure":
    """Preset micro: instructions of each build on each board, and by kind of work on one board."""
    chosen = _with_work(rows)
    boards, builds = (
        list(dict.fromkeys(row[name] for row in chosen)) for name in ("board", "build")
    )
    drawn, (left, right) = style.subplots(2, width=12, height=4.4)
    height = 0.8 / len(builds)
    for number, (build, colour) in enumerate(zip(builds, (*style.CYCLE, style.GREY), strict=False)):
        same = [row for row in chosen if row["build"] == build]
        middle = (number - (len(builds) - 1) / 2) * height
        places = [boards.index(row["board"]) + middle for row in same]
        counts = [row["instructions"][-1] / 1e6 for row in same]
        left.barh(places, counts, height, color=colour, label=build)
    fewest = min(row["instructions"][-1] for row in chosen) / 1e6
    left.set(title="Full depth, every board", xlabel="million instructions (logarithmic)")
    left.set_xscale("log")
    left.set_xlim(left=fewest / 2)
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_formatter("")
    cores = {row["board"]: CORES[row["core"]] for row in chosen}
    left.set_yticks(range(len(boards)), [f"{board}\n{cores[board]}" for board in boards])
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    left.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2)
    stack(right, [row for row in chosen if row["board"] == _FASTEST_FLOAT])
    return drawn


def stack(axes: Any, rows: list[Row]) -> None:
    """Draws instructions by kind of work: a bar a build, a colour a kind."""
    start = [0.0] * len(rows)
    hatches = ("", "//", "", "..", "xx", "")
    colours = (style.BLUE, style.ORANGE, style.GREEN, style.PURPLE, "#E0B000", style.GREY)
    for name, hatch, colour in zip(rows[0]["work"], hatches, colours, strict=True):
        values = [row["work"][name] / 1e6 for row in rows]
        look = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.5}
        axes.barh(range(len(rows)), values, 0.7, left=start, label=name, **look)
        start = [a + b for a, b in zip(start, values, strict=True)]
    for place, total in enumerate(start):
        axes.text(total, place, f" {total:.1f}", va="center", fontsize=9.5)
    axes.set_yticks(range(len(rows)), [row["build"].replace(", ", ",\n") for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.1)
    axes.set(title=f"Where they go on an {CORES[rows[0]['core']]}", xlabel="million instructions")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.14), ncols=3)


def write() -> None:
    """The page and its figure."""
    results = json.loads(read_text(RESULTS, "measurements"))
    template = read_text(RECORDED / "microcontrollers.template.md", "template")
    write_atomically(DOCS / "microcontrollers.md", page(results, template))
    plots.save(figure(results["models"]), DOCS / "microcontrollers.png")
