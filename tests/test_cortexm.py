"""The kernels of Cortex-M equal the reference bit for bit, on an emulated board of each kind."""

import pytest

from beex_keras.export.mcu.memory import FIRMWARE
from mcu import emulation

pytestmark = pytest.mark.skipif(
    not emulation.is_available(), reason="no Arm compiler or emulator: tools/install_emulators.sh"
)

# Rows of boards, as in tflite/firmware/Makefile, with more memory than a product would have.
BOARDS = {
    "mps2-an385": "cortex-m3 soft 25000000 0x0 4M 0x20000000 4M mps2-an385",
    "mps2-an386": "cortex-m4 hard 25000000 0x0 4M 0x20000000 4M mps2-an386",
    "mps2-an500": "cortex-m7 hard 25000000 0x0 4M 0x20000000 4M mps2-an500",
    "mps3-an547": "cortex-m55 hard 32000000 0x0 512K 0x21000000 2M mps3-an547",
}
ROUNDS = {"mps2-an385": 1, "mps2-an386": 2, "mps2-an500": 6, "mps3-an547": 6}
SOURCES = (
    "startup.c semihosting.c counter.c newlib.c ../tests/kernels_test.c ../engine/dispatch.c "
) + " ".join(f"../kernels/{name}.c" for name in ("reference", "portable", "cortexm", "mve"))
STRICT = "-Wall -Wextra -Wpedantic -Werror"


@pytest.mark.parametrize(
    "name",
    ["mps3-an547", *(pytest.param(name, marks=pytest.mark.slow) for name in [*BOARDS][:3])],
)
def test_kernels_equal_the_reference(tmp_path, name):
    flags = f"{STRICT} -DROUNDS={ROUNDS[name]} -DSTEPS=500"
    row = {"BOARDS": name, name: BOARDS[name], "SOURCES": SOURCES, "STACK": "65536"}
    lines = emulation.emulate(FIRMWARE, name, tmp_path, [], CFLAGS=flags, **row)
    implementations = ["portable", "cortexm", *(["mve"] if "m55" in BOARDS[name] else [])]
    assert lines == [f"{kernels}: equal to the reference" for kernels in implementations]
