"""Files and texts from anyone: the C engine refuses them or runs alike everywhere, under sanitizers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import COMPILER, needs_engine
from test_c import SANITIZE, compile_objects, link, run

ROOT = Path(__file__).parents[1]
CHECKED = [*SANITIZE, "-fsanitize=float-cast-overflow"]

pytestmark = needs_engine


@pytest.fixture(scope="session")
def differential(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fast")
    objects = compile_objects(folder, COMPILER, "-O2")
    return link(folder / "differential", objects, "tests/differential_test.c", flags=["-O2"])


@pytest.fixture(scope="session")
def checked(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("checked")
    (folder / "probe.c").write_text("int main(void) { return 0; }\n")
    probe = [COMPILER, *CHECKED, folder / "probe.c", "-o", folder / "probe"]
    if subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("the compiler has no sanitizers")
    return compile_objects(folder, COMPILER, *CHECKED)


@pytest.mark.parametrize("count", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_random_models_run_alike_in_every_setup(differential, count):
    found = run(differential, count)
    assert re.fullmatch(rf"{count} models, \d+ runs, 0 mismatches\n", found)


@pytest.mark.parametrize("rounds", [10, pytest.param(600, marks=pytest.mark.slow)])
def test_hostile_files_do_no_harm(checked, differential, tmp_path, rounds):
    run(differential, "-w", tmp_path, 40)
    sources = ("tests/fuzz_model.c", "tests/fuzz_main.c")
    fuzz = link(tmp_path / "fuzz", checked, *sources, flags=CHECKED)
    assert run(fuzz, rounds, *sorted(tmp_path.glob("*.beex"))) == "no finding\n"


@pytest.mark.parametrize("rounds", [4000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_hostile_texts_do_no_harm(checked, tmp_path, rounds):
    sources = ("tests/fuzz_text.c", "tests/fuzz_main.c")
    fuzz = link(tmp_path / "fuzz", checked, *sources, flags=CHECKED)
    seeds = [tmp_path / str(kind) for kind in range(4)]
    for kind, seed in enumerate(seeds):
        text = "Unaffable café 中文 가각 ABC! İ ﬁ \0 [SEP] 𝒳"
        seed.write_bytes(bytes([kind]) + text.encode())
    assert run(fuzz, rounds, *seeds) == "no finding\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("clang") is None, reason="libFuzzer comes with clang")
def test_the_long_run(tmp_path):
    """For a minute: it finds nothing, and reaches nearly every line."""
    found = run(ROOT / "tools" / "fuzz.sh", 1)
    assert found.count(" 0 findings") == 2
    assert "1000 models" in found and " 0 mismatches" in found
    (total,) = re.findall(r"^TOTAL .* ([\d.]+)%$", found, re.MULTILINE)
    assert float(total) >= 95
