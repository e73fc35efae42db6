"""Instructions, flash and RAM of models on emulated microcontrollers.

    python benchmarks/mcu kernels
    python benchmarks/mcu models
    python benchmarks/mcu answers --run runs/micro
    python benchmarks/mcu costs
    python benchmarks/mcu page --run runs/micro    # all but the costs, to docs/microcontrollers.md

Instructions are those that QEMU executes, counted on the emulated board: no cycles, and no time. They
depend on the program alone, so every run gives the same. Models have random weights, on which they
depend little, except for --run. `costs` measures the tables of memory and of costs anew.
"""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)

sys.path.append(str(Path(__file__).parents[1]))

from beex_keras.export.mcu.memory import TABLE
from beex_keras.files import write_atomically
from mcu import costs as cost_table
from mcu import kernels as kernel_counts
from mcu import page as written_page
from mcu.models import measure_answers, measure_models, versions
from measure import SEED, json_option, task_option
from measure import show as show_rows

tokens_option = click.option("--tokens", default=32, show_default=True)
sentences_option = click.option("--sentences", default=200, show_default=True)
few_option = click.option("--few", default=20, help="Sentences on the slowest board.")


@click.group(help=(__doc__ or "").split("\n")[0])
@click.pass_context
def main(context: click.Context) -> None:
    """Compiles the engine once a board."""
    os.environ["CROSS"] = str(Path(__file__).parents[2] / "tools" / "kept-")
    os.environ["KEPT"] = context.with_resource(tempfile.TemporaryDirectory())


@main.command()
@click.option("--board", "names", multiple=True, help="Leave out for all.")
@click.option("--all", "everything", is_flag=True, help="Every implementation, not only the best.")
@json_option
def kernels(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Instructions of each kernel, per multiply-accumulate or per number."""
    rows = kernel_counts.measure(names, everything)
    show(rows, "Instructions per multiply-accumulate or number", as_json)


@main.command()
@tokens_option
@json_option
def models(tokens: int, as_json: bool) -> None:
    """Flash, RAM and instructions of models, beside an int8 and a float32 build of the same engine."""
    rows = measure_models(tokens, as_json)
    for row in () if as_json else rows:
        row |= {f"exit {n}": count for n, count in enumerate(row.pop("instructions") or [], 1)}
        row |= row.pop("work") or {}
    show(rows, f"A text of {tokens} tokens", as_json)


@main.command()
@click.option("--run", type=click.Path(exists=True), required=True, help="A trained run folder.")
@task_option
@sentences_option
@few_option
@json_option
def answers(run: str, task: str, sentences: int, few: int, as_json: bool) -> None:
    """Answers to test sentences beside those of Keras, memory, and what early exit saves."""
    show(measure_answers(run, task, sentences, few), f"{task}, test split", as_json)


@main.command()
@json_option
def costs(as_json: bool) -> None:
    """Measure the tables of memory and of costs anew, and write them."""
    memory, table = cost_table.measure(as_json)
    for file, content in ((TABLE, memory), (cost_table.TABLE, table)):
        write_atomically(file, json.dumps(content, indent=1) + "\n")
    rows = [
        {"board": name, "build": kind, **fitted["instructions"], "error": fitted["largest_error"]}
        for name, kinds in table["boards"].items()
        for kind, fitted in kinds.items()
    ]
    show(rows, f"Instructions a piece, written to {cost_table.TABLE.name}", as_json)


@main.command()
@click.option("--run", type=click.Path(exists=True), help="A trained run folder; measures anew.")
@task_option
@sentences_option
@few_option
@tokens_option
def page(run: str | None, task: str, sentences: int, few: int, tokens: int) -> None:
    """Write docs/microcontrollers.md and its figure; with --run, measure all but the costs before."""
    if run is not None:
        layer = kernel_counts.LAYER
        results = {
            "versions": versions(),
            "seed": SEED,
            "task": task,
            "tokens": tokens,
            "kernels": [row for row in kernel_counts.measure() if row["shape"] == layer],
            "models": measure_models(tokens, quiet=False),
            "answers": measure_answers(run, task, sentences, few),
        }
        write_atomically(written_page.RESULTS, json.dumps(results, indent=1) + "\n")
    written_page.write()


def show(rows: Sequence[dict[str, Any]], title: str, as_json: bool) -> None:
    """Shows rows under a title that names compiler and emulator."""
    named = ", ".join(f"{name} {number}" for name, number in versions().items())
    show_rows(rows, f"{title}; {named}", as_json)


if __name__ == "__main__":
    main()
