"""Texts a second of a stream, or of every form of a converted file.

    python benchmarks/throughput.py
    python benchmarks/throughput.py runs/weights-only --task glue/sst2 --data-dir GLUE

Without runs, a `.beex` file classifies 100,000 short texts in a stream, with one thread and with two, in
turns, each in a process of its own (streaming.py), whose memory is measured too. Texts have 3 to 20
random words of the model's vocabulary. Where fewer processors are busy than there are threads, either
they wait for each other or other programs have the rest: on a machine that does nothing else it is the
former.

Of runs, all forms take turns in one process. Each model is asked for the whole test split with its calibrated policy: in segments, where finished
texts leave the batch, and in a file that exits by itself; and in segments at full depth, to which the
others are compared. "one by one" is the plain file without batches and lengths, at full depth. Texts
are encoded beforehand; one thread.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from measure import SEED, data_option, json_option, medians, show, task_option

_FULL = "segments, full depth"


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(exists=True))
@click.option("--model", default="sst2-micro", show_default=True, help="Of the stream.")
@click.option("--texts", default=100_000, show_default=True, help="Of the stream.")
@click.option("--threads", multiple=True, default=(1, 2), show_default=True, help="Of the stream.")
@task_option
@data_option
@click.option("--policy", help="Calibrate this policy on validation, instead of the run's own.")
@click.option("--repeats", default=7, show_default=True)
@json_option
def main(
    runs: tuple[str, ...],
    model: str,
    texts: int,
    threads: tuple[int, ...],
    task: str,
    data_dir: str | None,
    policy: str | None,
    repeats: int,
    as_json: bool,
) -> None:
    if not runs:
        rows = stream(model, texts, threads, repeats)
        show(rows, f"{model}, {texts:,} texts in a stream", as_json, rounds=repeats)
        return
    from beex_keras import exits, load_task
    from beex_keras.runtime import load_classifier

    loaded = load_task(task, data_dir=data_dir)
    rows = []
    for run in runs:
        classifier = load_classifier(run)
        if policy is not None:
            classifier.policy = calibrated(exits.get(policy), classifier, loaded)
        ways, count, depth = _ways(classifier, loaded.test)
        found = medians(ways, repeats, as_json)
        for name, seconds in found.items():
            full = "full depth" in name
            rows.append(
                {
                    "model": Path(run).name,
                    "policy": "full depth" if full else repr(classifier.policy),
                    "mean depth": float(classifier.config.num_blocks) if full else depth,
                    "way": name,
                    "texts a second": count / seconds,
                    "of full depth": found[_FULL] / seconds,
                }
            )
    show(rows, f"{task}, {len(loaded.test):,} texts", as_json, rounds=repeats)


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


def calibrated(policy: Any, classifier: Any, task: Any) -> Any:
    """The policy with a threshold that loses half a point on validation data."""
    from beex_keras import calibrate
    from beex_keras.runtime import KerasRunner
    from beex_keras.runtime.measure import known_labels, split_logits

    keras = KerasRunner(classifier)
    logits = split_logits(keras, task.validation)
    labels = known_labels(keras, task, task.validation)
    chosen = {"metric": task.metric, "value_scale": keras.value_scale}
    return calibrate(policy, logits, labels, tolerance=0.005, **chosen).policy


def _ways(classifier: Any, test: Any) -> tuple[dict[str, Any], int, float]:
    """What classifies all texts, by name; how many texts; and the mean depth of the policy."""
    from beex_keras import exits
    from beex_keras.export import convert, convert_segments
    from beex_keras.runtime import LCERunner, SegmentRunner

    segments = SegmentRunner(convert_segments(classifier))
    itself = LCERunner(convert(classifier))
    plain = LCERunner(convert(classifier, exit="all-outputs"))
    ids = segments.encode(test.texts, test.pairs)
    depth = float(segments.decide(ids).exits.mean() + 1)
    full = exits.FixedDepth(classifier.config.num_blocks)
    ways = {
        _FULL: partial(segments.decide, ids, full),
        "segments": partial(segments.decide, ids),
        "exits by itself": partial(itself.decide, ids),
        "one by one, full depth": lambda: [plain.exit_logits(row[np.newaxis]) for row in ids],
    }
    return ways, len(ids), depth


if __name__ == "__main__":
    main()
