"""The pictures of README and docs are what tools/pictures.py draws, and small."""

import sys
from pathlib import Path

import pytest
from conftest import needs_engine

ROOT = Path(__file__).parents[1]
matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
sys.path.append(str(ROOT / "tools"))
import pictures  # noqa: E402


@needs_engine
def test_pictures_are_what_the_script_draws(tmp_path):
    drawn_by = f"Matplotlib v{matplotlib.__version__}"
    if drawn_by not in (pictures.FOLDER / "exits.svg").read_text("utf-8"):
        pytest.skip("another version of matplotlib drew them")
    pictures.main(tmp_path)
    for name in pictures.PICTURES:
        file = pictures.FOLDER / f"{name}.svg"
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), name
        assert file.stat().st_size < 150_000
    assert len(list(pictures.FOLDER.iterdir())) == len(pictures.PICTURES)
