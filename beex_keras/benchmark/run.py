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

DONE, FAILED, MISSING, IN_WORK_ELSEWHERE = "done", "failed", "missing", "in work elsewhere"


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

    A cell that fails leaves its reason in its folder, and those that do not start from it go on;
    the next call tries it again. A cell on which another process works, here or on another machine
    that shares the folder, is left to it, with those that start from it.

    Args:
        cells: to train; what one starts from or learns from stands before it.
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

    def train(cell: Cell) -> str:
        folder = directory / cell.folder
        if state(folder) == DONE:
            return DONE
        for earlier in cell.earlier.values():
            before = state(directory / earlier.folder)
            if before == FAILED:
                write_atomically(
                    folder / FAILURE_FILE, f"Its start, {earlier.variant}, is not trained.\n"
                )
            if before != DONE:
                return FAILED if before == FAILED else IN_WORK_ELSEWHERE
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
        if stopping.is_set():  # just before it was known
            process.terminate()
        _, errors = process.communicate()
        processes.discard(process)
        if process.returncode == ELSEWHERE:
            return IN_WORK_ELSEWHERE
        if stopping.is_set():  # its end means nothing
            return MISSING
        if state(folder) == MISSING:  # killed, or it never came to the point of saying why
            reason = errors.strip()[-2000:] or f"its process ended with {process.returncode}"
            write_atomically(folder / FAILURE_FILE, reason + "\n")
        return state(folder)

    waiting: dict[str, Cell] = {}
    for cell in cells:
        waiting.setdefault(cell.key, cell)
    unfinished = set(waiting)
    changed = threading.Condition()

    def next_cell() -> Cell | None:
        """The first that need not wait for what it starts from; none if all have been taken."""
        with changed:
            while waiting and not stopping.is_set():
                for key, cell in waiting.items():
                    if not any(earlier.key in unfinished for earlier in cell.earlier.values()):
                        return waiting.pop(key)
                changed.wait()
        return None

    def work() -> None:
        try:
            while (cell := next_cell()) is not None:
                end = train(cell)
                if not stopping.is_set():
                    report(cell, end)
                with changed:
                    unfinished.remove(cell.key)
                    changed.notify_all()
        except BaseException:
            stop()
            raise

    def stop() -> None:
        stopping.set()
        with changed:
            changed.notify_all()
        for process in list(processes):
            process.terminate()

    pool = ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(work) for _ in range(jobs)]:
            future.result()
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
