"""A whole benchmark: trains what is not trained, then writes tables and figures."""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from beex_keras.files import write_atomically
from suite import figures, run, tables
from suite.collect import collect
from suite.description import load_suite
from suite.trial import Trial


def benchmark(
    suite: str,
    directory: str | os.PathLike[str],
    data_dir: str | None = None,
    jobs: int = 1,
    threads: int = 1,
    train: bool = True,
    verbose: bool = True,
) -> dict[str, Any]:
    """Runs a suite and reports on it.

    `directory` holds `trials/`, a folder for each training, and then `results.json` and `report.md` with
    `figures/`. The same call continues a benchmark that was interrupted, and several machines may work on
    one folder that they share.

    Args:
        suite: name of a suite or path of a .toml file, see `suite.description`.
        directory: of the benchmark.
        data_dir: folder of the tasks' data; what it lacks is left out, and the report says so.
        jobs: trainings side by side.
        threads: that each may use.
        train: train what is missing; otherwise report on what is there.
        verbose: show progress on standard error.

    Returns:
        The results, as in `results.json`; see `suite.collect.collect`.

    Raises:
        BeexError: an unknown or faulty suite, or none of its tasks can be loaded.
    """
    directory = Path(directory)
    folder = directory / "trials"
    described = load_suite(suite)
    tasks, skipped = run.load_tasks(described, data_dir)
    trials = described.trials(tasks)
    progress = _Progress(len(trials), verbose)
    if train:
        run.run_trials(trials, suite, folder, data_dir, jobs, threads, progress.report)
    results = collect(described, trials, tasks, skipped, folder, progress.track)
    _write(results, directory)
    return results


def _write(results: dict[str, Any], directory: Path) -> None:
    """`results.json`, and `report.md` with its figures."""
    write_atomically(directory / "results.json", dumps(results))
    drawn = figures.save_figures(results, directory / "figures")
    shown = [(f"figures/{name}", title) for name, title in drawn]
    write_atomically(directory / "report.md", tables.report(results, shown))


def dumps(results: dict[str, Any]) -> str:
    """JSON with a line for each training, so that versions of the file can be compared."""
    parts = {name: json.dumps(value, ensure_ascii=False) for name, value in results.items()}
    lines = ",\n".join("  " + json.dumps(trial, ensure_ascii=False) for trial in results["trials"])
    parts["trials"] = f"[\n{lines}\n]" if lines else "[]"
    return "{\n" + ",\n".join(f"{json.dumps(n)}: {v}" for n, v in parts.items()) + "\n}\n"


class _Progress:
    """How far a benchmark is, on standard error: a line a training, and a bar for what follows."""

    def __init__(self, trials: int, verbose: bool) -> None:
        self.trials, self.verbose, self.done = trials, verbose, 0

    def report(self, trial: Trial, state: str) -> None:
        self.done += state != run.RUNNING
        if self.verbose:
            line = f"{self.done} of {self.trials}: {trial.title}: {state}"
            print(line, file=sys.stderr, flush=True)

    def track(self, items: Iterable[Any], title: str) -> Iterable[Any]:
        console = Console(stderr=True)
        hidden = not (self.verbose and console.is_terminal)
        return track(list(items), title, console=console, disable=hidden)
