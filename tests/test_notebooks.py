"""The notebooks run from top to bottom, smaller, and print what is kept in them where that is fixed."""

import sys
from pathlib import Path

import nbformat
import pytest
from conftest import needs_emulators, needs_engine

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
import notebooks  # noqa: E402

SAME = "same-everywhere"
"""Tag of a cell whose output is the same on every machine and for every size of the data."""

PATHS = sorted(notebooks.FOLDER.glob("*.ipynb"))
SMALLER = {
    'preset("tiny")': 'preset("micro", num_blocks=2)',
    'preset="tiny"': 'preset="micro"',
    '{"max_length": 64}': '{"num_blocks": 1, "max_length": 16}',
}


@pytest.mark.slow
@needs_engine
@needs_emulators
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_prints_what_it_says(path, tmp_path, monkeypatch):
    monkeypatch.setenv("BEEX_EPOCHS", "1")
    monkeypatch.setenv("BEEX_SAMPLES", "200")
    monkeypatch.setenv("BEEX_UNLABELLED", "50")
    kept = nbformat.read(path, as_version=4)
    smaller = nbformat.read(path, as_version=4)
    for cell in smaller.cells:
        for size, other in SMALLER.items():
            cell.source = cell.source.replace(size, other)
    nbformat.write(smaller, tmp_path / path.name)
    found = notebooks.run(tmp_path / path.name)
    same = [n for n, cell in enumerate(kept.cells) if SAME in cell.metadata.get("tags", ())]
    assert same
    for number in same:
        assert printed(found.cells[number]) == printed(kept.cells[number]) != ""
    # As many pictures as it shows, and in the same places.
    assert pictures(found) == pictures(kept) and len(pictures(kept)) >= 2


def printed(cell):
    return "".join(one["text"] for one in cell.outputs if one.get("name") == "stdout")


def pictures(notebook):
    """Numbers of the cells that drew one."""
    return [
        number
        for number, cell in enumerate(notebook.cells)
        if any("image/png" in one.get("data", {}) for one in cell.get("outputs", ()))
    ]


def test_what_is_kept_is_small_and_says_nothing_of_the_machine():
    assert PATHS
    for path in PATHS:
        assert path.stat().st_size < 400_000
        notebook = nbformat.read(path, as_version=4)
        outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
        assert outputs and not any(one.get("name") == "stderr" for one in outputs)
        text = "\n".join(one.get("text", "") for one in outputs)
        assert "/tmp" not in text and str(ROOT) not in text
        first = notebook.cells[0].source
        assert "At the end" in first and "minutes" in first
