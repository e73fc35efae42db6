"""One cell: the training of a classifier, in a process and a folder of its own.

    python -m beex_keras.benchmark.cell FOLDER [--data-dir DIR] [--suite NAME]

FOLDER/cell.json says what to train. The result is FOLDER/logits.npz, the exit logits of
the validation and the test split with their labels, and FOLDER/result.json, which is written last. All
figures are computed from these later (`beex_keras.benchmark.collect`). The training itself stands
in FOLDER/run, and continues from its last checkpoint if it was interrupted.
"""

import json
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from filelock import FileLock, Timeout

from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, read_text, write_atomically

CELL_FILE, LOGITS_FILE, RESULT_FILE, FAILURE_FILE, LOCK_FILE, RUN_FOLDER = (
    "cell.json",
    "logits.npz",
    "result.json",
    "failure.txt",
    "lock",
    "run",
)
ELSEWHERE = 3
"""Exit code when another process works on the cell."""

_SPLITS = ("validation", "test")
_WATCH_SECONDS = 2.0


def run_cell(folder: Path, suite: Any, data_dir: str | None) -> dict[str, Any]:
    """Trains what `folder`/cell.json describes and leaves logits and result in `folder`.

    Args:
        folder: of the cell.
        suite: the `Suite` that knows the cell's tasks.
        data_dir: where their data is on this machine.

    Returns:
        What result.json holds.

    Raises:
        BeexError: the data is not that for which the cell was planned.
    """
    spec = json.loads(read_text(folder / CELL_FILE, "cell"))
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


def _train(spec: dict[str, Any], folder: Path, suite: Any, data_dir: str | None) -> dict[str, Any]:
    from beex_keras.models import BEExformerConfig
    from beex_keras.training import TrainingConfig, train

    task = suite.load(spec["task"], data_dir)
    if task.fingerprint() != spec["data"]:
        raise BeexError(
            f"The data of {spec['task']} has changed since {folder} was planned; start the benchmark "
            "again, which plans new cells for it."
        )
    run = train(
        task,
        folder / RUN_FOLDER,
        model=BEExformerConfig.from_dict(spec["model"]),
        training=TrainingConfig(**spec["training"]),
        init=_source("init", spec, folder),
        teacher=_source("teacher", spec, folder),
        verbose=0,
    )
    labels = {split: getattr(task, split).labels for split in _SPLITS}
    arrays = {f"{split}_labels": labels[split] for split in _SPLITS}
    with atomic_path(folder / LOGITS_FILE) as path:
        np.savez_compressed(path, **arrays, **run.exit_logits)
    return {
        "trained": run.model.config.to_dict(),
        "epochs": len(run.history["loss"]),
        "best_epoch": run.epoch,
    }


def _source(role: str, spec: dict[str, Any], folder: Path) -> Any:
    """What the cell starts from ("init") or learns from ("teacher"), None if nothing."""
    from beex_keras.starts import initial

    if role in spec["earlier"]:
        return initial(folder.parent / spec["earlier"][role] / RUN_FOLDER)
    if role in spec["start"]:
        return initial(spec["start"][role], spec["start"].get("init_layers"))
    return None


def read_logits(folder: Path) -> dict[str, np.ndarray]:
    """`validation` and `test`, float32 (B, N, C), with `validation_labels` and `test_labels`."""
    with np.load(folder / LOGITS_FILE) as arrays:
        return {name: arrays[name] for name in arrays.files}


def environment(threads: int) -> Mapping[str, str]:
    """The environment for a cell's process: as many threads as it may use.

    Few threads a cell and several cells side by side is the fastest way through many small models.
    """
    return {
        **os.environ,
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--suite", required=True)
@click.option("--data-dir")
@click.option("--parent", type=int, help="End when this process does.")
def main(folder: Path, suite: str, data_dir: str | None, parent: int | None) -> None:
    """Train one cell."""
    from beex_keras.benchmark.suite import load_suite

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
            run_cell(folder, load_suite(suite), data_dir)
        except BeexError as error:
            write_atomically(failure, f"{error}\n")
            sys.exit(2)
        except Exception:
            write_atomically(failure, traceback.format_exc())
            sys.exit(1)


def _end_with(parent: int) -> None:
    """Ends this process soon after its parent: what it does is then nobody's wish any more."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
