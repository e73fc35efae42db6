"""Keras against every form of the converted file on real sentences: logits, label and exit.

    python benchmarks/agreement.py runs/reviews --sentences 1000
    python benchmarks/agreement.py --untrained --sentences 1000
    python benchmarks/agreement.py --untrained --sentences 1000 --form engine

Sentences are drawn from the test split of the task (shuffled, since splits may be sorted). Each
policy is calibrated on the validation split first, so that its threshold lies where exits change.
With --untrained, models of random weights of every kind, with 2 to 12 blocks and 2 to 77 classes or one
number, are compared beside the runs; their thresholds divide the sentences in two.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.progress import track

from measure import data_option, json_option, show, task_option

if TYPE_CHECKING:
    from beex_keras import BEExformerClassifier, ExitPolicy
    from beex_keras.data import Split

KINDS = {"float": (32, 32), "weights-only": (1, 32), "W1A8": (1, 8), "fully binary": (1, 1)}
UNTRAINED = [
    {
        "num_blocks": blocks,
        "num_classes": classes,
        "network": network,
        "weight_bits": weights,
        "activation_bits": activations,
        "embedding_bits": weights,
    }
    for weights, activations in KINDS.values()
    for blocks, classes, network in (
        (2, 2, "slfn"),
        (4, 77, "slfn"),
        (12, 6, "slfn"),
        (4, 6, "ffn"),
        (4, 1, "slfn"),  # a regression
    )
]
FORMS = ("exiting", "all exits", "engine")


def model_options(command: Any) -> Any:
    """Which models are compared, on which sentences."""
    for option in (
        click.argument("runs", nargs=-1, type=click.Path(exists=True)),
        click.option("--untrained", is_flag=True, help="Compare models of random weights too."),
        task_option,
        data_option,
        click.option("--sentences", default=1000, show_default=True),
        click.option("--seed", default=0, show_default=True),
    ):
        command = option(command)
    return command


def chosen_models(
    sizes: Sequence[Mapping[str, Any]],
    runs: tuple[str, ...],
    untrained: bool,
    task: str,
    data_dir: str | None,
    sentences: int,
    seed: int,
) -> tuple[list[tuple[str, Any, Any]], "Split", list[str]]:
    """What `model_options` name, with models of random weights of `sizes`.

    Returns:
        Name, classifier and, of a trained one, validation data; the sentences; the training texts.
    """
    import corpora
    from beex_keras.runtime.keras_runner import load_classifier

    loaded = corpora.load(task, data_dir)
    chosen = np.random.default_rng(seed).permutation(len(loaded.test))[:sentences]
    models = [(Path(run).name, load_classifier(run), loaded.validation) for run in runs]
    texts = list(loaded.train.texts)
    if untrained:
        segments = {"num_segments": 2} if loaded.is_pair else {}
        sizes = [{**size, **segments} for size in sizes]
        models += [(name, model, None) for name, model in random_models(texts, seed, sizes)]
    return models, loaded.test.rows(chosen), texts


@click.command()
@model_options
@click.option(
    "--form",
    "forms",
    multiple=True,
    type=click.Choice(FORMS),
    help="Forms to compare, all by default: .tflite files, or the C engine's.",
)
@json_option
def main(forms: tuple[str, ...], as_json: bool, **options: Any) -> None:
    if not options["runs"] and not options["untrained"]:
        raise click.UsageError("Give run folders, or --untrained.")
    models, test, _ = chosen_models(UNTRAINED, **options)
    rows = [
        {"model": name, **_compare(model, test, known, forms or FORMS)}
        for name, model, known in (models if as_json else track(models, "Models"))
    ]
    show(rows, f"{options['task']}, {len(test):,} sentences", as_json, seed=options["seed"])


def random_models(
    texts: list[str], seed: int, sizes: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, "BEExformerClassifier"]]:
    """Models of random weights, each with a name that tells its size."""
    from beex_keras import BEExformerClassifier, BEExformerConfig, TextPreprocessor
    from beex_keras.text import learn_vocabulary

    vocabulary = learn_vocabulary(texts, 2000)
    for changes in sizes:
        values = {"vocabulary_size": len(vocabulary), "max_length": 48, **changes}
        config = BEExformerConfig.preset("micro", **values)
        labels = tuple(f"class {number}" for number in range(config.num_classes))
        if config.problem_type == "regression":
            labels = ("value",)
        preprocessor = TextPreprocessor(vocabulary, config.max_length)
        model = shaken(BEExformerClassifier(config, preprocessor, labels), seed)
        bits = (config.weight_bits, config.activation_bits)
        kind = next(name for name, known in KINDS.items() if known == bits)
        network = ", ffn" if config.network == "ffn" else ""
        width = f", width {config.width}" if "width" in changes else ""
        sizes_named = f"{config.num_blocks} blocks, {config.num_classes} classes{width}"
        yield f"{kind}{network}, {sizes_named}", model


def shaken(model: "BEExformerClassifier", seed: int) -> "BEExformerClassifier":
    """The model with weights as after training: no bias zero, no scale one."""
    generator = np.random.default_rng(seed)
    weights = model.get_weights()
    model.set_weights([w + generator.normal(0, 0.1, w.shape).astype(w.dtype) for w in weights])
    return model


def policies(
    keras: Any, test: "Split", validation: "Split | None"
) -> Iterator[tuple[str, "ExitPolicy"]]:
    """Each kind of policy by its name, with a threshold where exits change.

    It is calibrated by what the runner `keras` says, or divides the test data where there are no others.
    """
    from beex_keras import calibrate, exits

    split = validation or test
    known = keras.exit_logits(keras.encode(split.inputs()))
    problem_type = keras.config.problem_type
    of_task: dict[str, Any] = {"tolerance": 0.005, "value_scale": keras.task.scaler}
    if problem_type == "regression":
        of_task["metric"] = "pearson"
    for kind in exits.POLICIES.values():
        if problem_type not in kind.problem_types:
            continue
        if validation is None:
            yield kind.__name__, dividing(kind(), known)
        else:
            yield kind.__name__, calibrate(kind(), known, validation.labels, **of_task).policy


def _compare(
    classifier: "BEExformerClassifier", test: Any, validation: Any, forms: Sequence[str]
) -> dict[str, Any]:
    """How many labels or exits differ from Keras', by policy, in any of the forms."""
    from beex_keras.export import beex as beex_format
    from beex_keras.export import to_tflite
    from beex_keras.runtime import CRunner, KerasRunner, LCERunner

    keras = KerasRunner(classifier)
    ids = keras.encode(test.inputs())
    reference = keras.exit_logits(ids)
    runners: list[Any] = []
    found = [reference]
    if "all exits" in forms:
        runners.append(LCERunner(to_tflite(classifier, exit="all-outputs")))
        found += [runners[-1].exit_logits(ids)]
    if "engine" in forms:
        runners.append(CRunner(beex_format.convert(classifier)))
        found += [runners[-1].exit_logits(ids)]
    largest = max(np.abs(logits - reference).max() for logits in found)
    row: dict[str, Any] = {}
    for name, policy in policies(keras, test, validation):
        exits = np.asarray(policy.choose(reference))
        logits = reference[np.arange(len(ids)), exits]
        classifier.policy = policy
        differing = np.zeros(len(ids), bool)
        exiting = [LCERunner(to_tflite(classifier))] if "exiting" in forms else []
        for runner in (*exiting, *runners):
            decided = runner.decide(ids, policy)
            same = decided.exits == exits
            differing |= ~same | (decided.logits.argmax(axis=1) != logits.argmax(axis=1))
            largest = max(largest, np.abs(decided.logits - logits)[same].max(initial=0.0))
        row[f"{name}: differ"] = int(differing.sum())
    row["largest difference of a logit"] = float(largest)
    return row


def dividing(policy: "ExitPolicy", exit_logits: np.ndarray) -> "ExitPolicy":
    """The policy with a threshold in the middle of the scores that occur."""
    if policy.integer_threshold or exit_logits.shape[1] == 1:
        return policy
    scores = np.unique(np.asarray(policy.scores(exit_logits))[:, :-1])
    middle = len(scores) // 2
    return policy.with_threshold(float((scores[middle - 1] + scores[middle]) / 2))


if __name__ == "__main__":
    main()
