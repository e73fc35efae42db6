"""The same file in Larq Compute Engine and in TensorFlow Lite Micro with our ops.

    python benchmarks/micro.py runs/reviews
    python benchmarks/micro.py --untrained --wide

Files that exit by themselves, under each policy, one sentence at a time: how often exit or label differ,
how far logits differ at most, and the arena that TensorFlow Lite Micro needs for all blocks. Sentences and
thresholds are chosen as in agreement.py. The arena is that of the host, where pointers take 8 bytes; its
"tail" is smaller on a device.
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.progress import track

from agreement import chosen_models, model_options, policies, random_models
from measure import json_option, show

sys.path.append(str(Path(__file__).parents[1] / "tools"))
import tflm_host

if TYPE_CHECKING:
    from beex_keras import BEExformerClassifier

UNTRAINED = [
    {"activation_bits": bits, "num_blocks": blocks, "num_classes": classes}
    for bits in (32, 8, 1)
    for blocks, classes in ((2, 2), (4, 77), (4, 1))
]
_SIZES = {"num_blocks": 4, "num_classes": 2, "width": 256, "num_heads": 4, "hidden_width": 256}
WIDE = [{"activation_bits": bits, **_SIZES, "max_length": 64} for bits in (32, 8, 1)]
"""Models of which the arena alone is measured."""


@click.command()
@model_options
@click.option("--wide", is_flag=True, help="Measure the arena of wide models too.")
@json_option
def main(wide: bool, as_json: bool, **options: Any) -> None:
    if not (options["runs"] or options["untrained"] or wide):
        raise click.UsageError("Give run folders, --untrained or --wide.")
    reason = tflm_host.why_not()
    if reason is not None:
        raise click.UsageError(f"TensorFlow Lite Micro cannot run here: {reason}.")
    models, test, texts = chosen_models(UNTRAINED, **options)
    rows = [
        {"model": name, **_compare(model, test, known), **_arenas(model, test)}
        for name, model, known in (models if as_json else track(models, "Models"))
    ]
    if wide:
        more = random_models(texts, options["seed"], WIDE)
        rows += [{"model": name, **_arenas(model, test)} for name, model in more]
    title = f"{options['task']}, {len(test):,} sentences, tflite-micro {version('tflite-micro')}"
    show(rows, f"{title}; bytes of the arena", as_json, seed=options["seed"])


def _compare(classifier: "BEExformerClassifier", test: Any, validation: Any) -> dict[str, Any]:
    """How many exits or labels differ between the interpreters, by policy."""
    from beex_keras.export import to_tflite
    from beex_keras.runtime import KerasRunner, LCERunner

    keras = KerasRunner(classifier)
    ids = keras.encode(test.inputs())
    row: dict[str, Any] = {}
    largest = 0.0
    for name, policy in policies(keras, test, validation):
        classifier.policy = policy
        data = to_tflite(classifier, plan_memory=True)
        expected = LCERunner(data).decide(ids)
        micro = tflm_host.Micro(data)
        found = [micro.run(text[np.newaxis], outputs=2) for text in ids]
        logits = np.concatenate([logits for logits, _ in found])
        differs = np.concatenate([exit for _, exit in found]) != expected.exits
        largest = max(largest, float(np.abs(logits - expected.logits)[~differs].max(initial=0.0)))
        differs |= logits.argmax(axis=1) != expected.logits.argmax(axis=1)
        row[f"{name}: differ"] = int(differs.sum())
    return {**row, "largest difference of a logit": largest}


def _arenas(classifier: "BEExformerClassifier", test: Any) -> dict[str, int]:
    """The arena by whether weights are unpacked in it and whether the file has a plan of it."""
    from beex_keras import exits
    from beex_keras.export import to_tflite
    from beex_keras.runtime import KerasRunner

    first = test.rows(np.arange(1))
    ids = np.asarray(KerasRunner(classifier).encode(first.inputs()))
    is_regression = classifier.config.problem_type == "regression"
    classifier.policy = exits.Change(0.0) if is_regression else exits.Entropy(0.0)  # of all blocks
    row: dict[str, int] = {}
    for suffix, planned in (("", False), (", planned", True)):
        data = to_tflite(classifier, plan_memory=planned)
        for name, ops in (("unpacked", tflm_host.UNPACKED), ("packed", tflm_host.PACKED)):
            micro = tflm_host.Micro(data, ops=ops)
            micro.run(ids, outputs=2)
            arena = micro.arena()
            row[name + suffix] = arena["total"]
    return {**row, "of it activations": arena["head"], "of it kept": arena["tail"]}


if __name__ == "__main__":
    main()
