"""Accuracy of a task over several seeds: baselines, float32 twin and the binarized variants.

Each cell of variant and seed is one `beex train` in a folder of its own, so a benchmark that was
interrupted continues where it stood:

    python benchmarks/accuracy.py --task rotten_tomatoes --seeds 3
    python benchmarks/accuracy.py --task glue/sst2 --data-dir glue --seeds 3 -- --epochs 3

Whatever follows ``--`` goes to `beex train`.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from rich.progress import track

VARIANTS = {
    "float32 twin": ["--bits", "float"],
    "weights-only, float embedding": ["--bits", "weights-only", "--embedding-bits", "32"],
    "weights-only": ["--bits", "weights-only"],
    "fully binary": ["--bits", "fully-binary"],
}


@click.command()
@click.option("--task", default="rotten_tomatoes", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--variant", "names", multiple=True, type=click.Choice(list(VARIANTS)),
              help="May be repeated; all by default.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True,
              help="Trainings side by side, one thread each.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("runs/accuracy"))
@click.option("--json", "as_json", is_flag=True)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def main(task: str, data_dir: str | None, seeds: int, names: tuple[str, ...], jobs: int,
         output: Path, as_json: bool, arguments: tuple[str, ...]) -> None:  # fmt: skip
    data = ["--task", task, *(["--data-dir", data_dir] if data_dir else [])]
    cells = [(name, seed) for seed in range(seeds) for name in names or VARIANTS]

    def train(cell: tuple[str, int]) -> dict[str, Any]:
        name, seed = cell
        folder = (
            output / task.replace("/", "-") / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
        )
        command = [
            sys.executable, "-m", "beex_keras.cli", "train", "--json", *data, *VARIANTS[name],
            "--seed", str(seed), "-o", str(folder), *arguments,
        ]  # fmt: skip
        threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **threads}
        )
        if done.returncode:
            raise click.ClickException(f"{name}, seed {seed}: {done.stderr.strip()}")
        return json.loads(done.stdout)["test"]

    with ThreadPoolExecutor(jobs) as pool:
        finished = pool.map(train, cells)
        if not as_json:
            finished = track(finished, f"Training on {task}", total=len(cells))
        results = dict(zip(cells, finished, strict=True))

    from beex_keras import tables
    from beex_keras.data import load_task
    from beex_keras.evaluation import score
    from beex_keras.evaluation.baselines import majority_predictions, tfidf_predictions

    loaded = load_task(task, data_dir=data_dir)
    baselines = {
        "majority class": majority_predictions(loaded),
        "TF-IDF + logistic regression": tfidf_predictions(loaded),
    }
    rows: list[dict[str, Any]] = [
        {"model": name, "full depth": score(loaded.test.labels, predicted, loaded.metric)}
        for name, predicted in baselines.items()
    ]
    for name in names or VARIANTS:
        rows.append(_summary(name, [results[name, seed] for seed in range(seeds)]))
    report = {
        "task": task,
        "seeds": seeds,
        "arguments": arguments,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": _versions(),
        "rows": rows,
        "cells": [
            {"model": name, "seed": seed, **found} for (name, seed), found in results.items()
        ],
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        tables.show(rows, f"{task}, test split, {seeds} seeds, {report['machine']}")
        click.echo(", ".join(f"{name} {version}" for name, version in report["versions"].items()))


def _summary(name: str, cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean over the seeds, and the sample standard deviation of the scores."""

    def mean(key: str) -> float:
        return statistics.fmean(cell[key] for cell in cells)

    def spread(key: str) -> float | None:
        return statistics.stdev(cell[key] for cell in cells) if len(cells) > 1 else None

    return {
        "model": name,
        "full depth": mean("full_depth_score"),
        "± full": spread("full_depth_score"),
        "calibrated exit": mean("score"),
        "± exit": spread("score"),
        "mean depth": mean("mean_depth"),
        "FLOPs saved": mean("flops_saved"),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("tensorflow", "tf-keras", "larq", "numpy")}


if __name__ == "__main__":
    main()
