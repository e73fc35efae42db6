"""Keras against every form of the converted file on real sentences: logits, label and exit.

    python benchmarks/agreement.py runs/accuracy/rotten_tomatoes/*-0 --sentences 1000
    python benchmarks/agreement.py --untrained --sentences 1000
    python benchmarks/agreement.py --untrained --sentences 1000 --form engine

Sentences are drawn from the test split of the task (shuffled, since splits may be sorted). Each
policy is calibrated on the validation split first, so that its threshold lies where exits change.
With --untrained, models of random weights of every kind, with 2 to 12 blocks and 2 to 77 classes, are
compared beside the runs; their thresholds divide the sentences in two.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import track

if TYPE_CHECKING:
    import numpy as np

    from beex_keras import BEExformerClassifier, ExitPolicy

KINDS = {"float": (32, 32), "weights-only": (1, 32), "fully binary": (1, 1)}
UNTRAINED = [
    {
        "num_blocks": blocks, "num_classes": classes, "network": network,
        "weight_bits": weights, "activation_bits": activations, "embedding_bits": weights,
    }
    for weights, activations in KINDS.values()
    for blocks, classes, network in ((2, 2, "slfn"), (4, 77, "slfn"), (12, 6, "slfn"), (4, 6, "ffn"))
]  # fmt: skip
FORMS = ("exiting", "segments", "all exits", "engine")


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(exists=True))
@click.option(
    "--untrained", "with_untrained", is_flag=True, help="Compare models of random weights too."
)
@click.option("--task", default="rotten_tomatoes", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--sentences", default=1000, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--form", "forms", multiple=True, type=click.Choice(FORMS),
              help="Forms to compare, all by default: .tflite files, or the C engine's.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True)
def main(runs: tuple[str, ...], with_untrained: bool, task: str, data_dir: str | None, sentences: int,
         seed: int, forms: tuple[str, ...], as_json: bool) -> None:  # fmt: skip
    import numpy as np

    from beex_keras import exits, load_task, tables
    from beex_keras.runtime import load_classifier

    if not runs and not with_untrained:
        raise click.UsageError("Give run folders, or --untrained.")
    loaded = load_task(task, data_dir=data_dir)
    chosen = np.random.default_rng(seed).permutation(len(loaded.test))[:sentences]
    test, validation = loaded.test.rows(chosen), loaded.validation
    models: list[tuple[str, Any, Any]] = [
        (Path(run).name, load_classifier(run), validation) for run in runs
    ]
    if with_untrained:
        models += [(name, model, None) for name, model in untrained(list(loaded.train.texts), seed)]
    rows = [
        _compare(name, model, test, known, list(exits.POLICIES.values()), forms or FORMS)
        for name, model, known in (models if as_json else track(models, "Models"))
    ]
    if as_json:
        click.echo(json.dumps({"task": task, "seed": seed, "rows": rows}))
    else:
        versions = ", ".join(
            f"{name} {version(name)}" for name in ("tensorflow", "larq-compute-engine")
        )
        tables.show(rows, f"{task}, {len(test):,} sentences, seed {seed}, {versions}")


def untrained(
    texts: list[str], seed: int, sizes: Sequence[Mapping[str, Any]] = UNTRAINED
) -> Iterator[tuple[str, "BEExformerClassifier"]]:
    """Models of random weights, each with a name that tells its size."""
    import numpy as np

    from beex_keras import BEExformerClassifier, BEExformerConfig, TextPreprocessor
    from beex_keras.text import learn_vocabulary

    vocabulary = learn_vocabulary(texts, 2000)
    for changes in sizes:
        values = {"vocabulary_size": len(vocabulary), "max_length": 48, **changes}
        config = BEExformerConfig.preset("micro", **values)
        labels = tuple(f"class {number}" for number in range(config.num_classes))
        preprocessor = TextPreprocessor(vocabulary, config.max_length)
        model = BEExformerClassifier(config, preprocessor, labels)
        generator = np.random.default_rng(seed)
        model.set_weights(
            [w + generator.normal(0, 0.1, w.shape).astype(w.dtype) for w in model.get_weights()]
        )
        bits = (config.weight_bits, config.activation_bits)
        kind = next(name for name, known in KINDS.items() if known == bits)
        network = ", ffn" if config.network == "ffn" else ""
        width = f", width {config.width}" if "width" in changes else ""
        sizes_named = f"{config.num_blocks} blocks, {config.num_classes} classes{width}"
        yield f"{kind}{network}, {sizes_named}", model


def _compare(
    name: str,
    classifier: "BEExformerClassifier",
    test: Any,
    validation: Any,
    kinds: Any,
    forms: Sequence[str],
) -> dict[str, Any]:
    """How many labels or exits differ from Keras', by policy, in any of the forms."""
    import numpy as np

    from beex_keras import calibrate
    from beex_keras.export import beex as beex_format
    from beex_keras.export import convert, convert_segments
    from beex_keras.runtime import CRunner, KerasRunner, LCERunner, SegmentRunner

    keras = KerasRunner(classifier)
    ids = keras.encode(test.texts, test.pairs)
    reference = keras.exit_logits(ids)
    known = (
        None
        if validation is None
        else keras.exit_logits(keras.encode(validation.texts, validation.pairs))
    )
    runners: list[Any] = []
    found = [reference]
    if "all exits" in forms:
        runners.append(LCERunner(convert(classifier, exit="all-outputs")))
        # One text after the other, as a device runs it, beside batches.
        found += [np.concatenate([runners[-1].exit_logits(row[np.newaxis]) for row in ids])]
        found += [runners[-1].exit_logits(ids)]
    if "segments" in forms:
        runners.append(SegmentRunner(convert_segments(classifier)))
    if "engine" in forms:
        runners.append(CRunner(beex_format.convert(classifier)))
        found += [runners[-1].exit_logits(ids)]
    largest = max(np.abs(logits - reference).max() for logits in found)
    row: dict[str, Any] = {"model": name}
    for kind in kinds:
        policy = (
            dividing(kind(), reference)
            if known is None
            else calibrate(kind(), known, validation.labels, tolerance=0.005).policy
        )
        exits = np.asarray(policy.choose(reference))
        logits = reference[np.arange(len(ids)), exits]
        classifier.policy = policy
        differing = np.zeros(len(ids), bool)
        exiting = [LCERunner(convert(classifier))] if "exiting" in forms else []
        for runner in (*exiting, *runners):
            decided = runner.decide(ids, policy)
            differing |= decided.exits != exits
            differing |= decided.logits.argmax(axis=1) != logits.argmax(axis=1)
            same = decided.exits == exits
            largest = max(largest, np.abs(decided.logits - logits)[same].max(initial=0.0))
        row[f"{kind.__name__}: differ"] = int(differing.sum())
    row["largest difference of a logit"] = float(largest)
    return row


def dividing(policy: "ExitPolicy", exit_logits: "np.ndarray") -> "ExitPolicy":
    """The policy with a threshold in the middle of the scores that occur."""
    import numpy as np

    if policy.parameter in ("k", "n"):
        return policy
    scores = np.unique(np.asarray(policy.scores(exit_logits))[:, :-1])
    middle = len(scores) // 2
    return policy.with_threshold(float((scores[middle - 1] + scores[middle]) / 2))


if __name__ == "__main__":
    main()
