"""What each contender is measured by."""

import dataclasses
import importlib
import json
import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from contenders import (
    LENGTH,
    PEERS,
    Contender,
    environment,
    fitted_seeds,
    folder_of,
    ours,
    output_option,
    task_option,
    worker_command,
)
from installed import bytes_installed
from rich.progress import track

import corpora
from beex_keras import pretrained
from measure import SEED, data_option, json_option, rounds_option, show
from startup import measured

_BATCHES = (1, 32)
_STARTS = 5


@click.command()
@task_option
@data_option
@output_option
@click.option("--model", "models", multiple=True, help="TASK=FILE: a trained model of ours.")
@click.option("--texts", default=128, show_default=True, help="For speed.")
@rounds_option
@json_option
def measure(
    tasks: Sequence[str],
    data_dir: str | None,
    output: str,
    models: Sequence[str],
    texts: int,
    rounds: int,
    as_json: bool,
) -> None:
    """Accuracy on the test split, bytes, texts a second, start-up and peak memory, a row a contender.

    Runtime bytes are those of the Python packages that have to be installed, and of all that they require.
    """
    rows, folder = [], Path(output).absolute()
    for name in tasks:
        task = corpora.load(name, data_dir)
        present = [one for one in PEERS if fitted_seeds(folder, name, one.module)]
        packaged = [model for model in pretrained.names() if pretrained.card(model)["task"] == name]
        for model in (*packaged, *_of_task(models, name)):
            present += ours(model, task.labels)
        rows += _measure_task(task, present, folder, texts, rounds, as_json)
    show(rows, "Beside others, one thread", as_json, rounds=rounds, texts=texts)


def _of_task(options: Sequence[str], task: str) -> list[str]:
    pairs = (option.partition("=") for option in options)
    return [os.path.abspath(file) for name, _, file in pairs if name == task]


def _measure_task(
    task: Any, present: Sequence[Contender], output: Path, texts: int, rounds: int, quiet: bool
) -> list[dict[str, Any]]:
    chosen = np.random.default_rng(SEED).permutation(len(task.test))[:texts]
    some = task.test.rows(chosen).texts
    rows, workers = [], {}
    for one in present:
        wanted = _wanted(one, output, task.name)
        rows.append({"task": task.name, "contender": one.name, **_sizes(one, wanted)})
        for length in (None, LENGTH) if one.padded else (None,):
            workers[one.name, length] = _Worker(_padded(wanted, length))
    try:
        for row, one in zip(rows, present, strict=True):
            row |= _accuracy(one, task, output, workers[one.name, None])
        rates = _texts_a_second(workers, some, rounds, quiet)
    finally:
        for worker in workers.values():
            worker.close()
    for row, one in zip(rows, present, strict=True):
        for length in (None, LENGTH):
            for batch in _BATCHES:
                at = "" if length is None else f" at {length} tokens"
                row[f"texts/s, batch {batch}{at}"] = rates.get((one.name, length, batch))
        wanted = {**_wanted(one, output, task.name), "text": some[0]}
        command = worker_command("once", wanted)
        starts = [measured(*command, environment=environment(1)) for _ in range(_STARTS)]
        row["start-up, s"] = statistics.median(seconds for seconds, _ in starts)
        row["peak MB"] = max(peak for _, peak in starts)
    return rows


def _wanted(one: Contender, output: Path, task: str, seed: int | None = None) -> dict[str, Any]:
    """The specification for a worker; of the first seed, if none is given."""
    options = dict(one.options)
    if one.fitted:
        seed = fitted_seeds(output, task, one.module)[0] if seed is None else seed
        options["folder"] = str(folder_of(output, task, one.module, seed))
    return {"module": one.module, "load": options}


def _padded(wanted: Mapping[str, Any], length: int | None) -> dict[str, Any]:
    return {**wanted, "load": {**wanted["load"], **({"length": length} if length else {})}}


def _sizes(one: Contender, wanted: Mapping[str, Any]) -> dict[str, float]:
    """Megabytes of the model's files, and of what has to be installed."""
    module = importlib.import_module(one.module)
    if one.fitted:
        options = {name: value for name, value in one.options.items() if name == "file"}
        files = module.files(Path(wanted["load"]["folder"]), **options)
    else:
        files = module.files(one.options["model"])
    model = sum(file.stat().st_size for file in files)
    return {"model MB": 1e-6 * model, "runtime MB": 1e-6 * bytes_installed(module.REQUIRES)}


def _accuracy(one: Contender, task: Any, output: Path, first: "_Worker") -> dict[str, Any]:
    """In percent, each text by itself; of several seeds the mean and the standard deviation."""
    seeds = fitted_seeds(output, task.name, one.module) if one.fitted else [0]
    workers = [first, *(_Worker(_wanted(one, output, task.name, seed)) for seed in seeds[1:])]
    found = []
    for worker in workers:
        answers = np.array(worker.ask(task.test.texts, 1)["answers"])
        found.append(100 * float(np.mean(answers == task.test.labels)))
        if worker is not first:
            worker.close()
    spread = statistics.stdev(found) if len(found) > 1 else None
    return {"accuracy": statistics.mean(found), "spread": spread, "seeds": len(found)}


def _texts_a_second(
    workers: Mapping[tuple[str, int | None], "_Worker"],
    texts: Sequence[str],
    rounds: int,
    quiet: bool,
) -> dict[tuple[str, int | None, int], float]:
    """Medians of rounds, in each of which all have a turn."""
    seconds: dict[tuple[str, int | None, int], list[float]] = {}
    for _ in range(rounds) if quiet else track(range(rounds), "Rounds"):
        for (name, length), worker in workers.items():
            for batch in _BATCHES:
                took = worker.ask(texts, batch)["seconds"]
                seconds.setdefault((name, length, batch), []).append(took)
    return {key: len(texts) / statistics.median(found) for key, found in seconds.items()}


@dataclasses.dataclass
class _Worker:
    """A contender that waits for requests."""

    wanted: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            worker_command("serve", self.wanted),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(1),
        )

    def ask(self, texts: Sequence[str], batch: int) -> dict[str, Any]:
        """Its answers, and the seconds that they took.

        Raises:
            click.ClickException: it has ended; what it said stands above.
        """
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        try:
            print(json.dumps({"texts": list(texts), "batch": batch}), file=stdin, flush=True)
            return json.loads(stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            failed = f"{self.wanted['module']} failed; its message is above."
            raise click.ClickException(failed) from None

    def close(self) -> None:
        self.process.communicate()
