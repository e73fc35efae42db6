"""Texts a second of every form of the converted file, in turns in one process.

    python benchmarks/throughput.py runs/weights-only --task glue/sst2 --data-dir GLUE

Each model is asked for the whole test split with its calibrated policy: in segments, where finished
texts leave the batch, and in a file that exits by itself; and in segments at full depth, to which the
others are compared. "one by one" is the plain file without batches and lengths, at full depth. Texts
are encoded beforehand; one thread.
"""

from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from measure import data_option, json_option, medians, show, task_option

_FULL = "segments, full depth"


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True))
@task_option
@data_option
@click.option("--policy", help="Calibrate this policy on validation, instead of the run's own.")
@click.option("--repeats", default=7, show_default=True)
@json_option
def main(
    runs: tuple[str, ...],
    task: str,
    data_dir: str | None,
    policy: str | None,
    repeats: int,
    as_json: bool,
) -> None:
    from beex_keras import exits, load_task
    from beex_keras.runtime import load_classifier

    loaded = load_task(task, data_dir=data_dir)
    rows = []
    for run in runs:
        classifier = load_classifier(run)
        if policy is not None:
            classifier.policy = calibrated(exits.get(policy), classifier, loaded.validation)
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


def calibrated(policy: Any, classifier: Any, validation: Any) -> Any:
    """The policy with a threshold that loses half a point on validation data."""
    from beex_keras import calibrate
    from beex_keras.runtime import KerasRunner

    keras = KerasRunner(classifier)
    logits = keras.exit_logits(keras.encode(validation.texts, validation.pairs))
    return calibrate(policy, logits, validation.labels, tolerance=0.005).policy


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
