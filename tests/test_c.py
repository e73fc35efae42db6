# ruff: noqa: F401, F811 (fixtures)
"""The C code's own tests, compiled here: kernels against the reference, sanitizers."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from c_builds import (
    COMPILERS,
    CPP_COMPILERS,
    FLAGS,
    TFLITE,
    WARNINGS,
    Build,
    plain,
    run,
    sanitized,
)
from conftest import COMPILER, GELU, MODES, needs_engine, shake, tiny_config

from beex_keras import exits, pretrained
from beex_keras.export import beex as beex_format
from beex_keras.export.mcu import single_header
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import library, load
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

CROSS, EMULATOR = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
LIBRARY = {"memcmp", "memcpy", "memset", "strcmp", "strlen", "sqrtf"}

pytestmark = needs_engine


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    """A small file of each kind, for pairs but for one, with gates."""
    folder = tmp_path_factory.mktemp("models")
    vocabulary = [*SPECIAL_TOKENS, *"abcdefghij", "##a", "##b", "un", "##aff", "##able", "中", "!"]
    gate, plain = {"gate_activation": "sigmoid"}, {"network": "ffn"}
    kinds = {mode: {**bits, **gate} for mode, bits in MODES.items()}
    kinds |= {f"{mode}, ffn": {**bits, **plain} for mode, bits in MODES.items()}
    kinds |= {"int8": kinds["float"], "int8, ffn": kinds["float, ffn"]}
    kinds["weights-only, gelu"] = {**MODES["weights-only"], **GELU}
    kinds["single"] = {**MODES["weights-only"], "num_segments": 1}
    paths = {}
    for name, changes in kinds.items():
        config = tiny_config(**{"num_segments": 2, **changes})
        model = shake(BEExformerClassifier(config, TextPreprocessor(vocabulary, 12)))
        paths[name] = folder / f"{name}.beex"
        beex_format.export_file(model, paths[name], int8_weights=name.startswith("int8"))
    return paths


def test_kernels_equal_the_reference(plain):
    assert "FAIL" not in run(plain.link("tests/kernels_test.c"), 100)


def test_kernels_stay_within_their_memory(sanitized):
    assert "FAIL" not in run(sanitized.link("tests/kernels_test.c"), 20)


def test_interface(sanitized, models, tmp_path):
    """Of a program that has a copy of beex.h alone."""
    shutil.copy(TFLITE / "engine/beex.h", tmp_path)
    for name in ("interface_test.c", "read_file.h"):
        shutil.copy(TFLITE / "tests" / name, tmp_path)
    test = sanitized.link(str(tmp_path / "interface_test.c"))
    assert run(test, models["single"], models["weights-only"]) == "as documented\n"


def test_a_shared_build_exports_the_interface_alone():
    """Of the library that Python loads: what its two headers declare."""
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    headers = [(TFLITE / "engine" / name).read_text() for name in ("beex.h", "binding.h")]
    functions = {
        name for text in headers for name in re.findall(r"^BEEX_API\b[^(]*?(\w+)\(", text, re.M)
    }
    listed = run("nm", "-D", "--defined-only", library.path()).splitlines()
    assert {line.split()[-1] for line in listed} - {"_init", "_fini"} == functions
    assert len(functions) > 20


def test_the_engine_asks_for_no_memory(plain):
    """Its objects need no function that allocates, and of the library few, which do not either."""
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    listed = run("nm", "-u", *plain.objects).splitlines()
    wanted = {line.split()[-1].split("@")[0] for line in listed if line.strip().startswith("U ")}
    wanted = {name for name in wanted if not name.startswith(("beex_", "_"))}
    assert {"memcpy", "sqrtf"} <= wanted <= LIBRARY


def test_beexrun(plain, models):
    program = plain.link("beexrun.c")
    texts = "a b\tc\nunaffable\té!\n" + "a " * 20 + "\tb\n"
    lines = run(program, models["fully-binary"], input=texts).splitlines()
    assert len(lines) == 3
    for line in lines:
        label, score, depth, *rest = line.split("\t")
        assert label in "0123"
        assert 0.25 <= float(score) <= 1
        assert depth.endswith("/3")
        assert rest == (["truncated"] if line is lines[2] else [])
    lines = b"no tab\na\tb\n\xff\tb\na\tb"
    found = subprocess.run([program, models["float"]], input=lines, capture_output=True)
    assert found.returncode == 1 and not found.stderr
    tabless, first, invalid, last = found.stdout.decode().splitlines()
    assert tabless == "error\t\t\tthe model reads pairs; put a tab between the two texts"
    assert invalid.startswith("error\t\t\t") and "UTF-8" in invalid
    assert first == last != "" and first.endswith("/3")
    missing = subprocess.run([program, "none.beex"], capture_output=True)
    assert missing.returncode == 2
    assert b"none.beex" in missing.stderr


def test_beexrun_by_another_policy(plain, models):
    """What each exit answers, and where a policy leaves, as the runner says."""
    program, runner = plain.link("beexrun.c"), load(models["single"])
    texts = ["a b c", "unaffable 中!", "j i h g " * 4]
    lines = "".join(text + "\n" for text in texts)
    ids = runner.encode(texts)
    logits = runner.exit_logits(ids)
    for policy in (exits.FixedDepth(2), exits.Confidence(0.26), exits.Entropy(1.37)):
        options = ["--policy", policy.name, "--threshold", policy.threshold, "--exits"]
        found = run(program, models["single"], *options, "--kernels", "portable", input=lines)
        taken = runner.decide(ids, policy).exits
        for line, exit, all_logits in zip(found.splitlines(), taken, logits, strict=True):
            _, score, depth, *values = line.removesuffix("\ttruncated").split("\t")
            assert depth == f"{exit + 1}/3"
            expected = np.exp(all_logits[: exit + 1])
            expected /= expected.sum(-1, keepdims=True)
            printed = [list(map(float, value.split(","))) for value in values]
            np.testing.assert_allclose(printed, expected, atol=6e-5)
            assert float(score) == max(printed[-1])
    own = run(program, models["single"], input=lines)
    rule = runner.policy
    assert own == run(program, models["single"], "--threshold", rule.threshold, input=lines)


MISTAKES = {
    "--policy entropy": "--threshold",
    "--policy sometimes --threshold 1": "sometimes",
    "--policy change --threshold 1": "exit policy",
    "--threshold high": "high",
    "--threshold": "value",
    "--kernels mmx": "mmx",
    "--exit": "--exit",
    "other.beex": "other.beex",
}


def test_beexrun_says_what_is_wrong_with_its_options(plain, models):
    program = plain.link("beexrun.c")
    for options, named in MISTAKES.items():
        refused = subprocess.run(
            [program, models["single"], *options.split()],
            input="a\n",
            capture_output=True,
            text=True,
        )
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ") and named in refused.stderr
        assert not refused.stdout
    assert "--threshold" in run(program, "--help")
    assert run(program, "--version").split()[1][0].isdigit()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_beexrun_says_that_it_can_neither_read_nor_write(plain, models):
    program = plain.link("beexrun.c")
    with open("/dev/full", "wb") as full:
        for option in ("--version", "--help", "--self-test"):
            refused = subprocess.run([program, option], stdout=full, stderr=subprocess.PIPE)
            assert refused.returncode == 2 and b"error: output" in refused.stderr
    folder = os.open(".", os.O_RDONLY)
    refused = subprocess.run([program, models["single"]], stdin=folder, capture_output=True)
    os.close(folder)
    assert refused.returncode == 2 and b"error: input: it cannot be read" in refused.stderr


STACK_KB = {"x86_64": 48, "aarch64": 32}
"""As docs/c_library.md has it."""


@pytest.mark.skipif(platform.machine() not in STACK_KB, reason="no such processor")
def test_the_stack_is_as_small_as_the_page_says(plain, models):
    names = ("snips-micro", "sst2-minilm", "sst2-minilm-binary")
    files = map(pretrained.find, names)
    program = plain.link("tests/stack_test.c", flags=("-pthread",))
    run(program, STACK_KB[platform.machine()], *models.values(), *files)


@pytest.fixture
def joined(tmp_path) -> Path:
    """beexrun as one source beside the one header."""
    run(sys.executable, single_header.__file__, tmp_path / "beex.h")
    program = (TFLITE / "beexrun.c").read_text().replace("engine/beex.h", "beex.h")
    source = tmp_path / "program.c"
    # With names of one's own that the engine has, too.
    own = "static int product;\nstatic int UNROLL, EACH_TILE, TILE_OF;\n"
    own += "int own_names(void);\nint own_names(void) { return product + UNROLL + EACH_TILE + TILE_OF; }\n"
    # And included twice, as a header of one's own may do.
    parts = "#define BEEX_IMPLEMENTATION\n", program, '#include "beex.h"\n', own
    source.write_text("".join(parts))
    return source


def test_single_header(plain, models, joined):
    """A program of one file, beside one linked from many."""
    program = joined.with_name("program")
    run(plain.compiler, *FLAGS, "-O1", joined, "-lm", "-o", program)
    check_same_answers(program, plain.link("beexrun.c"), models)


def test_single_header_as_cpp(plain, models, joined):
    """The same answers, and no warning by any standard from C++11 on."""
    compiler = CPP_COMPILERS.get({path: name for name, path in COMPILERS.items()}[plain.compiler])
    if compiler is None:
        pytest.skip("the compiler has no C++")
    source, program = joined.with_suffix(".cc"), joined.with_name("program")
    joined.rename(source)
    for standard in (11, 14, 20):
        run(compiler, f"-std=c++{standard}", *WARNINGS, "-fsyntax-only", source)
    run(compiler, "-std=c++17", *WARNINGS, "-O1", source, "-o", program)
    check_same_answers(program, plain.link("beexrun.c"), models)


@pytest.mark.skipif(shutil.which("arm-none-eabi-g++") is None, reason="no compiler for Cortex-M")
@pytest.mark.parametrize(
    "board",
    [
        "-mcpu=cortex-m3",
        "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard",
        "-mcpu=cortex-m55 -mfloat-abi=hard",
    ],
)
def test_single_header_as_cpp_for_boards(tmp_path, board):
    """Which is how Arduino builds it."""
    source = tmp_path / "engine.cpp"
    source.write_text("#define BEEX_IMPLEMENTATION\n" + single_header.single_header())
    flags = ["-std=c++11", "-mthumb", "-O2", *board.split(), *WARNINGS]
    run("arm-none-eabi-g++", *flags, "-fsyntax-only", source)


CORES = {
    "hardware floats without DSP": "arm-none-eabi-gcc -mcpu=cortex-m33+nodsp -mfloat-abi=hard -O2",
    "vectors, to debug": "arm-none-eabi-gcc -mcpu=cortex-m55 -mfloat-abi=hard -Og",
    "Clang, DSP": "clang --target=arm-none-eabi -mcpu=cortex-m4 -mfloat-abi=hard -O2",
    "Clang, vectors": "clang --target=arm-none-eabi -mcpu=cortex-m55 -mfloat-abi=hard -Os",
}


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="no compiler for Cortex-M")
@pytest.mark.parametrize("core", CORES)
def test_single_header_for_other_cores_and_compilers(tmp_path, core):
    command = CORES[core].split()
    if shutil.which(command[0]) is None:
        pytest.skip("no Clang")
    if command[0] == "clang":  # with GCC's C library
        library = run("arm-none-eabi-gcc", "-print-file-name=include").strip()
        headers = Path(library).parents[3] / "arm-none-eabi" / "include"
        command.append(f"-I{headers}")
    source = tmp_path / "engine.c"
    source.write_text("#define BEEX_IMPLEMENTATION\n" + single_header.single_header())
    run(*command, "-mthumb", "-c", source, "-o", tmp_path / "engine.o")


def check_same_answers(ours: Path, theirs: Path, models: dict[str, Path], *before: str) -> None:
    texts = "a b c\tunaffable\n" + "".join(f"{a}{b}\t{b} c {a}\n" for a in "abc" for b in "defé中")
    for path in models.values():
        assert run(*before, ours, path, input=texts) == run(theirs, path, input=texts)


@pytest.mark.skipif(CROSS is None or EMULATOR is None, reason="no aarch64 compiler or emulator")
@pytest.mark.skipif(platform.machine() == "aarch64", reason="not a cross build")
def test_aarch64_gives_the_same_answers(plain, models, tmp_path):
    """The NEON kernels equal the reference, and the whole engine that of this machine."""
    cross = Build.of(tmp_path, CROSS, "-O2")
    test = cross.link("tests/kernels_test.c", flags=("-static",))
    found = run(EMULATOR, "-cpu", "max", test, 30)
    assert "neon: equal" in found
    assert "neondot: equal" in found
    stack = cross.link("tests/stack_test.c", flags=("-static", "-pthread"))
    files = [*models.values(), pretrained.find("snips-micro")]
    run(EMULATOR, "-cpu", "max", stack, STACK_KB["aarch64"], *files)
    assert "neondot" not in run(EMULATOR, "-cpu", "cortex-a53", test, 1)  # which has none
    theirs = cross.link("beexrun.c", flags=("-static",))
    check_same_answers(theirs, plain.link("beexrun.c"), models, EMULATOR)


PROCESSORS = {
    "Nehalem": ["portable"],
    "Haswell": ["portable", "avx2"],
    "Haswell,-fma": ["portable"],
    "Haswell,-xsave": ["portable"],
}


@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="no qemu-x86_64")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="not x86-64")
def test_only_kernels_that_the_processor_can_run_are_available(plain):
    program = plain.link("beexrun.c")
    for processor, kernels in PROCESSORS.items():
        listed = run("qemu-x86_64", "-cpu", processor, program, "--self-test").splitlines()
        assert listed == [f"{name}: passed" for name in kernels], processor


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="not Linux")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="not x86-64")
def test_all_kernels_that_the_processor_can_run_are_available():
    flags = set(re.search("^flags.*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    avx512 = {f"avx512{part}" for part in ("f", "bw", "dq", "vl", "_vnni", "_vpopcntdq")}
    known = {"portable": set(), "avx2": {"avx2", "fma"}, "avx512": {"avx2", "fma", *avx512}}
    found = list(library.self_test())
    assert ("avx512vbmi" in found) == (avx512 | {"avx2", "fma", "avx512vbmi"} <= flags)
    in_order = [name for name in found if name != "avx512vbmi"]  # whose place depends on the maker
    assert in_order == [name for name, needed in known.items() if needed <= flags]
