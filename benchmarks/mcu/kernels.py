"""Instructions of each kernel on emulated microcontrollers, per multiply-accumulate or per number.

Shapes are rows x inputs x outputs; three of them are those of the preset micro, for 25 tokens. In the
largest shape, layers that read floats have 16 rows, so that the smallest board holds them.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from beex_keras.export.mcu import boards
from beex_keras.export.mcu.memory import FIRMWARE
from mcu import emulation
from measure import SEED

LAYER = "64 x 256 x 256"
"""The largest shape of a linear layer."""

_HERE = Path(__file__).parent
_LIBRARY = ("kernels/portable", "kernels/cortexm", "kernels/mve", "engine/dispatch")


def measure(names: Sequence[str] = (), everything: bool = False) -> list[dict[str, Any]]:
    """Returns a row for each board, kernel and shape, of the best implementation or of every one.

    Without names, all boards are measured.
    """
    rows = []
    for name in names or boards():
        found = _on_board(name)
        best = found[-1]["implementation"]
        rows += [row for row in found if everything or row["implementation"] == best]
    return rows


def _on_board(name: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sources = [_write_weights(folder), _HERE / "layers.c"]
        sources += [FIRMWARE / f"{part}.c" for part in ("startup", "semihosting", "counter")]
        sources += [FIRMWARE.parent / f"{part}.c" for part in _LIBRARY]
        variables = {"SOURCES": " ".join(str(path.resolve()) for path in sources), "STACK": "16K"}
        lines = emulation.emulate(FIRMWARE, name, folder, [], **variables)
    rows = []
    for line in lines:
        implementation, kernel, shape, work, count = line.split("\t")
        row = {"board": name, "core": boards()[name].core, "kernel": kernel, "shape": shape}
        row |= {"implementation": implementation, "instructions": int(count) / int(work)}
        rows.append(row)
    return rows


def _write_weights(folder: Path) -> Path:
    """Writes weights.c with 256 x 256 random numbers."""
    reals = np.random.default_rng(SEED).normal(size=(256, 256)).astype(np.float32)
    words = ",\n".join(map(hex, reals.view(np.uint64).ravel().tolist()))
    declaration = "const uint64_t weights[]"
    text = f"#include <stdint.h>\nextern {declaration};\n{declaration} = {{{words}}};\n"
    (folder / "weights.c").write_text(text)
    return folder / "weights.c"
