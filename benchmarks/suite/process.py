"""The training of one trial, in a process and a folder of its own.

    python -m suite.process FOLDER --suite NAME [--data-dir DIR]

FOLDER/trial.json says what to train. The result is FOLDER/logits.npz, the exit logits of the
validation and the test split with their labels, and FOLDER/result.json, which is written last. All
figures are computed from these later (`suite.collect`). The training itself stands in FOLDER/run, and
continues from its last checkpoint if it was interrupted.
"""

import json
import os
import platform
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import click
import numpy as np
from filelock import FileLock, Timeout

from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, read_text, write_atomically
from suite.description import Suite, load_suite
from suite.trial import FAILURE_FILE, LOCK_FILE, LOGITS_FILE, RESULT_FILE, RUN_FOLDER, TRIAL_FILE

ELSEWHERE = 3
"""Exit code when another process works on the trial."""

_WATCH_SECONDS = 2.0


def run_trial(folder: Path, suite: Suite, data_dir: str | None) -> dict[str, Any]:
    """Trains what `folder`/trial.json describes and leaves logits and result in `folder`.

    Args:
        folder: of the trial.
        suite: that knows its tasks.
        data_dir: where their data is on this machine.

    Returns:
        What result.json holds.

    Raises:
        BeexError: the data is not that for which the trial was planned.
    """
    spec = json.loads(read_text(folder / TRIAL_FILE, "trial"))
    begin = time.monotonic()
    found = _train(spec, folder, suite, data_dir)
    result = {
        **spec,
        **found,
        "seconds": round(time.monotonic() - begin, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }
    write_atomically(folder / RESULT_FILE, json.dumps(result, indent=2) + "\n")
    return result


def _train(
    spec: dict[str, Any], folder: Path, suite: Suite, data_dir: str | None
) -> dict[str, Any]:
    """Trains, from and with what `spec` names, and writes the logits."""
    from beex_keras.models import BEExformerConfig
    from beex_keras.training import TrainingConfig, run_folder, train

    start = {
        **spec["start"],
        **{role: folder.parent / name / RUN_FOLDER for role, name in spec["earlier"].items()},
    }
    task = suite.load(spec["task"], data_dir)
    if task.fingerprint() != spec["data"]:
        raise BeexError(
            f"The data of {spec['task']} has changed since {folder} was planned; start the benchmark "
            "again, which plans new trials for it."
        )
    if start.get("unlabelled"):
        start["unlabelled"] = folder / "unlabelled.txt"
        lines = suite.unlabelled(task, data_dir)
        write_atomically(start["unlabelled"], "\n".join(lines) + "\n")
    if spec.get("arguments"):
        arguments = {**spec["arguments"], "seed": spec["training"]["seed"], **start}
    else:
        model = BEExformerConfig.from_dict(spec["model"])
        arguments = {"config": TrainingConfig(model=model, **spec["training"], **start)}
    run = train(task, folder / RUN_FOLDER, **arguments, verbose=0)
    labels = {f"{part}_labels": getattr(task, part).labels for part in ("validation", "test")}
    with atomic_path(folder / LOGITS_FILE) as path:
        np.savez_compressed(path, **labels, **run.exit_logits)
    epochs = len(run_folder.read_history(run.directory)["loss"])
    return {"trained": run.model.config.to_dict(), "epochs": epochs}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--suite", required=True)
@click.option("--data-dir")
@click.option("--parent", type=int, help="End when this process does.")
def main(folder: Path, suite: str, data_dir: str | None, parent: int | None) -> None:
    """Train one trial."""
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    folder.mkdir(parents=True, exist_ok=True)
    failure = folder / FAILURE_FILE
    try:
        # The operating system holds it, so a process that ends, however it does, gives it back.
        lock = FileLock(folder / LOCK_FILE).acquire(blocking=False)
    except Timeout:
        sys.exit(ELSEWHERE)
    with lock:
        if (folder / RESULT_FILE).exists():
            return
        failure.unlink(missing_ok=True)
        try:
            run_trial(folder, load_suite(suite), data_dir)
        except Exception as error:
            known = isinstance(error, BeexError)
            write_atomically(failure, f"{error}\n" if known else traceback.format_exc())
            sys.exit(2 if known else 1)


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent: what it does is then nobody's wish any more."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
