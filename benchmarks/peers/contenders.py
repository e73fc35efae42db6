"""Who takes part, and the training of those that are not ours."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import minilm
import subwords

from beex_keras.files import write_atomically
from measure import data_option

TASKS = ("glue/sst2", "trec", "clinc", "snips")
LENGTH = 128
"""Tokens that many users pad each text to."""
DONE = "fitted.json"
_SEEDED = ("minilm",)

task_option = click.option("--task", "tasks", multiple=True, default=TASKS, show_default=True)
output_option = click.option("-o", "--output", default="runs/peers", show_default=True)


@dataclasses.dataclass(frozen=True)
class Contender:
    """One row of a table.

    Attributes:
        name: of the row.
        module: of this folder.
        options: of its `load`, besides the folder of what its `fit` wrote.
        padded: whether it may be given a fixed length.
        fitted: whether it has a `fit`.
    """

    name: str
    module: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    padded: bool = False
    fitted: bool = True


PEERS = (
    Contender("MiniLM fine-tuned, float32", "minilm", {"file": minilm.FLOAT32}, padded=True),
    Contender("MiniLM fine-tuned, dynamic int8", "minilm", {"file": minilm.INT8}, padded=True),
    Contender("MiniLM frozen + logistic regression", "frozen", padded=True),
    Contender("model2vec + logistic regression", "static"),
    Contender("fastText, .bin", "subwords", {"file": subwords.BIN}),
    Contender("fastText, quantized .ftz", "subwords", {"file": subwords.FTZ}),
    Contender("TF-IDF + logistic regression", "tfidf"),
)


def ours(model: str, labels: Sequence[str]) -> list[Contender]:
    """A model of ours: with its exit, on newer and older x86 processors, and at full depth."""
    name = Path(model).stem
    ways: dict[str, dict[str, Any]] = {
        "exits": {},
        "exits, AVX2": {"kernels": "avx2"},
        "full depth": {"full_depth": True},
    }
    return [
        Contender(
            f"{name}, {way}",
            "ours",
            {"model": model, "labels": list(labels), **options},
            fitted=False,
        )
        for way, options in ways.items()
    ]


def folder_of(output: Path, task: str, module: str, seed: int) -> Path:
    return output / task.replace("/", "-") / f"{module}-{seed}"


def fitted_seeds(output: Path, task: str, module: str) -> list[int]:
    """Seeds of which a finished training stands there."""
    files = folder_of(output, task, module, 0).parent.glob(f"{module}-*/{DONE}")
    return sorted(int(file.parent.name.rpartition("-")[2]) for file in files)


@click.command()
@task_option
@data_option
@output_option
@click.option("--seed", "seeds", multiple=True, default=(0,), show_default=True)
@click.option("--threads", default=1, show_default=True)
def fit(
    tasks: Sequence[str], data_dir: str | None, output: str, seeds: Sequence[int], threads: int
) -> None:
    """Train those that are not ours, where a task lacks them; only the training of MiniLM is random."""
    output = os.path.abspath(output)
    modules = list(dict.fromkeys(contender.module for contender in PEERS))
    for task in tasks:
        for module in modules:
            for seed in seeds if module in _SEEDED else (0,):
                folder = folder_of(Path(output), task, module, seed)
                if (folder / DONE).exists():
                    continue
                click.echo(f"{task}, {module}, seed {seed}", err=True)
                folder.mkdir(parents=True, exist_ok=True)
                wanted = {
                    "task": task,
                    "data_dir": data_dir and os.path.abspath(data_dir),
                    "folder": str(folder),
                    "seed": seed,
                }
                begin = time.monotonic()
                run_worker("fit", {"module": module, "fit": wanted}, threads)
                seconds = round(time.monotonic() - begin, 1)
                write_atomically(folder / DONE, json.dumps({"seconds": seconds}) + "\n")


def run_worker(command: str, wanted: Mapping[str, Any], threads: int) -> None:
    """Runs one to its end.

    Raises:
        click.ClickException: it failed; what it said stands above.
    """
    if subprocess.run(worker_command(command, wanted), env=environment(threads)).returncode:
        raise click.ClickException(f"{wanted['module']} failed; its message is above.")


def worker_command(command: str, wanted: Mapping[str, Any]) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("worker.py")), command, json.dumps(wanted)]


def environment(threads: int) -> dict[str, str]:
    """That of a worker: all libraries keep to so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    quiet = {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "TQDM_DISABLE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    return {**os.environ, **dict.fromkeys(names, str(threads)), **quiet}
