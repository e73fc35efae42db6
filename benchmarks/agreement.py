"""Keras against the converted file on real sentences: logits, and label and exit of every policy.

    python benchmarks/agreement.py runs/accuracy/rotten_tomatoes/*-0 --sentences 500

Sentences are drawn from the test split of the task (shuffled, since splits may be sorted). Each
policy is calibrated on the validation split first, so that its threshold lies where exits change.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from rich.progress import track


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--task", default="rotten_tomatoes", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--sentences", default=500, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(runs: tuple[str, ...], task: str, data_dir: str | None, sentences: int, seed: int,
         as_json: bool) -> None:  # fmt: skip
    import numpy as np

    from beex_keras import calibrate, convert, exits, load_task
    from beex_keras.evaluation import tables
    from beex_keras.runtime import KerasRunner, LCERunner, load_classifier

    loaded = load_task(task, data_dir=data_dir)
    chosen = np.random.default_rng(seed).permutation(len(loaded.test))[:sentences]
    test, validation = loaded.test.rows(chosen), loaded.validation
    rows = []
    for run in runs if as_json else track(runs, "Models"):
        classifier = load_classifier(run)
        keras, device = KerasRunner(classifier), LCERunner(convert(classifier))
        reference = keras.exit_logits(keras.encode(test.texts, test.pairs))
        converted = device.exit_logits(device.encode(test.texts, test.pairs))
        known = keras.exit_logits(keras.encode(validation.texts, validation.pairs))
        difference = np.abs(reference - converted).max(axis=(1, 2))
        row: dict[str, Any] = {
            "model": Path(run).name,
            "sentences": len(test),
            "largest difference": float(difference.max()),
            "over 1e-4": int((difference > 1e-4).sum()),
        }
        for name, policy_class in exits.POLICIES.items():
            policy = calibrate(policy_class(), known, validation.labels, tolerance=0.005).policy
            pair = [np.asarray(policy.choose(logits)) for logits in (reference, converted)]
            labels = [
                logits[np.arange(len(test)), taken].argmax(axis=1)
                for logits, taken in zip((reference, converted), pair, strict=True)
            ]
            differing = (pair[0] != pair[1]) | (labels[0] != labels[1])
            row[f"{name}: label or exit differs"] = int(differing.sum())
        rows.append(row)
    if as_json:
        click.echo(json.dumps({"task": task, "seed": seed, "rows": rows}))
    else:
        versions = ", ".join(
            f"{name} {version(name)}" for name in ("tensorflow", "larq-compute-engine")
        )
        tables.show(rows, f"{task}, seed {seed}, {versions}")


if __name__ == "__main__":
    main()
