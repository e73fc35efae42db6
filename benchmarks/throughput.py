"""Texts a second of a stream through a ``.beex`` file.

    python benchmarks/throughput.py

The file classifies 100,000 short texts with one thread and with two, in turns, each in a process of its
own (streaming.py), whose memory is measured too. Texts have 3 to 20 random words of the model's
vocabulary. Where fewer processors are busy than there are threads, either they wait for each other or
other programs have the rest: on a machine that does nothing else it is the former.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from measure import SEED, json_option, show


@click.command()
@click.option("--model", default="sst2-micro", show_default=True)
@click.option("--texts", default=100_000, show_default=True)
@click.option("--threads", multiple=True, default=(1, 2), show_default=True)
@click.option("--repeats", default=7, show_default=True)
@json_option
def main(model: str, texts: int, threads: tuple[int, ...], repeats: int, as_json: bool) -> None:
    rows = stream(model, texts, threads, repeats)
    show(rows, f"{model}, {texts:,} texts in a stream", as_json, rounds=repeats)


def stream(model: str, texts: int, threads: tuple[int, ...], repeats: int) -> list[dict[str, Any]]:
    """A row for each number of threads: medians of rounds, and of memory the most."""
    found: dict[int, list[dict[str, Any]]] = {number: [] for number in threads}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.txt"
        file.write_text("".join(f"{text}\n" for text in _random_texts(model, texts)), "utf-8")
        program = [sys.executable, str(Path(__file__).with_name("streaming.py")), model, str(file)]
        for _ in range(repeats):
            for number, rounds in found.items():
                said = subprocess.run([*program, str(number)], capture_output=True, check=True)
                rounds.append(json.loads(said.stdout))
    rows: list[dict[str, Any]] = []
    for number, rounds in found.items():
        speed = statistics.median(texts / one["seconds"] for one in rounds)
        row = {"threads": number, "texts a second": speed}
        row["of the first"] = speed / (rows[0]["texts a second"] if rows else speed)
        busy = (one["processor's seconds"] / one["seconds"] for one in rounds)
        row["processors busy"] = statistics.median(busy)
        for name in (
            "MB at start",
            "MB at a tenth",
            "MB at the end",
            "peak MB",
            "imports tensorflow",
        ):
            row[name] = max(one[name] for one in rounds)
        rows.append(row)
    return rows


def _random_texts(model: str, count: int) -> Iterator[str]:
    import beex_keras as beex

    words = [word for word in beex.load(model).preprocessor.vocabulary if word.isalpha()]
    generator = random.Random(SEED)
    return (" ".join(generator.choices(words, k=generator.randint(3, 20))) for _ in range(count))


if __name__ == "__main__":
    main()
