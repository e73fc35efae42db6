"""Runs the trials of a suite, each in its own process, and keeps what they leave."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from beex_keras.data import Task
from beex_keras.errors import BeexError
from beex_keras.files import write_atomically
from suite.description import Suite
from suite.process import ELSEWHERE
from suite.trial import DONE, FAILED, FAILURE_FILE, MISSING, TRIAL_FILE, Trial, state

RUNNING, IN_WORK_ELSEWHERE = "running", "in work elsewhere"
Report = Callable[[Trial, str], None]


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


def environment(threads: int) -> dict[str, str]:
    """The environment for a trial's process: as many threads as it may use, and where it finds `suite`.

    Few threads a trial and several trials side by side is the fastest way through many small models.
    """
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    paths = [os.fspath(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
    return {
        **os.environ,
        **dict.fromkeys(names, str(threads)),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


def run_trials(
    trials: list[Trial],
    suite: str,
    directory: Path,
    data_dir: str | None,
    jobs: int = 1,
    threads: int = 1,
    report: Report = lambda trial, state: None,
) -> None:
    """Trains what is not done, `jobs` trials at a time, in their order.

    A trial that fails leaves its reason in its folder, and those that do not start from it go on;
    the next call tries it again. A trial on which another process works, here or on another machine
    that shares the folder, is left to it, with those that start from it.

    Args:
        trials: to do; what one starts from or learns from stands before it.
        suite: name or path, as for `load_suite`.
        directory: holds one folder a trial.
        data_dir: where the tasks' data is.
        jobs: trials side by side.
        threads: that each may use.
        report: told of each trial when it starts ("running") and of its state when it ends: "done",
            "failed", or "in work elsewhere".
    """
    options = ["--suite", suite, "--parent", str(os.getpid())]
    options += ["--data-dir", data_dir] if data_dir else []

    def start(folder: Path) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "suite.process", os.fspath(folder), *options],
            env=environment(threads),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    queue = _Queue(trials, directory, start, report)
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in [pool.submit(queue.work) for _ in range(jobs)]:
            future.result()
    except BaseException:
        queue.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Queue:
    """Trials that wait, for threads that each take one after the other."""

    def __init__(
        self,
        trials: list[Trial],
        directory: Path,
        start: Callable[[Path], subprocess.Popen],
        report: Report,
    ) -> None:
        self.directory, self.start, self.report = directory, start, report
        self.waiting: dict[str, Trial] = {}
        for trial in trials:
            self.waiting.setdefault(trial.key, trial)
        self.unfinished = set(self.waiting)
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.processes: set[subprocess.Popen] = set()

    def work(self) -> None:
        """Trains until nothing waits any more."""
        try:
            while (trial := self._next()) is not None:
                end = self._train(trial)
                if not self.stopping.is_set():
                    self.report(trial, end)
                with self.changed:
                    self.unfinished.remove(trial.key)
                    self.changed.notify_all()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends what runs, and lets nothing start."""
        self.stopping.set()
        with self.changed:
            self.changed.notify_all()
        for process in list(self.processes):
            process.terminate()

    def _next(self) -> Trial | None:
        """The first that need not wait for what it starts from; none if all have been taken."""
        with self.changed:
            while self.waiting and not self.stopping.is_set():
                for key, trial in self.waiting.items():
                    if not any(e.key in self.unfinished for e in trial.earlier.values()):
                        return self.waiting.pop(key)
                self.changed.wait()
        return None

    def _train(self, trial: Trial) -> str:
        """Trains it unless it is done or cannot be; the state it is in then."""
        folder = self.directory / trial.folder
        if state(folder) == DONE:
            return DONE
        for earlier in trial.earlier.values():
            before = state(self.directory / earlier.folder)
            if before == FAILED:
                reason = f"Its start, {earlier.variant}, is not trained.\n"
                write_atomically(folder / FAILURE_FILE, reason)
                return FAILED
            if before != DONE:
                return IN_WORK_ELSEWHERE
        if not (folder / TRIAL_FILE).exists():
            write_atomically(folder / TRIAL_FILE, json.dumps(trial.to_dict(), indent=2) + "\n")
        self.report(trial, RUNNING)
        return self._process(folder)

    def _process(self, folder: Path) -> str:
        """Has a process train what the folder describes; the state it leaves."""
        process = self.start(folder)
        self.processes.add(process)
        if self.stopping.is_set():  # just before it was known
            process.terminate()
        _, errors = process.communicate()
        self.processes.discard(process)
        if process.returncode == ELSEWHERE:
            return IN_WORK_ELSEWHERE
        if self.stopping.is_set():  # its end means nothing
            return MISSING
        if state(folder) == MISSING:  # killed, or it never came to the point of saying why
            reason = errors.strip()[-2000:] or f"its process ended with {process.returncode}"
            write_atomically(folder / FAILURE_FILE, reason + "\n")
        return state(folder)
