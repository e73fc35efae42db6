"""Instructions of each kernel on emulated microcontrollers, per multiply-accumulate or per number.

    python benchmarks/mcu_kernels.py
    python benchmarks/mcu_kernels.py --board mps2-an500 --all

Shapes are rows x inputs x outputs; three of them are those of the preset micro, for 25 tokens. These are
instructions that QEMU executes: no cycles, and no time. Every run gives the same.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)

HERE = Path(__file__).parent
SEED = 0
KERNELS = ("kernels/portable", "kernels/cortexm", "kernels/mve", "engine/dispatch")


def measure(name: str) -> list[dict[str, Any]]:
    """A row for each kernel, shape and implementation."""
    from beex_keras.export.mcu import board, emulation

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reals = np.random.default_rng(SEED).normal(0, 1, (256, 256)).astype(np.float32)
        words = ",\n".join(map(hex, reals.view(np.uint64).ravel().tolist()))
        (folder / "weights.c").write_text(
            "#include <stdint.h>\nextern const uint64_t weights[];\n"
            f"const uint64_t weights[] = {{{words}}};\n"
        )
        sources = [folder / "weights.c", HERE / "mcu" / "layers.c"]
        sources += [board.FIRMWARE / f"{part}.c" for part in ("startup", "semihosting", "counter")]
        sources += [board.FIRMWARE.parent / f"{part}.c" for part in KERNELS]
        variables = {"SOURCES": " ".join(str(path.resolve()) for path in sources), "STACK": "16K"}
        lines = emulation.emulate(board.FIRMWARE, name, folder, [], **variables)
    rows = []
    for line in lines:
        implementation, kernel, shape, work, count = line.split("\t")
        rows.append({
            "board": name,
            "core": board.boards()[name].core,
            "kernel": kernel,
            "shape": shape,
            "implementation": implementation,
            "instructions": int(count) / int(work),
        })  # fmt: skip
    return rows


@click.command()
@click.option("--board", "names", multiple=True, help="Leave out for all.")
@click.option("--all", "everything", is_flag=True, help="Every implementation, not only the best.")
@click.option("--json", "as_json", is_flag=True)
def main(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Instructions of each kernel on emulated boards."""
    from beex_keras import tables
    from beex_keras.export.mcu import board

    rows = []
    for name in names or board.boards():
        found = measure(name)
        best = found[-1]["implementation"]
        rows += [row for row in found if everything or row["implementation"] == best]
    versions = ", ".join(
        subprocess.run([tool, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
        for tool in ("arm-none-eabi-gcc", "qemu-system-arm")
    )
    title = f"Instructions per multiply-accumulate or number; seed {SEED}; {versions}"
    if as_json:
        click.echo(json.dumps({"setting": title, "rows": rows}))
    else:
        tables.show(rows, title)


if __name__ == "__main__":
    main()
