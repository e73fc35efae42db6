"""How things are timed and shown here."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click
from rich.progress import track

Work = Callable[[], Any]

SEED = 0

json_option = click.option("--json", "as_json", is_flag=True)
rounds_option = click.option("--rounds", default=15, show_default=True)
task_option = click.option("--task", default="rotten_tomatoes", show_default=True)
data_option = click.option("--data-dir", type=click.Path())

_LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
"""Number of processes that were running before this one."""

_FLAGS = "avx2 fma avx512f avx512bw avx512_vnni avx512_vpopcntdq asimd asimddp"
_PACKAGES = ("beex-keras", "tensorflow", "tensorflow-text", "larq-compute-engine", "numpy")


def medians(works: Mapping[str, Work], rounds: int, quiet: bool) -> dict[str, float]:
    """Seconds of a call of each, in turns. A call is repeated until it takes 5 ms at least."""
    repeats = {}
    for name, work in works.items():
        work()
        start = time.perf_counter()
        work()
        repeats[name] = 1 + int(0.005 / (time.perf_counter() - start))
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds) if quiet else track(range(rounds), "Rounds"):
        for name, work in works.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                work()
            seconds[name].append((time.perf_counter() - start) / repeats[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(rows: Sequence[dict[str, Any]], title: str, as_json: bool, **setting: Any) -> None:
    """The rows, and what they were measured with."""
    from beex_keras import tables

    setting = {"what": title, "seed": SEED, **machine(), **setting}
    if _LOAD > 0.5:
        text = (
            f"Other processes ran at the start (load {_LOAD:.1f}), so ratios of times may be wrong."
        )
        click.echo(text, err=True)
    if as_json:
        click.echo(json.dumps({"setting": setting, "rows": rows}))
    else:
        tables.show(rows, title)
        click.echo("; ".join(f"{key}: {value}" for key, value in setting.items() if key != "what"))


def machine() -> dict[str, str]:
    """The processor, and what computes on it."""
    info = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split("\t: ", 1) for line in info.splitlines() if "\t: " in line)
    fields = {key.strip(): value for key, value in fields.items()}
    flags = fields.get("flags", fields.get("Features", "")).split()
    name = fields.get("model name", "unknown")
    return {
        "machine": f"{platform.machine()}, {name}, {os.cpu_count()} cores",
        "flags": " ".join(flag for flag in _FLAGS.split() if flag in flags),
        "versions": ", ".join(
            f"{name} {found}" for name in _PACKAGES if (found := installed(name))
        ),
        "compiler": first_line("cc"),
        "load at the start": f"{_LOAD:.1f}",
    }


def installed(package: str) -> str | None:
    """Its version, if it is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def first_line(program: str) -> str:
    """What a program answers to --version, its first line; nothing where it is missing."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return answer.stdout.split("\n")[0]
