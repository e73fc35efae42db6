"""Wheels of all platforms: what checks refuse, and the same bits wherever a wheel's library runs."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import score_bits
from c_builds import TFLITE, run
from conftest import COMPILER, needs_engine

from beex_keras.runtime import library

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / "build" / "wheels-env" / "bin" / "python"

pytest.importorskip("lief", reason="no lief, which reads libraries: make sets it up")
sys.path.append(str(ROOT / "tools" / "wheels"))
import checks  # noqa: E402
import zig  # noqa: E402

pytestmark = needs_engine

HERE = "manylinux_2_17_x86_64"
on_x86_64_linux = pytest.mark.skipif(
    not Path("/lib64/ld-linux-x86-64.so.2").exists(), reason="not x86-64 Linux"
)


def test_every_platform_has_a_target_and_checks():
    assert zig.TARGETS.keys() == checks.MACHINES.keys()
    names = [zig.file_name(tag) for tag in (HERE, "macosx_11_0_arm64", "win_amd64")]
    assert names == ["_engine.so", "_engine.dylib", "_engine.dll"]


def test_the_checks_ask_for_what_python_calls():
    assert set(library._SIGNATURES) <= checks.interface()


# === What the checks refuse ===

LIBRARY = ("-shared", "-fPIC", "-nostdlib", "-fno-stack-protector", "-w")
CALL = """
void *{0}(void);
__attribute__((visibility("hidden"))) void *call(void) {{ return {0}(); }}
"""


@pytest.fixture
def compiled(tmp_path):
    """Compiles a library of the whole interface, but for what is left out, and of other code."""

    def compile_library(*flags: str | Path, without=(), code="") -> Path:
        functions = sorted(checks.interface() - set(without))
        bodies = "".join(f"int {name}(void) {{ return 0; }}\n" for name in functions)
        (tmp_path / "library.c").write_text(bodies + code)
        target = tmp_path / "library.so"
        run(COMPILER, *LIBRARY, tmp_path / "library.c", "-o", target, *flags)
        return target

    return compile_library


def refusal(path: Path, tag: str = HERE) -> str:
    with pytest.raises(checks.Unfit) as caught:
        checks.check(path, tag)
    return str(caught.value)


@pytest.mark.parametrize("tag", zig.TARGETS)
def test_files_that_are_no_library_are_refused(tmp_path, tag):
    (tmp_path / "file").write_bytes(b"")
    assert refusal(tmp_path / "file", tag) == "the library is empty"
    (tmp_path / "file").write_bytes(b"no library" * 99)
    assert refusal(tmp_path / "file", tag).startswith("it is no library for")


@on_x86_64_linux
def test_wrong_libraries_are_refused(compiled):
    assert checks.check(compiled(), HERE) == [f"{len(checks.interface())} exports"]
    assert "another machine" in refusal(compiled(), "manylinux_2_17_aarch64")
    assert refusal(compiled(), "macosx_11_0_arm64") == "it is no library for macosx"
    assert refusal(compiled(without=["beex_open"])) == "it does not export beex_open"
    assert refusal(compiled(code="int leaked;")) == "it exports leaked"
    stack = compiled("-Wl,-z,execstack")
    assert refusal(stack) == "it asks for a stack that can be executed"


@on_x86_64_linux
def test_libraries_that_need_too_much_are_refused(compiled, tmp_path):
    assert refusal(compiled("-lc", code=CALL.format("malloc"))) == "it calls malloc"
    other = compiled("-Wl,--no-as-needed", "-lgcc_s", "-lm")
    assert refusal(other) == "it needs libgcc_s.so.1"
    # A C library whose strlen is new.
    (tmp_path / "c.c").write_text("int strlen(void) { return 0; }\n")
    (tmp_path / "versions").write_text("GLIBC_2.38 { global: strlen; };\n")
    new_libc = tmp_path / "libc.so.6"
    names = f"-Wl,--version-script={tmp_path / 'versions'},-soname,libc.so.6"
    run(COMPILER, *LIBRARY, names, tmp_path / "c.c", "-o", new_libc)
    new = compiled("-Wl,--no-as-needed", new_libc, code=CALL.format("strlen"))
    assert refusal(new) == "it needs glibc 2.38"
    assert refusal(new, "musllinux_1_2_x86_64") == "it needs libc.so.6"


# === Wheels that are built ===

WINE = shutil.which("wine") or "/usr/lib/wine/wine64"
ARM64, ARM = "/usr/aarch64-linux-gnu", "/usr/arm-linux-gnueabihf"
# How programs of a platform run here, what of theirs they need, and the best kernels if not this machine's.
HOSTS = {
    HERE: ([], "/lib64/ld-linux-x86-64.so.2", None),
    "musllinux_1_2_x86_64": ([], "/lib/ld-musl-x86_64.so.1", None),
    "manylinux_2_17_aarch64": (["qemu-aarch64", "-L", ARM64], ARM64, "neondot"),
    "manylinux_2_17_armv7l": (["qemu-arm", "-L", ARM], ARM, "portable"),
    "win_amd64": ([WINE], WINE, None),
}
MAC = "macosx_11_0_arm64"
needs_zig = pytest.mark.skipif(not PYTHON.exists(), reason="no Zig: make wheels sets it up")


def build(root: Path, folder: Path, tag: str) -> Path:
    """The wheel that a checkout makes."""
    run(PYTHON, root / "tools" / "wheels", "--output", folder, tag)
    return next(folder.glob(f"*-py3-none-{tag}.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Callable[[str], Path]:
    """The wheel of a platform, built once."""
    folder = tmp_path_factory.mktemp("wheels")
    return cache(lambda tag: build(ROOT, folder, tag))


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> Callable[[str, int], list[str]]:
    """Scores of the plainest build on this machine, by its best kernels."""
    folder = tmp_path_factory.mktemp("plain")
    program = score_bits.build(folder / "scores", COMPILER, "-O1", "-std=c99")
    best = score_bits.available()[-1]
    return cache(lambda model, count: score_bits.scores([program], model, count, best))


def unpacked(wheel: Path, folder: Path) -> Path:
    """The library of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return next((folder / "beex_keras" / "runtime").glob("_engine.*"))


@pytest.mark.slow
@needs_zig
@pytest.mark.parametrize("tag", HOSTS)
def test_the_library_of_a_wheel_gives_the_same_bits(wheel, expected, tmp_path, monkeypatch, tag):
    """By each implementation; of the small models 200 sentences by the best of them, or 40 if it is emulated."""
    before, needed, best = HOSTS[tag]
    if not all(map(shutil.which, before[:1])) or not Path(needed).exists():
        pytest.skip(f"no {' '.join(before) or needed} (tools/install_emulators.sh, or wine64)")
    monkeypatch.setenv("WINEPREFIX", str(tmp_path / "wine"))
    monkeypatch.setenv("WINEDEBUG", "-all")
    engine = unpacked(wheel(tag), tmp_path)

    def program(*sources: str) -> list:
        """Linked with the library, and how it runs here."""
        target = engine.with_name(f"{Path(sources[0]).stem}.exe")
        words = [*zig.command(tag, PYTHON), "-dynamic", "-Wl,-rpath,$ORIGIN"]
        paths = [TFLITE / source for source in sources]
        run(*words, *paths, engine, "-o", target, env=os.environ | zig.ENVIRONMENT)
        return [*before, target]

    lines = run(*program("beexrun.c"), "--self-test").splitlines()
    names = [line.removesuffix(": passed") for line in lines]
    assert names == score_bits.available() if best is None else names[-1] == best
    scores = program("tests/scores.c", "engine/crc32.c")
    for name in names:
        for model in score_bits.MODELS:
            often = 200 if best is None else 40
            many, few = (often, 3) if name == names[-1] else (20, 1)
            count = many if model in score_bits.SMALL else few
            found = score_bits.scores(scores, model, count, name)
            assert found == expected(model, count), (model, name)


@pytest.mark.slow
@needs_zig
@on_x86_64_linux
def test_the_package_of_a_wheel_runs(wheel, tmp_path):
    """Without TensorFlow, and without what Windows lacks."""
    engine = unpacked(wheel(HERE), tmp_path)
    absent = ["tensorflow", "larq", "fcntl", "resource", "pwd", "grp", "termios"]
    program = f"""
import os, sys
sys.modules.update(dict.fromkeys({absent}))
del os.register_at_fork, os.fork
from beex_keras.cli import main
from beex_keras.runtime import library
print(library.path(), library.self_test(), flush=True)
sys.argv[1:] = ["predict", "sst2-micro", "what a lovely film"]
main()
"""
    first, answer = run(sys.executable, "-c", program, cwd=tmp_path).splitlines()
    assert first == f"{engine} {library.self_test()}"
    assert answer.startswith("positive")


@pytest.mark.slow
@needs_zig
def test_another_checkout_gives_the_same_bytes(wheel, tmp_path):
    """With nothing compiled before, and modes of files that another user's are."""
    copy = tmp_path / "copy"
    for name in ("beex_keras", "tflite", "tools/wheels"):
        shutil.copytree(
            ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "MANIFEST.in"):
        shutil.copy(ROOT / name, copy / name)
    for path in (copy / "beex_keras").rglob("*.py"):
        path.chmod(0o664)
    assert build(copy, tmp_path / "dist", MAC).read_bytes() == wheel(MAC).read_bytes()


@pytest.mark.slow
@needs_zig
def test_a_library_that_changed_after_signing_is_refused(wheel, tmp_path):
    """Apple silicon would end the process that loads it."""
    engine = unpacked(wheel(MAC), tmp_path)
    assert "signed" in checks.check(engine, MAC)
    data = bytearray(engine.read_bytes())
    data[len(data) // 2] ^= 1
    engine.write_bytes(data)
    assert refusal(engine, MAC).startswith("its signature is not that of page")


@pytest.mark.slow
@needs_zig
def test_a_wheel_that_is_refused_is_not_kept(tmp_path):
    """Of a compiler that ends with status 0 and an empty file, as one has."""
    program = f"""
import sys
sys.path.append({str(ROOT / "tools" / "wheels")!r})
sys.argv[1:] = ["--output", {str(tmp_path)!r}, {HERE!r}]
import zig
def empty(tag, folder):
    (folder / "_engine.so").write_bytes(b"")
    return folder / "_engine.so"
zig.library = empty
import runpy
runpy.run_path({str(ROOT / "tools" / "wheels" / "__main__.py")!r}, run_name="__main__")
"""
    result = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True)
    assert result.returncode == 1
    assert "REFUSED: the library is empty" in result.stdout
    assert not list(tmp_path.iterdir())
