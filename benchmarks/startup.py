"""Seconds and memory of whole processes, from their start to their end.

    python benchmarks/startup.py
    python benchmarks/startup.py --python BASE/bin/python --python TRAIN/bin/python

Each environment, by its Python, runs what is installed there; without --python it is this one. They
take turns, so that whatever else the machine does meets all alike.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from measure import json_option, show

_MAIN = "from beex_keras.cli import main; main()"
_PROCESSES = {
    "import beex_keras": ["import beex_keras"],
    "beex --help": [_MAIN, "--help"],
    "beex models": [_MAIN, "models"],
    'beex predict sst2-minilm "what a lovely film"': [
        *(_MAIN, "predict", "sst2-minilm", "what a lovely film")
    ],
}
"""The code of each, and its arguments: what the `beex` that is installed runs."""

# The peak of a process includes what its parent had when it started it: this parent has next to nothing.
_PARENT = """
import os, sys, time
null = os.open(os.devnull, os.O_RDWR)
streams = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1)]
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=streams)
_, status, usage = os.wait4(child, 0)
print(time.perf_counter() - start, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""

_ABOUT = """
import json, platform
from importlib.metadata import PackageNotFoundError, version
found = {"python": platform.python_version()}
for package in ("beex-keras", "numpy", "tensorflow"):
    try:
        found[package] = version(package)
    except PackageNotFoundError:
        found[package] = None
print(json.dumps(found))
"""

_LOOK = "import atexit, sys; atexit.register(lambda: print('tensorflow' in sys.modules)); "


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("--python", "pythons", multiple=True, type=click.Path(exists=True, dir_okay=False))
@click.option("--rounds", default=5, show_default=True)
@json_option
def main(pythons: tuple[str, ...], rounds: int, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for python in map(str, map(Path.absolute, map(Path, pythons or (sys.executable,)))):
        about = json.loads(_output(python, "-c", _ABOUT))
        for name, (code, *arguments) in _PROCESSES.items():
            looked = _output(python, "-c", _LOOK + code, *arguments)  # and files are in the cache
            imports = looked.split()[-1] == "True"
            rows.append(
                {"environment": python, **about, "process": name, "imports tensorflow": imports}
            )
    samples: list[list[tuple[float, float]]] = [[] for _ in rows]
    for _ in range(rounds):
        for row, found in zip(rows, samples, strict=True):
            code, *arguments = _PROCESSES[row["process"]]
            found.append(measured(row["environment"], "-c", code, *arguments))
    for row, found in zip(rows, samples, strict=True):
        seconds, peaks = zip(*found, strict=True)
        row |= {"seconds": statistics.median(seconds), "least": min(seconds), "peak MB": max(peaks)}
    show(rows, "Whole processes", as_json, rounds=rounds)


def measured(*command: str, environment: Mapping[str, str] | None = None) -> tuple[float, float]:
    """Seconds of a process, and its peak of memory in MB; its environment is this one's by default."""
    parent = (sys.executable, "-ISc", _PARENT)
    seconds, peak = _output(*parent, *command, environment=environment).split()
    return float(seconds), 1024e-6 * int(peak)


def _output(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """What a process prints; it starts where no checkout is, so that it imports what is installed."""
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, env=environment)
    if found.returncode:
        said = (found.stderr.strip() or "nothing").splitlines()[-1]
        raise click.ClickException(f"{command[0]} failed: {said}")
    return found.stdout


if __name__ == "__main__":
    main()
