"""The notebooks run from top to bottom, with a small model, and draw their plots."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

SMALLER = ('preset("tiny")', 'preset("micro", num_blocks=2)')
NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("BEEX_EPOCHS", "1")
    monkeypatch.setenv("BEEX_SAMPLES", "200")
    notebook = nbformat.read(path, as_version=4)
    (sized,) = (cell for cell in notebook.cells if SMALLER[0] in cell.source)
    sized.source = sized.source.replace(*SMALLER)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
    assert any("largest difference" in output.get("text", "") for output in outputs)
