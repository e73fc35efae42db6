"""The engines: how each makes a file of a model, and runs it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[np.ndarray], Any]
"""Classifies token ids (texts, length)."""


# === Files ===


def tflite_file(model: Any, ids: np.ndarray, batch: int = 1, quantize: str = "") -> bytes:
    """The Keras model by TensorFlow's own converter, for `batch` texts of full length at once.

    With "int8" weights and activations are 8 bits wherever it can; with "dynamic" the weights, and
    activations where they meet them.
    """
    import tensorflow as tf

    function = tf.function(lambda token_ids: model(token_ids, training=False))
    signature = tf.TensorSpec((batch, ids.shape[1]), tf.int32)
    with tempfile.TemporaryDirectory() as directory:
        module = tf.Module()
        module.model = model
        module.serve = function
        tf.saved_model.save(module, directory, function.get_concrete_function(signature))
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "int8":
            samples = [part for part, _ in batches(ids, batch)]
            converter.representative_dataset = lambda: [[part] for part in samples[:32]]
        return converter.convert()


def tflite_files(model: Any, ids: np.ndarray, quantize: str = "") -> dict[int, bytes]:
    """A file for each length that the texts have, rounded up to a multiple of 16, for single texts."""
    lengths = sorted({_rounded(row) for row in ids})
    return {length: tflite_file(model, ids[:, :length], quantize=quantize) for length in lengths}


def _rounded(row: np.ndarray) -> int:
    return min(16 * -(-int((row != 0).sum()) // 16), len(row))


def lce_file(model: Any, length: int | None = None) -> bytes:
    """All exits, without control flow, for one text of `length` tokens."""
    from beex_keras.export import to_tflite

    return to_tflite(model, length=length, exit="all-outputs")


def lce_files(model: Any, ids: np.ndarray) -> dict[int, bytes]:
    """A file for each length that the texts have, as `tflite_files`."""
    return {length: lce_file(model, length) for length in sorted({_rounded(row) for row in ids})}


def lce_exit_file(model: Any) -> bytes:
    """One that exits by itself, by the model's policy."""
    from beex_keras.export import to_tflite

    return to_tflite(model)


def engine_file(model: Any) -> bytes:
    from beex_keras.export import beex as beex_format

    return beex_format.convert(model)


# === Running them ===


def batches(ids: np.ndarray, batch: int) -> list[tuple[np.ndarray, int]]:
    """Parts of `batch` rows, the last filled with padding, and how many of them are real."""
    parts = []
    for start in range(0, len(ids), batch):
        part = ids[start : start + batch]
        filled = np.zeros((batch, ids.shape[1]), np.int32)
        filled[: len(part)] = part
        parts.append((filled, len(part)))
    return parts


def start_tflite(file: bytes | Path, threads: int = 1) -> Call:
    import tensorflow as tf

    source = {"model_path": str(file)} if isinstance(file, Path) else {"model_content": file}
    interpreter = tf.lite.Interpreter(**source, num_threads=threads)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    batch = int(entry["shape"][0])

    def call(ids: np.ndarray) -> None:
        for part, _ in batches(ids, batch):
            interpreter.set_tensor(entry["index"], part)
            interpreter.invoke()

    return call


def start_tflite_by_length(files: dict[int, bytes], threads: int = 1) -> Call:
    """Each text in the file of its length."""
    return _by_length({length: start_tflite(file, threads) for length, file in files.items()})


def _by_length(calls: dict[int, Call]) -> Call:
    def call(ids: np.ndarray) -> None:
        for row in ids:
            length = _rounded(row)
            calls[length](row[np.newaxis, :length])

    return call


def start_lce(data: bytes, threads: int = 1, indirect: bool = True) -> Call:
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    interpreter = Interpreter(data, num_threads=threads, use_indirect_bgemm=indirect).interpreter

    def call(ids: np.ndarray) -> None:
        for row in ids:
            interpreter.predict([row[np.newaxis]])

    return call


def start_lce_by_length(files: dict[int, bytes], threads: int = 1) -> Call:
    """Each text in the file of its length."""
    return _by_length({length: start_lce(file, threads) for length, file in files.items()})


def start_lce_exit(data: bytes, threads: int = 1) -> Call:
    from beex_keras.runtime import LCERunner

    return _in_parts(LCERunner(data, num_threads=threads).decide, 1)


def start_engine(
    data: bytes, threads: int = 1, batch: int = 1, policy: Any = None, **options: Any
) -> Call:
    """The C engine, at full depth unless there is a policy."""
    from beex_keras.runtime import CRunner

    runner = CRunner(data, num_threads=threads, **options)
    if policy is None:
        return _in_parts(runner.exit_logits, batch)
    return _in_parts(lambda rows: runner.decide(rows, policy), batch)


def _in_parts(classify: Call, batch: int) -> Call:
    def call(ids: np.ndarray) -> None:
        for start in range(0, len(ids), batch):
            classify(ids[start : start + batch])

    return call
