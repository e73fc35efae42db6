"""Speed of the C engine, beside Larq Compute Engine and TensorFlow Lite; one thread, in turns.

    python benchmarks/engine.py layers
    python benchmarks/engine.py texts --preset small --data-dir GLUE

Figures are medians over rounds in each of which everything is measured once, so that whatever else the
machine does meets all alike. Compare them within a run only. The models of `texts` have random
weights, on which speed does not depend, but for --run: a trained model, whose exits are real.
"""

import ctypes
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.progress import track

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)

Work = Callable[[], Any]

json_option = click.option("--json", "as_json", is_flag=True)
rounds_option = click.option("--rounds", default=15, show_default=True)


@click.group()
def main() -> None:
    """Speed of the C engine beside others."""


def medians(works: dict[str, Work], rounds: int, quiet: bool) -> dict[str, float]:
    """Seconds of a call of each, in turns. A call is repeated until it takes 5 ms at least."""
    repeats = {}
    for name, work in works.items():
        work()
        start = time.perf_counter()
        work()
        repeats[name] = 1 + int(0.005 / (time.perf_counter() - start))
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds) if quiet else track(range(rounds), "Rounds"):
        for name, work in works.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                work()
            seconds[name].append((time.perf_counter() - start) / repeats[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(rows: Sequence[dict[str, Any]], title: str, as_json: bool) -> None:
    from beex_keras.evaluation import tables

    machine = f"{title}; {platform.machine()}, {os.cpu_count()} cores"
    if as_json:
        click.echo(json.dumps({"setting": machine, "rows": rows}))
    else:
        tables.show(rows, machine)


# === Layers ===


@main.command()
@click.option("--tokens", default=128, show_default=True)
@rounds_option
@json_option
def layers(tokens: int, rounds: int, as_json: bool) -> None:
    """Multiply-accumulates a second of single linear layers, in thousand millions."""
    rows = []
    for inputs, outputs in ((256, 256), (256, 512), (768, 768), (768, 3072)):
        works = {
            **our_layers(tokens, inputs, outputs),
            "LCE": lce_layer(tokens, inputs, outputs, indirect=False),
            "LCE indirect": lce_layer(tokens, inputs, outputs, indirect=True),
            "TFLite float32": tflite_layer(tokens, inputs, outputs, quantize=False),
            "TFLite int8": tflite_layer(tokens, inputs, outputs, quantize=True),
        }
        found = medians(works, rounds, as_json)
        for name, seconds in found.items():
            rows.append({
                "layer": f"{inputs} → {outputs}",
                "kernel": name,
                "GMAC/s": 1e-9 * tokens * inputs * outputs / seconds,
                "of TFLite int8": found["TFLite int8"] / seconds,
                "of LCE": found["LCE"] / seconds,
            })  # fmt: skip
    show(rows, f"{tokens} tokens", as_json)


class Kernels(ctypes.Structure):
    """The table of tflite/kernels/kernels.h, as far as it is called here."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        *((name, ctypes.c_void_p) for name in ("pack_signs", "quantize", "binary_linear",
                                               "binary_signs", "real_linear", "int8_linear")),
    ]  # fmt: skip


def our_layers(tokens: int, inputs: int, outputs: int) -> dict[str, Work]:
    """Each way to multiply by binary weights, of each implementation that runs here."""
    import numpy as np

    from beex_keras.runtime import library

    available = library.load().beex_available_kernels
    available.restype = ctypes.POINTER(ctypes.POINTER(Kernels))
    generator = np.random.default_rng(0)
    words = np.iinfo(np.uint64).max
    bits = generator.integers(0, words, tokens * (inputs // 64 + 1), np.uint64)
    # More than enough for either packing.
    weights = generator.integers(0, words, (outputs + 16) * (inputs // 32 + 1), np.uint64)
    x = generator.standard_normal((tokens, inputs)).astype(np.float32)
    q = np.zeros((tokens, inputs + 4), np.int8)
    quantized_rows = np.zeros((tokens, 2), np.float32)
    scale, bias = np.ones(outputs + 16, np.float32), np.zeros(outputs + 16, np.float32)
    y = np.zeros((tokens, outputs), np.float32)
    works: dict[str, Work] = {}
    index = 0
    while table := available()[index]:
        kernels, index = table.contents, index + 1
        for kind, start in (("binary_linear", [bits]), ("real_linear", [x]),
                            ("int8_linear", [q, quantized_rows])):  # fmt: skip
            arrays = [*start, weights, scale, bias, y]
            types = [ctypes.c_size_t] * 3 + [ctypes.c_void_p] * len(arrays)
            function = ctypes.CFUNCTYPE(None, *types)(getattr(kernels, kind))
            arguments = [tokens, inputs, outputs, *(array.ctypes.data for array in arrays)]

            def call(
                function: Any = function, arguments: Any = arguments, keep: Any = arrays
            ) -> None:
                function(*arguments)

            works[f"{kernels.name.decode()} {kind.removesuffix('_linear')}"] = call
    return works


def lce_layer(tokens: int, inputs: int, outputs: int, indirect: bool) -> Work:
    """A binary layer in Larq Compute Engine: its signs and its product."""
    import larq as lq
    import larq_compute_engine as lce
    import numpy as np
    import tensorflow as tf
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    model = tf.keras.Sequential([
        lq.layers.QuantConv2D(outputs, 1, input_quantizer="ste_sign", kernel_quantizer="ste_sign",
                              use_bias=False, input_shape=(1, tokens, inputs)),
    ])  # fmt: skip
    interpreter = Interpreter(
        lce.convert_keras_model(model), num_threads=1, use_indirect_bgemm=indirect
    )
    x = np.random.default_rng(0).standard_normal((1, 1, tokens, inputs)).astype(np.float32)
    return lambda: interpreter.predict(x)


def tflite_layer(tokens: int, inputs: int, outputs: int, quantize: bool) -> Work:
    """A dense layer in TensorFlow Lite with XNNPACK, which int8 reads and writes int8."""
    import numpy as np
    import tensorflow as tf

    model = tf.keras.Sequential(
        [tf.keras.layers.Dense(outputs, use_bias=False, input_shape=(inputs,))]
    )
    x = np.random.default_rng(0).standard_normal((tokens, inputs)).astype(np.float32)
    function = tf.function(model).get_concrete_function(tf.TensorSpec((tokens, inputs)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: [[x]]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = tf.lite.Interpreter(model_content=converter.convert(), num_threads=1)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    interpreter.set_tensor(entry["index"], (10 * x).astype(entry["dtype"]))
    return interpreter.invoke


# === Texts ===


@main.command()
@click.option("--preset", default="small", show_default=True)
@click.option(
    "--run", type=click.Path(exists=True), help="A trained run folder to add, with its exit."
)
@click.option("--task", default="glue/sst2", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--sentences", default=32, show_default=True)
@rounds_option
@json_option
def texts(preset: str, run: str | None, task: str, data_dir: str | None, sentences: int,
          rounds: int, as_json: bool) -> None:  # fmt: skip
    """Texts a second, of token ids, one by one, at full depth unless it says otherwise."""
    import numpy as np

    from beex_keras import load_task
    from beex_keras.models import BEExformerClassifier, BEExformerConfig
    from beex_keras.runtime import load_classifier
    from beex_keras.text import TextPreprocessor, learn_vocabulary

    loaded = load_task(task, data_dir=data_dir)
    chosen = np.random.default_rng(0).permutation(len(loaded.test))[:sentences]
    if run is not None:
        trained = load_classifier(run)
        config, preprocessor = trained.config, trained.preprocessor
        config = config.replace(weight_bits=1, activation_bits=32, embedding_bits=1)
    else:
        config = BEExformerConfig.preset(preset)
        vocabulary = learn_vocabulary(loaded.train.texts[:20000], config.vocabulary_size)
        config = config.replace(vocabulary_size=len(vocabulary))
        preprocessor = TextPreprocessor(vocabulary, config.max_length)
    ids = preprocessor.encode(loaded.test.rows(chosen).texts)
    twin = BEExformerClassifier(config.twin())
    works: dict[str, Work] = {
        "float32, TFLite": tflite_texts(twin, ids),
        "int8, TFLite": tflite_texts(twin, ids, "int8"),
        "int8 dynamic, TFLite": tflite_texts(twin, ids, "dynamic"),
        "float32, engine": engine_texts(twin, ids),
    }
    for name, bits in (("weights-only", 32), ("fully binary", 1)):
        model = BEExformerClassifier(config.replace(activation_bits=bits))
        works[f"{name}, LCE"] = lce_texts(model, ids)
        works[f"{name}, engine"] = engine_texts(model, ids)
        if bits == 32:
            works[f"{name}, engine, int8"] = engine_texts(model, ids, int8_activations=True)
        works[f"{name}, engine, 32 at once, 2 threads"] = engine_texts(
            model, ids, 32, num_threads=2
        )
    if run is not None:
        works["trained, engine"] = engine_texts(trained, ids)
        works["trained, engine, own exit"] = engine_texts(trained, ids, policy=trained.policy)
    try:
        works["int8, TFLite"]()
    except RuntimeError as error:  # of random weights, some divide by what int8 rounds to zero
        click.echo(f"int8, TFLite, is left out, as it fails: {error}", err=True)
        del works["int8, TFLite"]
    found = medians(works, rounds, as_json)
    int8 = min(seconds for name, seconds in found.items() if name.startswith("int8"))
    rows = [
        {
            "model and engine": name,
            "texts/s": len(ids) / seconds,
            "of float32": found["float32, TFLite"] / seconds,
            "of int8": int8 / seconds,
        }
        for name, seconds in found.items()
    ]
    real = (ids != 0).sum(axis=1)
    title = f"{run or preset}, {task}, {len(ids)} texts of {real.mean():.1f} tokens, length {ids.shape[1]}"
    show(rows, title, as_json)


def engine_texts(model: Any, ids: Any, batch: int = 1, policy: Any = None, **options: Any) -> Work:
    from beex_keras.export import beex_format
    from beex_keras.runtime import CRunner

    runner = CRunner(beex_format.convert(model), **options)

    def call() -> None:
        for start in range(0, len(ids), batch):
            rows = ids[start : start + batch]
            if policy is None:
                runner.exit_logits(rows)
            else:
                runner.decide(rows, policy)

    return call


def lce_texts(model: Any, ids: Any) -> Work:
    from beex_keras import convert
    from beex_keras.runtime import LCERunner

    runner = LCERunner(convert(model, exit="all-outputs"))

    def call() -> None:
        for row in ids:
            runner.exit_logits(row[None])

    return call


def tflite_texts(model: Any, ids: Any, quantize: str = "") -> Work:
    """The Keras model by TensorFlow's own converter.

    With "int8" weights and activations are 8 bits wherever it can; with "dynamic" the weights, and
    activations where they meet them.
    """
    import tensorflow as tf

    function = tf.function(lambda token_ids: model(token_ids, training=False))
    signature = tf.TensorSpec((1, ids.shape[1]), tf.int32)
    with tempfile.TemporaryDirectory() as directory:
        module = tf.Module()
        module.model = model
        module.serve = function
        tf.saved_model.save(module, directory, function.get_concrete_function(signature))
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "int8":
            converter.representative_dataset = lambda: [[row[None]] for row in ids[:32]]
        data = converter.convert()
    interpreter = tf.lite.Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()

    def call() -> None:
        for row in ids:
            interpreter.set_tensor(entry["index"], row[None])
            interpreter.invoke()

    return call


if __name__ == "__main__":
    main()
