"""A whole benchmark: trains what is not trained, then writes tables, figures and the report."""

import csv
import io
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from beex_keras.files import write_atomically
from suite import figures, page, run, summary, tables
from suite.collect import collect
from suite.description import load_suite
from suite.trial import FAILED, Trial


def benchmark(
    suite: str,
    directory: str | os.PathLike[str],
    data_dir: str | None = None,
    jobs: int = 1,
    threads: int = 1,
    train: bool = True,
    reuse: str | None = None,
    verbose: bool = True,
) -> dict[str, Any]:
    """Runs a suite and reports on it.

    `directory` holds `trials/`, a folder for each training, and then `results.json`, `results.csv`,
    `report.md` with `figures/`, and `report.html`. The same call continues a benchmark that was
    interrupted, and several machines may work on one folder that they share.

    Args:
        suite: name of a suite or path of a .toml file, see `suite.description`.
        directory: of the benchmark.
        data_dir: folder of the tasks' data; what it lacks is left out, and the report says so.
        jobs: trainings side by side.
        threads: that each may use.
        train: train what is missing; otherwise report on what is there.
        reuse: another code version whose trainings to take over, see `suite.run.reuse`.
        verbose: show progress on standard error.

    Returns:
        The results, as in `results.json`; see `suite.collect.collect`.

    Raises:
        BeexError: an unknown or faulty suite, none of its tasks can be loaded, or nothing is there
            to be taken over.
    """
    directory = Path(directory)
    folder = directory / "trials"
    described = load_suite(suite)
    tasks, skipped = run.load_tasks(described, data_dir)
    trials = described.trials(tasks)
    if reuse is not None:
        run.reuse(trials, folder, reuse)
    with _Display(len(trials), verbose) as display:
        if train:
            run.run_trials(trials, suite, folder, data_dir, jobs, threads, display.report)
        results = collect(described, trials, tasks, skipped, folder, display.track)
    _write(results, directory)
    page.write(directory / "report.html", described, trials, tasks, folder)
    return results


def _write(results: dict[str, Any], directory: Path) -> None:
    """`results.json`, `results.csv`, and `report.md` with its figures."""
    write_atomically(directory / "results.json", dumps(results))
    table = io.StringIO()
    rows = summary.records(results)
    if rows:
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(directory / "results.csv", table.getvalue())
    drawn = figures.save_figures(results, directory / "figures")
    shown = [(f"figures/{name}", title) for name, title in drawn]
    write_atomically(directory / "report.md", tables.report(results, shown))


def dumps(results: dict[str, Any]) -> str:
    """JSON with a line for each training, so that versions of the file can be compared."""
    parts = {name: json.dumps(value, ensure_ascii=False) for name, value in results.items()}
    lines = ",\n".join("  " + json.dumps(trial, ensure_ascii=False) for trial in results["trials"])
    parts["trials"] = f"[\n{lines}\n]" if lines else "[]"
    return "{\n" + ",\n".join(f"{json.dumps(n)}: {v}" for n, v in parts.items()) + "\n}\n"


class _Display:
    """How far a benchmark is: a bar in a terminal, a line a training elsewhere, or nothing."""

    def __init__(self, trials: int, verbose: bool) -> None:
        console = Console(stderr=True)
        self.lines = verbose and not console.is_terminal
        self.progress = Progress(
            *(TextColumn("{task.description}"), BarColumn()),
            *(MofNCompleteColumn(), TimeElapsedColumn()),
            console=console,
            disable=not (verbose and console.is_terminal),
        )
        self.trials, self.done = trials, 0
        self.running: list[str] = []
        self.bar = self.progress.add_task("Training", total=trials)

    def __enter__(self) -> "_Display":
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def report(self, trial: Trial, state: str) -> None:
        name = trial.title
        if state == run.RUNNING:
            self.running.append(name)
        else:
            if name in self.running:
                self.running.remove(name)
            self.done += 1
            self.progress.advance(self.bar)
            if state == FAILED and not self.progress.disable:
                self.progress.print(f"[bold]failed[/]: {name}")
        self.progress.update(self.bar, description="; ".join(self.running) or "Training")
        if self.lines:
            print(f"{self.done} of {self.trials}: {name}: {state}", file=sys.stderr, flush=True)

    def track(self, items: Iterable[Any], title: str) -> Iterable[Any]:
        return self.progress.track(list(items), description=title)
