"""Whole models on the sentences of a task."""

import functools
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import runtimes

from measure import SEED, data_option, json_option, medians, rounds_option, show

_EXIT = ", with exit"
_BY_LENGTH = " by length"
Start = Callable[[int], runtimes.Call]
"""Starts an engine with a number of threads."""


@click.command()
@click.option("--preset", default="small", show_default=True)
@click.option("--run", type=click.Path(exists=True), help="A trained run folder, with its exit.")
@click.option("--task", default="glue/sst2", show_default=True)
@data_option
@click.option("--sentences", default=32, show_default=True)
@click.option("--batch", "batches", default=(1,), multiple=True, help="Texts at once; repeatable.")
@click.option("--threads", default=(1,), multiple=True, help="May be repeated.")
@click.option("--only", default="", help="Only what has this in its name.")
@rounds_option
@json_option
def texts(
    preset: str,
    run: str | None,
    task: str,
    data_dir: str | None,
    sentences: int,
    batches: tuple[int, ...],
    threads: tuple[int, ...],
    only: str,
    rounds: int,
    as_json: bool,
) -> None:
    """Texts a second, from token ids to logits, at full depth unless it says otherwise.

    TensorFlow Lite runs the float32 twin, as it is and in int8. It and Larq Compute Engine compute texts
    at the length that their file was made for, as most users have it. "By length" TensorFlow Lite has a
    file for each length, in steps of 16 tokens, and Larq Compute Engine what this package makes there. The
    C engine computes each text alone, at its own length, and its threads share a batch.
    """
    import corpora
    from beex_keras.models import BEExformerClassifier, BEExformerConfig
    from beex_keras.runtime import CRunner
    from beex_keras.runtime.keras_runner import load_classifier
    from beex_keras.text import TextPreprocessor, learn_vocabulary

    loaded = corpora.load(task, data_dir)
    chosen = np.random.default_rng(SEED).permutation(len(loaded.test))[:sentences]
    if run is not None:
        trained = load_classifier(run)
        config, preprocessor = trained.config, trained.preprocessor
        models = {"fully binary" if config.activation_bits == 1 else "weights-only": trained}
    else:
        config = BEExformerConfig.preset(preset)
        vocabulary = learn_vocabulary(loaded.train.texts[:20000], config.vocabulary_size)
        config = config.replace(vocabulary_size=len(vocabulary))
        preprocessor = TextPreprocessor(vocabulary, config.max_length)
        models = {
            "weights-only": BEExformerClassifier(config),
            "fully binary": BEExformerClassifier(config.replace(activation_bits=1)),
        }
    ids = preprocessor.encode(loaded.test.rows(chosen).texts)
    depth = None
    if run is not None:
        decisions = CRunner(runtimes.engine_file(trained)).decide(ids, trained.policy)
        depth = 1 + float(decisions.exits.mean())
    twin = BEExformerClassifier(config.twin())
    rows = []
    for batch in batches:
        ways = _ways(models, twin, ids, batch, trained=run is not None)
        ways = {name: way for name, way in ways.items() if only in name}
        for count in threads:
            found = _texts_a_second(ways, ids, count, rounds, as_json)
            rows += _rows(found, batch, count, depth)
    real = (ids != 0).sum(axis=1)
    title = f"{run or preset}, {task}, {len(ids)} texts of {real.mean():.1f} tokens, length {ids.shape[1]}"
    show(rows, title, as_json, rounds=rounds)


def _ways(
    models: dict[str, Any], twin: Any, ids: np.ndarray, batch: int, trained: bool
) -> dict[str, Start]:
    """By name, what starts an engine with a number of threads. A file is made once, when it is needed."""

    def add(name: str, make: Any, model: Any, start: Any, **options: Any) -> None:
        file = files.setdefault((make, model), functools.cache(lambda: make(model)))
        ways[name] = lambda threads: start(file(), threads, **options)

    files: dict[Any, Any] = {}
    ways: dict[str, Start] = {}
    start_engine = functools.partial(runtimes.start_engine, batch=batch)
    for name, quantize in (
        ("float32 twin, TFLite", ""),
        ("int8 twin, TFLite", "int8"),
        ("int8 twin, TFLite, dynamic", "dynamic"),
    ):
        make = functools.partial(runtimes.tflite_file, ids=ids, batch=batch, quantize=quantize)
        add(name, make, twin, runtimes.start_tflite)
        if batch == 1:
            make = functools.partial(runtimes.tflite_files, ids=ids, quantize=quantize)
            add(f"{name}{_BY_LENGTH}", make, twin, runtimes.start_tflite_by_length)
    add("float32 twin, engine", runtimes.engine_file, twin, start_engine)
    for mode, model in models.items():
        add(f"{mode}, engine", runtimes.engine_file, model, start_engine)
        if mode == "weights-only":
            w1a8 = model.with_activations(8)
            add("W1A8, engine", runtimes.engine_file, w1a8, start_engine)
        if trained:
            policy = {"policy": model.policy}
            add(f"{mode}, engine{_EXIT}", runtimes.engine_file, model, start_engine, **policy)
    if batch == 1:  # all that the interpreter of Larq Compute Engine takes
        _add_lce(add, models, ids, trained)
    return ways


def _add_lce(
    add: Callable[..., None], models: dict[str, Any], ids: np.ndarray, trained: bool
) -> None:
    by_length = functools.partial(runtimes.lce_files, ids=ids)
    for mode, model in models.items():
        if mode == "weights-only":
            w1a8 = model.with_activations(8)
            add(f"{mode}, LCE", runtimes.lce_file, model, runtimes.start_lce)
            add("W1A8, LCE", runtimes.lce_file, w1a8, runtimes.start_lce)
        else:
            for kernel in ("default", "indirect"):
                indirect = {"indirect": kernel == "indirect"}
                add(
                    f"{mode}, LCE {kernel}",
                    runtimes.lce_file,
                    model,
                    runtimes.start_lce,
                    **indirect,
                )
        add(f"{mode}, LCE{_BY_LENGTH}", by_length, model, runtimes.start_lce_by_length)
        if trained:
            exiting = runtimes.lce_exit_file, model, runtimes.start_lce_exit
            add(f"{mode}, LCE default{_EXIT}", *exiting)


def _texts_a_second(
    ways: dict[str, Start], ids: np.ndarray, threads: int, rounds: int, quiet: bool
) -> dict[str, float]:
    works = {}
    for name, start in ways.items():
        works[name] = functools.partial(start(threads), ids)
        try:
            works[name]()
        except RuntimeError as error:  # of random weights, some divide by what int8 rounds to zero
            click.echo(f"{name} is left out, as it fails: {error}", err=True)
            del works[name]
    return {name: len(ids) / s for name, s in medians(works, rounds, quiet).items()}


def _rows(
    found: dict[str, float], batch: int, threads: int, depth: float | None
) -> list[dict[str, Any]]:
    """Ratios to the float32 twin and to the faster int8 one, padded and by length, and of exits to full
    depth in the same engine."""
    others = {}
    for bits in ("float32", "int8"):
        rates = {
            name: rate for name, rate in found.items() if name.startswith(f"{bits} twin, TFLite")
        }
        for ending in ("", _BY_LENGTH):
            those = (r for name, r in rates.items() if name.endswith(_BY_LENGTH) == bool(ending))
            others[f"of {bits}{ending}"] = max(those, default=None)
    rows = []
    for name, rate in found.items():
        model, engine = name.split(", ", 1)
        full = found.get(name.removesuffix(_EXIT)) if name.endswith(_EXIT) else None
        row = {"batch": batch, "threads": threads, "model": model, "engine": engine}
        row |= {"texts/s": rate}
        row |= {of: rate / other if other else None for of, other in others.items()}
        rows.append(row | ({"of full depth": rate / full, "mean depth": depth} if full else {}))
    return rows
