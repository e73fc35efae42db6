"""The C code's own tests, compiled here: kernels against the reference, sanitizers."""

import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import COMPILER, GELU, MODES, needs_engine, shake, tiny_config

from beex_keras.export import amalgamate, beex_format
from beex_keras.models import BEExformerClassifier
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

TFLITE = Path(__file__).parents[1] / "tflite"
CROSS, EMULATOR = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
FLAGS = ["-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SANITIZE = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
FORBIDDEN = {"malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "abort"}

pytestmark = needs_engine


def run(*command, **options) -> str:
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def compile_objects(folder: Path, compiler: str, *flags: str) -> list[Path]:
    """Kernels and engine, one object a source, two at a time."""
    sources = [*TFLITE.glob("kernels/*.c"), *TFLITE.glob("engine/*.c")]

    def build(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        run(compiler, *FLAGS, *flags, "-c", source, "-o", target)
        return target

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(build, sources))


def link(target: Path, objects: list[Path], *sources: str, flags=(), compiler=COMPILER) -> Path:
    paths = [TFLITE / source for source in sources]
    run(compiler, *FLAGS, *flags, *paths, *objects, "-lm", "-o", target)
    return target


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("plain")
    return folder, compile_objects(folder, COMPILER, "-O2")


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("sanitized")
    (folder / "probe.c").write_text("int main(void) { return 0; }\n")
    probe = [COMPILER, *SANITIZE, folder / "probe.c", "-o", folder / "probe"]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("the compiler has no sanitizers")
    return folder, compile_objects(folder, COMPILER, *SANITIZE)


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> dict[str, Path]:
    """A small file of each kind, for pairs, with gates."""
    folder = tmp_path_factory.mktemp("models")
    vocabulary = [*SPECIAL_TOKENS, *"abcdefghij", "##a", "##b", "un", "##aff", "##able", "中", "!"]
    gate, plain = {"gate_activation": "sigmoid"}, {"network": "ffn"}
    kinds = {mode: {**bits, **gate} for mode, bits in MODES.items()}
    kinds |= {f"{mode}, ffn": {**bits, **plain} for mode, bits in MODES.items()}
    kinds |= {"int8": kinds["float"], "int8, ffn": kinds["float, ffn"]}
    kinds["weights-only, gelu"] = {**MODES["weights-only"], **GELU}
    paths = {}
    for name, changes in kinds.items():
        config = tiny_config(**changes, num_segments=2)
        model = shake(BEExformerClassifier(config, TextPreprocessor(vocabulary, 12)))
        paths[name] = folder / f"{name}.beex"
        beex_format.export_file(model, paths[name], int8_weights=name.startswith("int8"))
    return paths


def test_kernels_equal_the_reference(plain):
    folder, objects = plain
    test = link(folder / "kernels", objects, "tests/kernels_test.c")
    assert "FAIL" not in run(test, 100)


def test_kernels_stay_within_their_memory(sanitized):
    folder, objects = sanitized
    test = link(folder / "kernels", objects, "tests/kernels_test.c", flags=SANITIZE)
    assert "FAIL" not in run(test, 20)


def test_no_allocation_is_counted(plain, models):
    folder, objects = plain
    test = link(folder / "allocations", objects, "tests/allocations_test.c", flags=["-fno-builtin"])
    assert run(test, *models.values()) == "no allocation\n"


def test_the_engine_asks_for_no_memory(plain):
    """Not even where no test comes by: its objects need no such function."""
    _, objects = plain
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    wanted = {line.split()[-1].split("@")[0] for line in run("nm", "-u", *objects).splitlines()
              if line.strip().startswith("U ")}  # fmt: skip
    assert "expf" in wanted or "exp" in wanted  # the list is what it seems
    assert not wanted & FORBIDDEN


def test_beexrun(plain, models):
    folder, objects = plain
    program = link(folder / "beexrun", objects, "beexrun.c")
    lines = run(program, models["fully-binary"], input="a b\tc\nunaffable\té!\n").splitlines()
    assert len(lines) == 2
    for line in lines:
        label, score, depth = line.split("\t")
        assert label in "0123"
        assert 0.25 <= float(score) <= 1
        assert depth.endswith("/3")
    refused = subprocess.run([program, models["float"]], input=b"no tab\n", capture_output=True)
    assert refused.returncode == 2
    assert b"line 1" in refused.stderr
    missing = subprocess.run([program, folder / "none.beex"], capture_output=True)
    assert missing.returncode == 2
    assert b"none.beex" in missing.stderr


def test_single_header(plain, models, tmp_path):
    """A program of one file, beside one linked from many."""
    run(sys.executable, amalgamate.__file__, tmp_path / "beex.h")
    program = (TFLITE / "beexrun.c").read_text().replace("engine/beex.h", "beex.h")
    source = tmp_path / "program.c"
    source.write_text("#define BEEX_IMPLEMENTATION\n" + program)
    run(COMPILER, *FLAGS, "-O1", f"-I{tmp_path}", source, "-lm", "-o", tmp_path / "program")
    folder, objects = plain
    other = link(folder / "beexrun_parts", objects, "beexrun.c")
    for path in models.values():
        text = "a b\tunaffable\n"
        assert run(tmp_path / "program", path, input=text) == run(other, path, input=text)


@pytest.mark.skipif(CROSS is None or EMULATOR is None, reason="no aarch64 compiler or emulator")
@pytest.mark.skipif(platform.machine() == "aarch64", reason="not a cross build")
def test_aarch64_gives_the_same_answers(plain, models, tmp_path):
    """The NEON kernels equal the reference, and the whole engine that of this machine."""
    objects = compile_objects(tmp_path, CROSS, "-O2")
    static = ["-static"]
    test = link(tmp_path / "kernels", objects, "tests/kernels_test.c", flags=static, compiler=CROSS)
    found = run(EMULATOR, test, 30)
    assert "neon: equal" in found
    theirs = link(tmp_path / "beexrun", objects, "beexrun.c", flags=static, compiler=CROSS)
    folder, native = plain
    ours = link(folder / "beexrun_native", native, "beexrun.c")
    texts = "a b c\tunaffable\n" + "".join(f"{a}{b}\t{b} c {a}\n" for a in "abc" for b in "defé中")
    for path in models.values():
        assert run(EMULATOR, theirs, path, input=texts) == run(ours, path, input=texts)
