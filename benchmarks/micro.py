"""The same file in Larq Compute Engine and in TensorFlow Lite Micro with our ops.

    python benchmarks/micro.py runs/accuracy/rotten_tomatoes/*-0
    python benchmarks/micro.py --untrained --wide

Files that exit by themselves, under each policy, one sentence at a time: how often exit or label differ,
how far logits differ at most, and the arena that TensorFlow Lite Micro needs for all blocks. Sentences and
thresholds are chosen as in agreement.py; T is the model's. The arena is that of the host, where
pointers take 8 bytes; its "tail" is smaller on a device.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import track

from agreement import dividing, untrained

sys.path.append(str(Path(__file__).parents[1] / "tools"))
import tflm_host

if TYPE_CHECKING:
    from beex_keras import BEExformerClassifier

UNTRAINED = [
    {"activation_bits": bits, "num_blocks": blocks, "num_classes": classes}
    for bits in (32, 1)
    for blocks, classes in ((2, 2), (4, 77))
]

WIDE = [
    {
        "activation_bits": bits,
        "num_blocks": 4,
        "num_classes": 2,
        "width": 256,
        "num_heads": 4,
        "hidden_width": 256,
        "max_length": 64,
    }
    for bits in (32, 1)
]
"""Models of which the arena alone is measured."""


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--untrained", "with_untrained", is_flag=True, help="Compare models of random weights too."
)
@click.option("--wide", is_flag=True, help="Measure the arena of wide models too.")
@click.option("--task", default="rotten_tomatoes", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--sentences", default=500, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(runs: tuple[str, ...], with_untrained: bool, wide: bool, task: str,
         data_dir: str | None, sentences: int, seed: int, as_json: bool) -> None:  # fmt: skip
    import numpy as np

    from beex_keras import load_task, tables
    from beex_keras.runtime import load_classifier

    if not (runs or with_untrained or wide):
        raise click.UsageError("Give run folders, --untrained or --wide.")
    reason = tflm_host.why_not()
    if reason is not None:
        raise click.UsageError(f"TensorFlow Lite Micro cannot run here: {reason}.")
    loaded = load_task(task, data_dir=data_dir)
    chosen = np.random.default_rng(seed).permutation(len(loaded.test))[:sentences]
    test, validation = loaded.test.rows(chosen), loaded.validation
    models: list[tuple[str, Any, Any]] = [
        (Path(run).name, load_classifier(run), validation) for run in runs
    ]
    texts = list(loaded.train.texts)
    if with_untrained:
        models += [(name, model, None) for name, model in untrained(texts, seed, UNTRAINED)]
    compared, arenas = [], []
    for name, model, known in models if as_json else track(models, "Models"):
        compared.append({"model": name, **_compare(model, test, known)})
        arenas.append({"model": name, **_arenas(model, test)})
    if wide:
        arenas += [
            {"model": name, **_arenas(model, test)} for name, model in untrained(texts, seed, WIDE)
        ]
    versions = {name: version(name) for name in ("larq-compute-engine", "tflite-micro")}
    if as_json:
        result = {"task": task, "sentences": len(test), "seed": seed, **versions}
        click.echo(json.dumps({**result, "agreement": compared, "arena": arenas}))
    else:
        named = ", ".join(f"{name} {number}" for name, number in versions.items())
        if compared:
            tables.show(compared, f"{task}, {len(test):,} sentences, seed {seed}, {named}")
        tables.show(arenas, "Bytes of the arena, all blocks")


def _compare(classifier: "BEExformerClassifier", test: Any, validation: Any) -> dict[str, Any]:
    """How many exits or labels differ between the interpreters, by policy."""
    import numpy as np

    from beex_keras import calibrate, exits
    from beex_keras.export import convert
    from beex_keras.runtime import KerasRunner, LCERunner

    keras = KerasRunner(classifier)
    ids = keras.encode(test.texts, test.pairs)
    if validation is None:
        reference = keras.exit_logits(ids)
    else:
        known = keras.exit_logits(keras.encode(validation.texts, validation.pairs))
    row: dict[str, Any] = {}
    largest = 0.0
    for kind in exits.POLICIES.values():
        classifier.policy = (
            dividing(kind(), reference)
            if validation is None
            else calibrate(kind(), known, validation.labels, tolerance=0.005).policy
        )
        data = convert(classifier, plan_memory=True)
        expected = LCERunner(data).decide(ids)
        micro = tflm_host.Micro(data)
        found = [micro.run(text[np.newaxis], outputs=2) for text in ids]
        logits = np.concatenate([logits for logits, _ in found])
        differs = np.concatenate([exit for _, exit in found]) != expected.exits
        largest = max(largest, float(np.abs(logits - expected.logits)[~differs].max(initial=0.0)))
        differs |= logits.argmax(axis=1) != expected.logits.argmax(axis=1)
        row[f"{kind.__name__}: differ"] = int(differs.sum())
    return {**row, "largest difference of a logit": largest}


def _arenas(classifier: "BEExformerClassifier", test: Any) -> dict[str, int]:
    """The arena by whether weights are unpacked in it and whether the file has a plan of it."""
    import numpy as np

    from beex_keras import exits
    from beex_keras.export import convert
    from beex_keras.runtime import KerasRunner

    ids = KerasRunner(classifier).encode(
        test.texts[:1], None if test.pairs is None else test.pairs[:1]
    )
    classifier.policy = exits.Entropy(0.0)  # asks for every block
    row: dict[str, int] = {}
    for planned in (False, True):
        data = convert(classifier, plan_memory=planned)
        for ops in (tflm_host.UNPACKED, tflm_host.PACKED):
            micro = tflm_host.Micro(data, ops=ops)
            micro.run(np.asarray(ids), outputs=2)
            arena = micro.arena()
            name = "packed" if ops == tflm_host.PACKED else "unpacked"
            row[f"{name}{', planned' if planned else ''}"] = arena["total"]
    return {**row, "of it activations": arena["head"], "of it kept": arena["tail"]}


if __name__ == "__main__":
    main()
