"""Instructions of each kernel on emulated microcontrollers, per multiply-accumulate or per number.

    python benchmarks/mcu_kernels.py
    python benchmarks/mcu_kernels.py --board mps2-an500 --all

Shapes are rows x inputs x outputs; three of them are those of the preset micro, for 25 tokens. These are
instructions that QEMU executes: no cycles, and no time. Every run gives the same.
"""

import tempfile
from pathlib import Path
from typing import Any

import click

from mcu import HERE, show, write_weights
from measure import json_option

KERNELS = ("kernels/portable", "kernels/cortexm", "kernels/mve", "engine/dispatch")


def measure(name: str) -> list[dict[str, Any]]:
    """A row for each kernel, shape and implementation on a board."""
    from beex_keras.export.mcu import board, emulation

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = [write_weights(folder, 1), HERE / "mcu" / "layers.c"]
        sources += [board.FIRMWARE / f"{part}.c" for part in ("startup", "semihosting", "counter")]
        sources += [board.FIRMWARE.parent / f"{part}.c" for part in KERNELS]
        variables = {"SOURCES": " ".join(str(path.resolve()) for path in sources), "STACK": "16K"}
        lines = emulation.emulate(board.FIRMWARE, name, folder, [], **variables)
    rows = []
    for line in lines:
        implementation, kernel, shape, work, count = line.split("\t")
        row = {"board": name, "core": board.boards()[name].core, "kernel": kernel, "shape": shape}
        row |= {"implementation": implementation, "instructions": int(count) / int(work)}
        rows.append(row)
    return rows


@click.command()
@click.option("--board", "names", multiple=True, help="Leave out for all.")
@click.option("--all", "everything", is_flag=True, help="Every implementation, not only the best.")
@json_option
def main(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Instructions of each kernel on emulated boards."""
    from beex_keras.export.mcu import board

    rows = []
    for name in names or board.boards():
        found = measure(name)
        best = found[-1]["implementation"]
        rows += [row for row in found if everything or row["implementation"] == best]
    show(rows, "Instructions per multiply-accumulate or number", as_json)


if __name__ == "__main__":
    main()
