"""Single linear layers, of every kernel and of the other engines."""

import ctypes
import functools
import itertools
from typing import Any

import click
import numpy as np
from bounds import compute_bound, memory_bound

from measure import SEED, Work, json_option, medians, rounds_option, show

_SHAPES = ((256, 256), (256, 512), (512, 256), (768, 768), (768, 3072))
_BITS = {"binary": 1, "real": 32, "int8": 8}
"""Of an input, by kind of layer."""


@click.command()
@click.option(
    "--tokens", default=(20, 128), multiple=True, help="Rows of the input; may be repeated."
)
@rounds_option
@json_option
def layers(tokens: tuple[int, ...], rounds: int, as_json: bool) -> None:
    """Multiply-accumulates a second of single linear layers, in thousand millions; one thread.

    A layer's compute bound is the speed of the instructions that its products need, alone and with
    operands in registers. Its memory bound is the speed at which as many bytes as its weights, inputs and
    outputs have can be loaded, again and again, so from the cache where they fit one. Both are measured in
    the same rounds. Layers of the engines beside read and write what their models have there: LCE's takes
    the signs of floats, int8 is int8 on both sides.
    """
    rows = []
    for count in tokens:
        for inputs, outputs in _SHAPES:
            shape = (count, inputs, outputs)
            works = {
                **_our_layers(*shape),
                "LCE": _lce_layer(*shape, indirect=False),
                "LCE indirect": _lce_layer(*shape, indirect=True),
                "TFLite float32": _tflite_layer(*shape, quantize=False),
                "TFLite int8": _tflite_layer(*shape, quantize=True),
            }
            rows += _rows(works, shape, rounds, as_json)
    show(rows, "Linear layers, one thread", as_json, rounds=rounds)


def _rows(
    works: dict[str, Work], shape: tuple[int, int, int], rounds: int, quiet: bool
) -> list[dict[str, Any]]:
    tokens, inputs, outputs = shape
    products = tokens * inputs * outputs
    sizes, bounds = {}, {}
    for name in works:
        bits = next((bits for kind, bits in _BITS.items() if name.endswith(f" {kind}")), None)
        if bits and (compute := compute_bound(name)):
            sizes[name] = inputs * (outputs + tokens * bits) // 8 + 4 * outputs * (tokens + 2)
            bounds[f"{name}, compute"] = compute
            bounds[f"{name}, memory"] = memory_bound(sizes[name])
    found = medians(works | {name: bound[0] for name, bound in bounds.items()}, rounds, quiet)
    rates = {name: amount / found[name] for name, (_, amount) in bounds.items()}
    rows = []
    for name in works:
        seconds = found[name]
        row = {
            "tokens": tokens,
            "layer": f"{inputs} → {outputs}",
            "kernel": name,
            "GMAC/s": 1e-9 * products / seconds,
            "of TFLite int8": found["TFLite int8"] / seconds,
            "of LCE": found["LCE"] / seconds,
        }
        if name in sizes:
            row["of compute bound"] = products / rates[f"{name}, compute"] / seconds
            row["of memory bound"] = sizes[name] / rates[f"{name}, memory"] / seconds
        rows.append(row)
    return rows


class _Kernels(ctypes.Structure):
    """The table of tflite/kernels/kernels.h, as far as it is called here."""

    _fields_ = [
        *(("name", ctypes.c_char_p), ("pack_signs", ctypes.c_void_p)),
        *(("quantize", ctypes.c_void_p), ("binary_linear", ctypes.c_void_p)),
        *(("binary_signs", ctypes.c_void_p), ("real_linear", ctypes.c_void_p)),
        ("int8_linear", ctypes.c_void_p),
    ]


def _our_layers(tokens: int, inputs: int, outputs: int) -> dict[str, Work]:
    """Each way to multiply by binary weights, of each implementation that runs here."""
    from beex_keras.runtime import library

    available = library.load().beex_available_kernels()
    generator = np.random.default_rng(SEED)
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
    for table in itertools.takewhile(bool, available):  # up to a null pointer
        kernels = _Kernels.from_address(table)
        for kind, start in {"binary": [bits], "real": [x], "int8": [q, quantized_rows]}.items():
            arrays = [*start, weights, scale, bias, y]
            types = [ctypes.c_size_t] * 3 + [ctypes.c_void_p] * len(arrays)
            function = ctypes.CFUNCTYPE(None, *types)(getattr(kernels, f"{kind}_linear"))
            pointers = [
                array.ctypes.data_as(ctypes.c_void_p) for array in arrays
            ]  # keep the arrays
            call = functools.partial(function, tokens, inputs, outputs, *pointers)
            works[f"{kernels.name.decode()} {kind}"] = call
    return works


def _lce_layer(tokens: int, inputs: int, outputs: int, indirect: bool) -> Work:
    """A binary layer in Larq Compute Engine: its signs and its product."""
    import larq as lq
    import larq_compute_engine as lce
    import tensorflow as tf
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    layer = lq.layers.QuantConv2D(outputs, 1, **signs, input_shape=(1, tokens, inputs))
    file = lce.convert_keras_model(tf.keras.Sequential([layer]))
    interpreter = Interpreter(file, num_threads=1, use_indirect_bgemm=indirect)
    x = np.random.default_rng(SEED).standard_normal((1, 1, tokens, inputs)).astype(np.float32)
    return lambda: interpreter.predict(x)


def _tflite_layer(tokens: int, inputs: int, outputs: int, quantize: bool) -> Work:
    """A dense layer in TensorFlow Lite with XNNPACK, which int8 reads and writes int8."""
    import tensorflow as tf

    layer = tf.keras.layers.Dense(outputs, use_bias=False, input_shape=(inputs,))
    model = tf.keras.Sequential([layer])
    x = np.random.default_rng(SEED).standard_normal((tokens, inputs)).astype(np.float32)
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
