"""Runs the cells of a suite, each in its own process, and keeps what they leave."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from beex_keras.benchmark.cell import (
    CELL_FILE,
    ELSEWHERE,
    FAILURE_FILE,
    RESULT_FILE,
    environment,
)
from beex_keras.benchmark.suite import Cell, Suite
from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.files import read_text, write_atomically

DONE, FAILED, MISSING = "done", "failed", "missing"


def load_tasks(suite: Suite, data_dir: str | None) -> tuple[dict[str, Task], dict[str, str]]:
    """The suite's tasks whose data is there, and why the others are left out, by name.

    Raises:
        BeexError: no task has data.
    """
    tasks, skipped = {}, {}
    for name in suite.tasks:
        try:
            tasks[name] = suite.load(name, data_dir)
        except BeexError as error:
            # Results are passed on, and a path on this machine tells nobody anything.
            skipped[name] = str(error).replace(data_dir or "\0", "the data folder")
    if not tasks:
        raise BeexError(
            f"None of the suite's tasks can be loaded; the first says: {next(iter(skipped.values()))}"
        )
    return tasks, skipped


def adopt(cells: list[Cell], directory: Path, code: str) -> int:
    """Takes over the finished trainings of another version of the code; returns how many.

    For a change of the code that is known to leave every result as it was, so that nothing need be
    trained again. Each result keeps the version that it was trained by.

    Args:
        cells: that may be taken over, if they are not trained by the present code.
        directory: of the cells.
        code: the other version, see `beex_keras.benchmark.code.code_version`.

    Raises:
        BeexError: the folder has no training by that version.
    """
    adopted, known = 0, 0
    for cell in cells:
        old, new = directory / cell.folder_by(code), directory / cell.folder
        if state(old) == DONE:
            known += 1
            if not new.exists():
                old.rename(new)
                adopted += 1
    if not known and not any(trained_by(directory / cell.folder) == code for cell in cells):
        raise BeexError(
            f"No training in {directory} was done by code version {code}; the results.json of the "
            "benchmark names the versions."
        )
    return adopted


def trained_by(folder: Path) -> str | None:
    """The version of the code that a finished training was done by."""
    if state(folder) != DONE:
        return None
    return json.loads(read_text(folder / RESULT_FILE, "result"))["code"]


def state(folder: Path) -> str:
    """Of a cell: "done", "failed", or "missing"."""
    if (folder / RESULT_FILE).exists():
        return DONE
    return FAILED if (folder / FAILURE_FILE).exists() else MISSING


def run_cells(
    cells: list[Cell],
    suite: str,
    directory: Path,
    data_dir: str | None,
    jobs: int = 1,
    threads: int = 1,
    report: Callable[[Cell, str], None] = lambda cell, state: None,
) -> None:
    """Trains the cells that are not done, `jobs` at a time, in their order.

    A cell that fails leaves its reason in its folder, and the others go on; the next call tries it
    again. A cell on which another process works, here or on another machine that shares the folder,
    is left to it.

    Args:
        cells: to train.
        suite: name or path, as for `load_suite`.
        directory: holds one folder a cell.
        data_dir: where the tasks' data is.
        jobs: cells side by side.
        threads: that each may use.
        report: told of each cell when it starts ("running") and of its state when it ends: "done",
            "failed", or "in work elsewhere".
    """
    processes: set[subprocess.Popen] = set()
    stopping = threading.Event()

    def run(cell: Cell) -> None:
        folder = directory / cell.folder
        if stopping.is_set():
            return
        if state(folder) == DONE:
            report(cell, DONE)
            return
        if not (folder / CELL_FILE).exists():
            write_atomically(folder / CELL_FILE, json.dumps(cell.to_dict(), indent=2) + "\n")
        command = [
            sys.executable, "-m", "beex_keras.benchmark.cell", os.fspath(folder),
            "--suite", suite, "--parent", str(os.getpid()),
            *(["--data-dir", data_dir] if data_dir else []),
        ]  # fmt: skip
        report(cell, "running")
        process = subprocess.Popen(
            command,
            env=environment(threads),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        processes.add(process)
        _, errors = process.communicate()
        processes.discard(process)
        if stopping.is_set():
            return
        if process.returncode == ELSEWHERE:
            report(cell, "in work elsewhere")
            return
        if state(folder) == MISSING:  # killed, or it never came to the point of saying why
            reason = errors.strip()[-2000:] or f"its process ended with {process.returncode}"
            write_atomically(folder / FAILURE_FILE, reason + "\n")
        report(cell, state(folder))

    pool = ThreadPoolExecutor(jobs)
    try:
        once = {cell.key: cell for cell in reversed(cells)}
        for future in [pool.submit(run, cell) for cell in reversed(once.values())]:
            future.result()
    except BaseException:
        stopping.set()
        for process in list(processes):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
