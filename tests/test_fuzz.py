# ruff: noqa: F401, F811 (fixtures)
"""Files and texts from anyone: the C engine refuses them or runs alike in every setup, under sanitizers."""

import re
from pathlib import Path

import pytest
from c_builds import newest, plain, run, sanitized
from conftest import needs_engine

ROOT = Path(__file__).parents[1]
SLOW = pytest.mark.slow

pytestmark = needs_engine


@pytest.mark.parametrize("count", [40, pytest.param(300, marks=SLOW)])
def test_random_models_run_alike_in_every_setup(plain, count):
    found = run(plain.link("tests/differential_test.c"), count)
    assert re.fullmatch(rf"{count} models, \d+ runs, 0 mismatches\n", found)


@pytest.mark.parametrize("rounds", [10, pytest.param(300, marks=SLOW)])
def test_hostile_files_do_no_harm(sanitized, tmp_path, rounds):
    run(sanitized.link("tests/differential_test.c"), "-w", tmp_path, 40)
    fuzz = sanitized.link("tests/fuzz_model.c", "tests/fuzz_main.c")
    assert run(fuzz, rounds, *sorted(tmp_path.glob("*.beex"))) == "no finding\n"


@pytest.mark.parametrize("rounds", [4000, pytest.param(40_000, marks=SLOW)])
def test_hostile_texts_do_no_harm(sanitized, tmp_path, rounds):
    fuzz = sanitized.link("tests/fuzz_text.c", "tests/fuzz_main.c")
    seeds = [tmp_path / str(kind) for kind in range(4)]
    for kind, seed in enumerate(seeds):
        text = "Unaffable café 中文 가각 ABC! İ ﬁ \0 [SEP] 𝒳"
        seed.write_bytes(bytes([kind]) + text.encode())
    assert run(fuzz, rounds, *seeds) == "no finding\n"


@SLOW
@pytest.mark.skipif(newest("clang") is None, reason="libFuzzer comes with clang")
def test_the_long_run():
    """For half a minute: it finds nothing, and reaches nearly every line."""
    found = run(ROOT / "tools" / "fuzz.sh", 0.5, 50)
    assert found.count(" 0 findings") == 2
    assert re.search(r"^50 models, \d+ runs, 0 mismatches$", found, re.MULTILINE)
    (total,) = re.findall(r"^TOTAL .* ([\d.]+)%$", found, re.MULTILINE)
    assert float(total) >= 95
