"""The same bits everywhere: whatever the compiler, its mode, its flags, the processor and the C library."""

import os
import platform
import shutil
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from c_builds import TFLITE, run
from commands import exit_code as beex
from conftest import COMPILER, needs_emulators, needs_engine
from score_bits import MODELS, SMALL, available, build, scores, texts

from beex_keras import pretrained
from beex_keras.export.mcu import single_header, write_project
from beex_keras.export.mcu.memory import FIRMWARE
from beex_keras.runtime import library, load
from mcu import emulation

BOARDS = ("netduinoplus2", "mps2-an500", "mps3-an547", "mps2-an385")
CROSS, EMULATOR = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
ARM32, ARM32_EMULATOR = shutil.which("arm-linux-gnueabihf-gcc"), shutil.which("qemu-arm")
RISCV, RISCV_EMULATOR = shutil.which("riscv64-unknown-elf-gcc"), shutil.which("qemu-system-riscv32")

MANY = int(os.environ.get("BEEX_SENTENCES", "0"))
"""As many sentences by every build, implementation and processor: 300 take about half an hour."""

# Every pair of compiler, level, mode and processor stands in one of the few at least.
FEW = (
    ("gcc", "-O2", "-std=c99"),
    ("gcc", "-O3", "-std=gnu17", "-march=native"),
    ("clang", "-O2", "-std=gnu17"),
    ("clang", "-O3", "-std=c99"),
    ("clang", "-O2", "-std=c99", "-march=native"),
)
BUILDS = tuple(
    (compiler, level, mode, *processor)
    for compiler in ("gcc", "clang")
    for level in ("-O2", "-O3")
    for mode in ("-std=c99", "-std=gnu17")
    for processor in ((), ("-march=native",))
    if MANY or (compiler, level, mode, *processor) in FEW
)

pytestmark = needs_engine

fuses = pytest.mark.skipif(
    platform.machine() != "x86_64"
    or not Path("/proc/cpuinfo").exists()
    or " fma " not in Path("/proc/cpuinfo").read_text(),
    reason="not an x86-64 processor with fused multiply-adds",
)


# === A dozen sentences ===


@pytest.fixture(scope="session")
def other(tmp_path_factory) -> Path:
    """A folder of programs built as people build who know nothing of contraction."""
    folder = tmp_path_factory.mktemp("other")
    build(folder / "scores", COMPILER, "-O3", "-std=gnu17", "-march=native")
    return folder


@pytest.mark.parametrize("model", SMALL)
def test_another_build_gives_the_same_bits(other, model):
    runner = load(model)
    decided = runner.decide(runner.encode(texts(model, 12)), runner.policy)
    for kernels in available():
        for line, logits, exit in zip(
            scores([other / "scores"], model, 12, kernels),
            decided.logits,
            decided.exits,
            strict=True,
        ):
            taken, bits, checksum = line.split()
            assert int(taken) == exit + 1
            assert int(checksum, 16) == zlib.crc32(logits.astype("<f4").tobytes())
            wide = np.exp(logits.astype(np.float64) - logits.max())
            score = np.array([int(bits, 16)], "<u4").view("<f4")[0]
            assert abs(score / (1 / wide.sum()) - 1) <= 2**-24


def test_exponential_and_logarithm_are_as_accurate_as_said(tmp_path):
    """In units of 2^-53; 2^-51 is said."""
    sources = [TFLITE / "engine" / "elementary.c"]
    test = build(tmp_path / "test", COMPILER, program="tests/elementary_test.c", sources=sources)
    exponential, logarithm = map(float, run(test).split())
    assert exponential < 4
    assert logarithm < 4


# === The compiler is kept from it ===

FAST = {
    "-ffast-math": "without -ffast-math",
    "-Ofast": "without -ffast-math",
    "-funsafe-math-optimizations": "without -ffast-math",
    "-ffinite-math-only": "without -ffast-math",
    "-m32 -mfpmath=387": "excess precision",
}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc, whose flags these are")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="not x86-64")
@pytest.mark.parametrize("flags", FAST)
def test_flags_that_change_results_are_refused(flags):
    command = ["gcc", *flags.split(), "-ffreestanding", "-E", TFLITE / "kernels" / "exact.h"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode
    assert FAST[flags] in refused.stderr


OURS = """
#define BEEX_IMPLEMENTATION
#include "beex.h"
float after(float a, float b, float c);
float after(float a, float b, float c) { return a * b + c; }
"""


@fuses
@pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump")
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_code_behind_the_single_header_is_compiled_as_its_owner_asks(tmp_path, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    run(sys.executable, single_header.__file__, tmp_path / "beex.h")
    (tmp_path / "ours.c").write_text(OURS)
    flags = ["-std=gnu17", "-O1", "-mfma", "-ffp-contract=on" if compiler == "clang" else "-O2"]
    run(compiler, *flags, "-c", tmp_path / "ours.c", "-o", tmp_path / "ours.o")
    code = run("objdump", "-d", "--disassemble=after", tmp_path / "ours.o")
    assert "vfmadd" in code
    # The interface alone has no opinion.
    (tmp_path / "user.c").write_text('#include "beex.h"\nint main(void) { return 0; }\n')
    run(compiler, "-ffast-math", "-c", tmp_path / "user.c", "-o", tmp_path / "user.o")


# === The self-test ===

SELF_TEST = """
#include "engine/beex.h"
#include "kernels/kernels.h"
const struct beex_kernels *beex_best_kernels(void) { return &beex_kernels_KERNELS; }
#ifdef FLUSH
#include <immintrin.h>
#endif
int main(void) {
  static uint64_t memory[BEEX_SELF_TEST_SIZE / sizeof(uint64_t)];
#ifdef FLUSH
  _mm_setcsr(_mm_getcsr() | FLUSH);
#endif
  return beex_self_test(0, memory, sizeof memory) == BEEX_ERROR_INEXACT;
}
"""


@pytest.fixture
def self_test(tmp_path):
    """Compiles a few sources, some of them without what exact.h says; whether the self-test passes."""
    shutil.copytree(TFLITE, tmp_path / "broken")
    (tmp_path / "broken" / "kernels" / "exact.h").write_text("")

    def passes(*flags: str, kernels="portable", broken=()) -> bool:
        (tmp_path / "main.c").write_text(SELF_TEST.replace("KERNELS", kernels, 1))
        objects = []
        for name in (f"kernels/{kernels}", "engine/crc32", "engine/elementary", "engine/selftest"):
            folder = tmp_path / "broken" if name.split("/")[1] in broken else TFLITE
            objects.append(tmp_path / f"{Path(name).name}.o")
            run(COMPILER, *flags, "-c", folder / f"{name}.c", "-o", objects[-1])
        program = tmp_path / "program"
        own = [flag for flag in flags if flag.startswith("-DFLUSH")]
        run(COMPILER, *own, f"-I{TFLITE}", tmp_path / "main.c", *objects, "-lm", "-o", program)
        return subprocess.run([program]).returncode == 0

    return passes


def test_self_test_passes_by_the_reference(self_test):
    """Its constants are those of the reference; selftest_main.c prints them."""
    assert self_test("-O1", kernels="reference")


@fuses
@pytest.mark.parametrize("broken", ["portable", "elementary"])
def test_self_test_sees_contraction(self_test, broken):
    flags = ("-O3", "-std=gnu17", "-mavx2", "-mfma", "-ffp-contract=fast")
    if "clang" in os.path.realpath(COMPILER):
        flags = (*flags[:-1], "-ffp-contract=on")
    assert self_test(*flags)
    assert not self_test(*flags, broken=[broken])


@fuses
def test_self_test_sees_sums_in_another_order(self_test):
    flags = ("-O3", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-w")
    everything = ("portable", "elementary", "selftest")
    assert self_test("-O3", broken=everything)
    assert not self_test(*flags, broken=everything)


@fuses
@pytest.mark.parametrize("mode", ["0x8000", "0x0040"])
def test_self_test_sees_small_numbers_flushed(self_test, mode):
    """Results, and operands."""
    assert not self_test("-O1", f"-DFLUSH={mode}")


def test_memory_of_the_self_test_is_checked():
    engine, memory = library.load(), np.zeros(library.SELF_TEST_SIZE // 8, np.uint64)
    address = memory.ctypes.data
    assert engine.beex_self_test(None, address, memory.nbytes) == library.OK
    assert engine.beex_self_test(None, address + 4, memory.nbytes) == 4
    assert engine.beex_self_test(None, address, memory.nbytes - 8) == 6
    assert engine.beex_self_test(None, None, memory.nbytes) == 13


def test_command_line_tells_of_engine_and_self_test(capsys, monkeypatch):
    assert beex("--version") == 0
    alone = capsys.readouterr().out
    assert alone.startswith("beex, version ")
    assert len(alone.splitlines()) == 1
    assert beex("--version", "--verbose") == 0
    version, engine, *kernels = capsys.readouterr().out.splitlines()
    assert version == alone.strip()
    assert str(library.path()) in engine
    assert kernels == [f"kernels {name}: self-test passed" for name in available()]
    monkeypatch.setattr(library, "self_test", lambda: {"portable": "it is wrong"})
    assert beex("--verbose", "--version") == 1
    assert "kernels portable: self-test it is wrong" in capsys.readouterr().out
    assert beex("--verbose") == 2
    assert "--version" in capsys.readouterr().err


# === The whole matrix ===


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Scores of the plainest build: no optimization to speak of, and the portable kernels."""
    program = build(tmp_path_factory.mktemp("plain") / "scores", COMPILER, "-O1", "-std=c99")

    @cache
    def known(model: str, count: int) -> list[str]:
        kernels = "portable" if model in SMALL else available()[-1]
        return scores([program], model, count, kernels)

    return known


@pytest.mark.slow
@pytest.mark.parametrize("flags", BUILDS, ids=" ".join)
def test_every_build_gives_the_same_bits(expected, tmp_path, flags):
    """300 sentences; of the large model by the best kernels, and by all a few."""
    if shutil.which(flags[0]) is None:
        pytest.skip(f"no {flags[0]}")
    program = [build(tmp_path / "scores", *flags)]
    for kernels in available():
        for model in MODELS:
            few = model not in SMALL and kernels != available()[-1]
            count = max(12, MANY) if few else 300
            assert scores(program, model, count, kernels) == expected(model, count)


@pytest.mark.slow
@pytest.mark.skipif(CROSS is None or EMULATOR is None, reason="no aarch64 compiler or emulator")
def test_aarch64_gives_the_same_bits(expected, tmp_path):
    """In gnu mode; 50 sentences, of the large model a few."""
    flags = ("-O2", "-std=gnu17", "-static")
    program = [EMULATOR, build(tmp_path / "scores", CROSS, *flags)]
    for kernels in ("portable", "neon", "neondot"):
        for model in MODELS:
            count = max(50, MANY) if model in SMALL else max(2, MANY)
            assert scores(program, model, count, kernels) == expected(model, count)
    test = build(tmp_path / "self_test", CROSS, *flags, program="tests/selftest_main.c")
    assert "FAILED" not in run(EMULATOR, test)


@pytest.mark.slow
@pytest.mark.skipif(ARM32 is None or ARM32_EMULATOR is None, reason="no 32-bit Arm tools")
@pytest.mark.parametrize("mode", ["-marm", "-mthumb"])
def test_32_bit_arm_gives_the_same_bits(expected, tmp_path, mode):
    """ARMv7-A, for which Android and the Raspberry Pi have builds; 40 sentences."""
    flags = ("-O2", "-std=gnu17", "-static", mode)
    program = [ARM32_EMULATOR, build(tmp_path / "scores", ARM32, *flags)]
    count = max(40, MANY)
    for model in SMALL:
        assert scores(program, model, count, "portable") == expected(model, count)
    test = build(tmp_path / "self_test", ARM32, *flags, program="tests/selftest_main.c")
    assert "FAILED" not in run(ARM32_EMULATOR, test)


# A program that runs by itself: picolibc starts it, and carries files and streams by semihosting.
RISCV_FLAGS = (
    *("-march=rv32imac", "-mabi=ilp32", "-O2", "-std=gnu17"),
    *("--specs=picolibc.specs", "--oslib=semihost", "--crt0=semihost"),
    *("-Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=16M",),
    *("-Wl,--defsym=__ram=0x81000000,--defsym=__ram_size=16M,--defsym=__stack_size=64K",),
)
RISCV_BOARD = """#!/bin/sh
program=$1; shift
for argument; do arguments=$arguments,arg=$argument; done
{ cat; printf '\\004\\n'; } | qemu-system-riscv32 -M virt -m 64M -bios none -kernel "$program" \\
    -display none -monitor none -serial none -chardev stdio,id=console \\
    -semihosting-config enable=on,chardev=console,arg=program"$arguments"
"""


@pytest.mark.slow
@pytest.mark.skipif(RISCV is None or RISCV_EMULATOR is None, reason="no RISC-V tools")
def test_risc_v_gives_the_same_bits(expected, tmp_path):
    """A core of 32 bits without floating point, on a bare board; 10 sentences."""
    emulator = tmp_path / "emulator"
    emulator.write_text(RISCV_BOARD)
    emulator.chmod(0o755)
    program = [emulator, build(tmp_path / "scores", RISCV, *RISCV_FLAGS)]
    for model in SMALL:
        assert scores(program, model, 10, "portable") == expected(model, 10)
    test = build(tmp_path / "self_test", RISCV, *RISCV_FLAGS, program="tests/selftest_main.c")
    assert "portable: passed" in run(emulator, test, input="")


SCORE = "print_share(result.score);"
BITS = """uint32_t bits;
    memcpy(&bits, &result.score, sizeof bits);
    board_print_number(bits);"""


@pytest.mark.slow
@needs_emulators
@pytest.mark.parametrize("board", BOARDS)
def test_boards_give_the_same_bits(expected, tmp_path, board):
    """10 sentences, in gnu mode, of the models that fit; 4 on a processor without floating point."""
    for model in SMALL:
        if board not in {row["board"] for row in pretrained.card(model)["boards"]}:
            continue
        folder = tmp_path / model
        write_project(pretrained.find(model).read_bytes(), folder, {})
        program = (folder / "main.c").read_text()
        assert SCORE in program
        (folder / "main.c").write_text(program.replace(SCORE, BITS))
        count = 4 if board == "mps2-an385" else 10
        lines = [text.encode() for text in texts(model, count)]
        options = {"OPTIMIZE": "-O2 -std=gnu17", "STACK": 8192}
        found = emulation.emulate(folder, board, tmp_path / "b", lines, **options)
        for line, known in zip(found, expected(model, count), strict=True):
            _, bits, exit, *_ = line.split("\t")  # and whether the text was cut
            assert [exit, f"{int(bits):08x}"] == known.split()[:2]


# Rows of boards with more memory than a product would have, as in tests/test_cortexm.py.
ROOMY = {
    "mps2-an385": "cortex-m3 soft 25000000 0x0 4M 0x20000000 4M mps2-an385",
    "mps2-an386": "cortex-m4 hard 25000000 0x0 4M 0x20000000 4M mps2-an386",
    "mps2-an500": "cortex-m7 hard 25000000 0x0 4M 0x20000000 4M mps2-an500",
    "mps3-an547": "cortex-m55 hard 32000000 0x0 512K 0x21000000 2M mps3-an547",
}
SOURCES = "startup.c semihosting.c counter.c newlib.c ../tests/selftest_main.c " + " ".join(
    f"../{name}.c"
    for name in (
        *(f"kernels/{k}" for k in ("reference", "portable", "cortexm", "mve")),
        *(f"engine/{part}" for part in ("dispatch", "selftest", "elementary", "crc32")),
    )
)


@pytest.mark.slow
@needs_emulators
@pytest.mark.parametrize("board", ROOMY)
def test_self_test_passes_on_boards(tmp_path, board):
    row = {"BOARDS": board, board: ROOMY[board], "SOURCES": SOURCES, "STACK": "65536"}
    _, *lines = emulation.emulate(FIRMWARE, board, tmp_path, [], OPTIMIZE="-O2 -std=gnu17", **row)
    kernels = ["portable", "cortexm", *(["mve"] if "m55" in ROOMY[board] else [])]
    assert lines == [f"{name}: passed" for name in kernels]
