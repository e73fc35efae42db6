"""Runs the notebooks and keeps what they print and draw.

    python tools/notebooks.py                        # make notebooks: all of them
    python tools/notebooks.py notebooks/02_few_labels.ipynb

What libraries say on standard error is left out, and what differs from run to run without saying anything.
"""

import os
from pathlib import Path

import click
import nbformat
from nbclient import NotebookClient

from beex_keras.files import write_atomically

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook, run from top to bottom in its folder, with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    # Of what TensorFlow says, only errors of the process itself.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=place).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
            for output in cell.outputs:
                # A picture's size in words is nothing to read beside the picture.
                if "image/png" in output.get("data", {}):
                    output.data = {"image/png": output.data["image/png"]}
    return notebook


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
def main(paths: tuple[Path, ...]) -> None:
    """See the module."""
    for path in paths or sorted(FOLDER.glob("*.ipynb")):
        write_atomically(path, nbformat.writes(run(path)) + "\n")
        click.echo(path)


if __name__ == "__main__":
    main()
