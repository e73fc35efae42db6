"""Writes microcontrollers.md and its figure anew from microcontrollers.json and the template:

    python docs/microcontrollers.py

`python benchmarks/mcu.py page --run RUN` measures first, and then calls this.
"""

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beex_keras.benchmark import markdown
from beex_keras.evaluation import plots
from beex_keras.evaluation.style import BLUE, CYCLE, GREEN, GREY, ORANGE, styled, subplots
from beex_keras.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOCS = Path(__file__).parent
CORES = {"cortex-m3": "M3", "cortex-m4": "M4", "cortex-m7": "M7", "cortex-m55": "M55"}
_FASTEST_FLOAT = "mps2-an500"


def page(results: dict[str, Any], template: str) -> str:
    """The text of microcontrollers.md."""
    return string.Template(template).substitute(
        versions=", ".join(f"{name} {number}" for name, number in results["versions"].items()),
        seed=results["seed"],
        task=results["task"],
        tokens=results["tokens"],
        answers=answers(results),
        saved=saved(results),
        kernels=kernels(results),
        micro=models(results, "micro"),
        tiny=models(results, "tiny"),
        memory=memory(results),
        work=work(results),
    )


def title(row: dict[str, Any]) -> str:
    """A board, with its core."""
    return f"{row['board']} ({CORES[row['core']]})"


def thousands(count: float | None) -> str:
    return markdown.NONE if count is None else f"{round(count / 1000):,}"


def kilobytes(count: int) -> str:
    return f"{count / 1024:.1f}"


def answers(results: dict[str, Any]) -> str:
    """A trained model on each board: agreement, and both memories."""
    header = [
        "board", "sentences", "equal to Keras", "flash, KB", "of it model", "RAM, KB",
        "of it arena", "stack", "stack used",
    ]  # fmt: skip
    rows = [
        [
            title(row), str(row["sentences"]), str(row["equal to Keras"]), kilobytes(row["flash"]),
            kilobytes(row["model"]), kilobytes(row["ram"]), kilobytes(row["arena"]),
            kilobytes(row["stack"]), kilobytes(row["stack used"]),
        ]
        for row in results["answers"]
    ]  # fmt: skip
    return markdown.table(header, rows)


def saved(results: dict[str, Any]) -> str:
    """What early exit saves."""
    header = [
        "board", "tokens", "mean exit", "tokenizer", "full depth", "own exit",
        "instructions saved, %", "FLOPs saved, %",
    ]  # fmt: skip
    rows = [
        [
            title(row), f"{row['mean tokens']:.1f}", f"{row['mean exit']:.2f}",
            thousands(row["tokenizer"]), thousands(row["full depth"]), thousands(row["own exit"]),
            f"{100 * row['instructions saved']:.1f}", f"{100 * row['FLOPs saved']:.1f}",
        ]
        for row in results["answers"]
    ]  # fmt: skip
    return markdown.table(header, rows)


def kernels(results: dict[str, Any]) -> str:
    """Instructions per multiply-accumulate."""
    names = [name for name in results["kernels"][0] if name not in ("board", "core")]
    rows = [
        [title(row), *(f"{row[name]:.3f}" for name in names)] for row in results["kernels"]
    ]  # fmt: skip
    return markdown.table(["board", *names], rows)


def models(results: dict[str, Any], preset: str) -> str:
    """Instructions up to each exit, in thousands, and how many times more others take."""
    chosen = [row for row in results["models"] if row["preset"] == preset]
    depth = max(len(row["instructions"] or []) for row in chosen)

    def ratio(value: float | None) -> str:
        return markdown.NONE if value is None else f"{value:.2f}"

    header = [
        "board",
        "build",
        *(f"exit {n}" for n in range(1, depth + 1)),
        "int8 takes",
        "float32 takes",
    ]
    rows = []
    for row in chosen:
        counts = row["instructions"] or [None] * depth
        rows.append([
            title(row), row["build"], *map(thousands, counts), ratio(row["of int8"]),
            ratio(row["of float32"]),
        ])  # fmt: skip
    return markdown.table(header, rows)


def memory(results: dict[str, Any]) -> str:
    """Flash and RAM of each preset and build, and which boards hold them."""
    header = [
        "preset",
        "build",
        "flash, KB",
        "of it model",
        "RAM, KB",
        "of it arena",
        "boards that hold it",
    ]
    rows = []
    for preset in ("micro", "tiny"):
        builds = {row["build"]: row for row in results["models"] if row["preset"] == preset}
        for build in builds:
            same = [
                row for row in results["models"]
                if (row["preset"], row["build"]) == (preset, build)
            ]  # fmt: skip
            first = same[0]
            holders = ", ".join(CORES[row["core"]] for row in same if row["fits"])
            rows.append([
                preset, build, kilobytes(first["flash"]), kilobytes(first["model"]),
                kilobytes(first["ram"]), kilobytes(first["arena"]), holders or markdown.NONE,
            ])  # fmt: skip
    return markdown.table(header, rows)


def work(results: dict[str, Any]) -> str:
    """Where the instructions go at full depth, in thousands, for preset micro."""
    chosen = [row for row in results["models"] if row["preset"] == "micro" and row["work"]]
    names = list(chosen[0]["work"])
    rows = [
        [title(row), row["build"], *(thousands(row["work"][name]) for name in names)]
        for row in chosen
    ]
    return markdown.table(["board", "build", *names], rows)


@styled
def figure(results: dict[str, Any]) -> "Figure":
    """Preset micro: instructions of each build on each board, and where they go on one of them."""
    chosen = [row for row in results["models"] if row["preset"] == "micro" and row["work"]]
    boards = list(dict.fromkeys(row["board"] for row in chosen))
    builds = list(dict.fromkeys(row["build"] for row in chosen))
    drawn, (left, right) = subplots(2, width=12, height=4.4)
    height = 0.8 / len(builds)
    colours = (*CYCLE, GREY)
    for number, build in enumerate(builds):
        for row in (row for row in chosen if row["build"] == build):
            place = boards.index(row["board"]) + (number - (len(builds) - 1) / 2) * height
            left.barh(
                place, row["instructions"][-1] / 1e6, height, color=colours[number],
                label=build if row["board"] == boards[0] else None,
            )  # fmt: skip
    fewest = min(row["instructions"][-1] for row in chosen) / 1e6
    left.set_xscale("log")
    left.set_xlim(left=fewest / 2)
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_formatter("")
    left.set(title="Full depth, every board", xlabel="million instructions (logarithmic)")
    cores = {row["board"]: CORES[row["core"]] for row in chosen}
    left.set_yticks(range(len(boards)), [f"{board}\n{cores[board]}" for board in boards])
    left.invert_yaxis()
    left.grid(axis="y", visible=False)
    left.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2)
    stack(right, [row for row in chosen if row["board"] == _FASTEST_FLOAT])
    return drawn


def stack(axes: Any, rows: list[dict[str, Any]]) -> None:
    """Where the instructions go: a bar a build, a colour a kind of work."""
    start = [0.0] * len(rows)
    hatches = ("", "//", "", "..", "xx", "")
    for number, name in enumerate(rows[0]["work"]):
        values = [row["work"][name] / 1e6 for row in rows]
        colour = (BLUE, ORANGE, GREEN, "#AA4499", "#E0B000", GREY)[number]
        axes.barh(
            range(len(rows)), values, 0.7, left=start, color=colour, label=name,
            hatch=hatches[number], edgecolor="white", linewidth=0.5,
        )  # fmt: skip
        start = [a + b for a, b in zip(start, values, strict=True)]
    for place, total in enumerate(start):
        axes.text(total, place, f" {total:.1f}", va="center", fontsize=9.5)
    axes.set_yticks(range(len(rows)), [row["build"].replace(", ", ",\n") for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.1)
    axes.set(title=f"Where they go on an {CORES[rows[0]['core']]}", xlabel="million instructions")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.14), ncols=3)


def main() -> None:
    results = json.loads((DOCS / "microcontrollers.json").read_text("utf-8"))
    template = (DOCS / "microcontrollers.template.md").read_text("utf-8")
    write_atomically(DOCS / "microcontrollers.md", page(results, template))
    plots.save(figure(results), DOCS / "microcontrollers.png")


if __name__ == "__main__":
    main()
