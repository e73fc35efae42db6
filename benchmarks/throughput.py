"""Texts a second of every form of the converted file, in turns in one process.

    python benchmarks/throughput.py runs/accuracy/glue-sst2/weights-only-0 --task glue/sst2 --data-dir GLUE

Each model is asked for the whole test split with its calibrated policy: in segments, where finished
texts leave the batch, and in a file that exits by itself; and in segments at full depth, to which the
others are compared. "one by one" is the plain file without batches and lengths, at full depth. Texts
are encoded beforehand; one thread.
"""

import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--task", default="rotten_tomatoes", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--policy", help="Calibrate this policy on validation, instead of the run's own.")
@click.option("--repeats", default=7, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(runs: tuple[str, ...], task: str, data_dir: str | None, policy: str | None, repeats: int,
         as_json: bool) -> None:  # fmt: skip
    import numpy as np

    from beex_keras import calibrate, exits, load_task, tables
    from beex_keras.export import convert, convert_segments
    from beex_keras.runtime import KerasRunner, LCERunner, SegmentRunner, load_classifier

    loaded = load_task(task, data_dir=data_dir)
    rows = []
    for run in runs:
        classifier = load_classifier(run)
        if policy is not None:
            known = loaded.validation
            keras = KerasRunner(classifier)
            logits = keras.exit_logits(keras.encode(known.texts, known.pairs))
            found = calibrate(exits.get(policy), logits, known.labels, tolerance=0.005)
            classifier.policy = found.policy
        segments = SegmentRunner(convert_segments(classifier))
        itself = LCERunner(convert(classifier))
        plain = LCERunner(convert(classifier, exit="all-outputs"))
        ids = segments.encode(loaded.test.texts, loaded.test.pairs)
        full = exits.FixedDepth(classifier.config.num_blocks)
        decisions = segments.decide(ids)

        def one_by_one(plain: Any = plain, ids: Any = ids) -> None:
            for row in ids:
                plain.exit_logits(row[np.newaxis])

        ways = {
            "segments, full depth": lambda r=segments, i=ids, p=full: r.decide(i, p),
            "segments": lambda r=segments, i=ids: r.decide(i),
            "exits by itself": lambda r=itself, i=ids: r.decide(i),
            "one by one, full depth": one_by_one,
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            way()  # makes the interpreters
        for _ in range(repeats):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
        base = statistics.median(times["segments, full depth"])
        rows += [
            {
                "model": Path(run).name,
                "policy": repr(classifier.policy) if "full" not in name else "full depth",
                "mean depth": float(decisions.exits.mean() + 1)
                if "full" not in name
                else float(full.threshold),
                "way": name,
                "texts a second": len(ids) / statistics.median(values),
                "of full depth": base / statistics.median(values),
            }
            for name, values in times.items()
        ]
    setting = f"{task}, {len(loaded.test):,} texts, {platform.machine()}, {os.cpu_count()} cores, "
    setting += f"larq-compute-engine {version('larq-compute-engine')}"
    if as_json:
        click.echo(json.dumps({"setting": setting, "repeats": repeats, "rows": rows}))
    else:
        tables.show(rows, setting)


if __name__ == "__main__":
    main()
