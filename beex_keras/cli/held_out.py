"""Whether the rows that a run is measured on are those that its training held out."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beex_keras.errors import BeexWarning

if TYPE_CHECKING:
    from beex_keras.data import Task


def warn_of_learned_rows(model: str, task: "Task", split: str, options: dict[str, Any]) -> None:
    """Warns if a split was taken out of DATA otherwise than by the training of the run folder `model`.

    Args:
        model: a path; only of a finished run folder it is known which rows were held out.
        task: what DATA and the other options give.
        split: the name of the split that is measured.
        options: those of `data_options`; a split that has a file of its own is not looked at.
    """
    from beex_keras.training import run_folder

    folder = Path(model)
    if (
        split == "train"
        or options[split] is not None
        or not (folder / run_folder.RESULTS).is_file()
    ):
        return
    held_out = run_folder.read_results(folder).get("held_out", {})
    found = task.splits()[split].fingerprint()
    if held_out.get(split, found) != found:
        learned = (
            f"The {split} split of this DATA is not the one that the training in {model} held out"
        )
        fix = f"give the training's DATA, --validation and --test, or new rows by --{split}"
        warnings.warn(
            f"{learned}, so the model may have learned some of its rows; {fix}.",
            BeexWarning,
            stacklevel=2,
        )
