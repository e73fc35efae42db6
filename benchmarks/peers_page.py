"""Writes docs/peers.md and its figure anew: python benchmarks/peers_page.py [FILE]

From benchmarks/recorded/peers.json and the template; with a file, of what it says, which takes that one's place.
"""

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from beex_keras.evaluation import plots, style
from beex_keras.files import read_text, write_atomically
from suite.tables import NONE, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECORDED = Path(__file__).parent / "recorded"
DOCS = Path(__file__).parents[1] / "docs"
RESULTS = RECORDED / "peers.json"
_INT8 = "MiniLM fine-tuned, dynamic int8"
_FAST, _PADDED = "texts/s, batch 1", "texts/s, batch 1 at 128 tokens"
_MANY, _MANY_PADDED = "texts/s, batch 32", "texts/s, batch 32 at 128 tokens"

Row = dict[str, Any]


def page(results: dict[str, Any], template: str) -> str:
    """The text of peers.md."""
    rows = results["rows"]
    return string.Template(template).substitute(
        setting="; ".join(
            f"{name}: {value}" for name, value in results["setting"].items() if name != "what"
        ),
        tasks="\n\n".join(
            f"### {task}\n\n{answers(of)}\n\n{costs(of)}" for task, of in by_task(rows).items()
        ),
    )


def by_task(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["task"], []).append(row)
    return found


def answers(rows: list[Row]) -> str:
    """Accuracy, speed, and how many times the speed of int8 MiniLM that is, at the texts' lengths and padded."""
    int8 = next((row for row in rows if row["contender"] == _INT8), {})
    shown = []
    for row in rows:
        ratios = (_times(row[_FAST], int8.get(column)) for column in (_FAST, _PADDED))
        speeds = (_speed(row[column]) for column in (_FAST, _MANY, _PADDED, _MANY_PADDED))
        shown.append([row["contender"], _accuracy(row), *speeds, *ratios])
    columns = ("batch 1", "batch 32", "batch 1, 128 tokens", "batch 32, 128 tokens")
    header = ["", "accuracy", *(f"texts/s, {column}" for column in columns)]
    return table([*header, "relative to int8 MiniLM", "relative to int8 MiniLM, 128 tokens"], shown)


def costs(rows: list[Row]) -> str:
    """Bytes, start-up and memory."""
    names = ("model MB", "runtime MB", "start-up, s", "peak MB")
    return table(
        ["", *names],
        [[row["contender"], *(f"{row[name]:.3g}" for name in names)] for row in rows],
    )


def _accuracy(row: Row) -> str:
    spread = f" ± {row['spread']:.1f}" if row.get("spread") is not None else ""
    return f"{row['accuracy']:.1f}{spread}"


def _speed(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def _times(value: float, other: float | None) -> str:
    return NONE if other is None else f"{value / other:.2f}x"


@style.styled
def figure(rows: list[Row]) -> "Figure":
    """A row of axes a task: accuracy against megabytes of the model, and against texts a second."""
    shown = [row for row in rows if "AVX2" not in row["contender"]]
    tasks = by_task(shown)
    drawn, axes = style.subplots(2, width=11, height=3.6 * len(tasks), rows=len(tasks))
    for number, (task, of) in enumerate(tasks.items()):
        left, right = axes[2 * number : 2 * number + 2]
        _scatter(left, of, "model MB")
        _scatter(right, of, _FAST)
        left.set(title=task, xlabel="megabytes of the model", ylabel="accuracy, %")
        right.set(xlabel="texts a second, one by one")
        right.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return drawn


def _scatter(axes: "Axes", rows: list[Row], column: str) -> None:
    marks = iter(style.MARKERS * 2)
    for row in rows:
        ours = "MiniLM" not in row["contender"] and "+" not in row["contender"]
        ours = ours and not row["contender"].startswith("fastText")
        look: Any = {"color": style.ORANGE if ours else style.BLUE, "marker": next(marks), "s": 55}
        axes.scatter(row[column], row["accuracy"], label=row["contender"], **look)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("file", required=False, type=click.Path(exists=True))
def main(file: str | None) -> None:
    if file is not None:
        found = json.loads(read_text(file, "measurements"))
        write_atomically(RESULTS, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    results = json.loads(read_text(RESULTS, "measurements"))
    template = read_text(RECORDED / "peers.template.md", "template")
    write_atomically(DOCS / "peers.md", page(results, template))
    plots.save(figure(results["rows"]), DOCS / "peers.png")


if __name__ == "__main__":
    main()
