"""Single ops in TensorFlow Lite Micro beside Larq Compute Engine."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import flexbuffers

from beex_keras.export.tflite import flatbuffer

sys.path.append(str(Path(__file__).parents[1] / "tools"))
import tflm_host

needs_micro = pytest.mark.skipif(tflm_host.why_not() is not None, reason=str(tflm_host.why_not()))

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)

DTYPES = {"float32": np.float32, "int8": np.int8, "signs": np.int32}


def file_of(
    name: str,
    x: np.ndarray,
    constants: list[np.ndarray | None],
    shape: list[int],
    dtype: Any,
    options: bytes = b"",
    scales: tuple[float | None, float | None] = (None, None),
) -> bytes:
    """A file with one custom op that reads `x` and constants.

    Args:
        name: the op's.
        x: an example of the first input.
        constants: its other inputs; None where one is left out.
        shape: the output's.
        dtype: the output's.
        options: the op's attributes.
        scales: of an int8 input and output; the zero points are -3 and 5.
    """
    classes = flatbuffer.schema()
    model, graph = classes.ModelT(), classes.SubGraphT()
    model.version, model.operatorCodes, model.metadata = 3, [], []
    model.buffers, model.subgraphs = [classes.BufferT()], [graph]
    graph.tensors, graph.name = [], "main"
    places = [flatbuffer.add_tensor(graph, "x", x.shape, x.dtype.type)]
    for value in constants:
        place = -1
        if value is not None:
            place = flatbuffer.add_constant(model, graph, "constant", value)
        places.append(place)
    output = flatbuffer.add_tensor(graph, "y", shape, dtype)
    for place, scale, zero in ((0, scales[0], -3), (output, scales[1], 5)):
        if scale is not None:
            quantization = classes.QuantizationParametersT()
            quantization.scale, quantization.zeroPoint = [scale], [zero]
            graph.tensors[place].quantization = quantization
    operator = flatbuffer.new_operator(model, name, places, [output])
    operator.customOptions = np.frombuffer(options, np.uint8)
    graph.operators = [operator]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([output], np.int32)
    return flatbuffer.pack(model)


def both(data: bytes, x: np.ndarray, **options: bool) -> tuple[np.ndarray, np.ndarray]:
    """The output of Larq Compute Engine and of TensorFlow Lite Micro."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    (expected,) = Interpreter(data, **options).interpreter.predict([x])
    (found,) = tflm_host.Micro(data, arena_size=1 << 20).run(x)
    assert found.dtype == expected.dtype
    return expected, found


def attributes(**changes: int) -> dict[str, int]:
    values = {
        "channels_in": 32,
        "stride_height": 1,
        "stride_width": 1,
        "dilation_height_factor": 1,
        "dilation_width_factor": 1,
        "padding": VALID,
        "pad_values": 0,
        "fused_activation_function": NONE,
    }
    return {**values, **changes}


def random_signs(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Packed along the last axis."""
    return flatbuffer.pack_bits(generator.choice([-1.0, 1.0], shape))


def output_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == SAME else (size - reach) // stride + 1


@needs_micro
@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("seed", range(12))
def test_convolution(seed, kind):
    """Random shapes, in all of the paddings, activations, strides and dilations."""
    generator = np.random.default_rng(seed)
    kernel = (1, 1) if seed % 3 == 0 else tuple(generator.integers(1, 4, 2))
    padding, pad_value = [(VALID, 0), (SAME, 0), (SAME, 1)][seed % 3 if seed else 1]
    groups = 2 if seed in (5, 7) else 1
    channels = 64 * groups if groups > 1 else int(generator.integers(1, 36)) * 2
    outputs = groups * int(generator.integers(1, 40))
    batch, height, width = generator.integers(1, 3), *generator.integers(6, 9, 2)
    strides, dilations = generator.integers(1, 3, 2), generator.integers(1, 3, 2)
    to_signs = kind == "signs"
    options = attributes(
        channels_in=channels,
        stride_height=int(strides[0]),
        stride_width=int(strides[1]),
        dilation_height_factor=int(dilations[0]),
        dilation_width_factor=int(dilations[1]),
        padding=padding,
        pad_values=pad_value,
        fused_activation_function=NONE if to_signs else seed % 4,
    )
    x = random_signs(generator, batch, height, width, channels)
    filters = random_signs(generator, outputs, *kernel, channels // groups)
    depth = kernel[0] * kernel[1] * channels // groups
    # Sixteenths: with them no result is rounded, so that the order of operations does not matter.
    multiplier, bias = (generator.integers(-40, 41, (2, outputs)) / 16).astype(np.float32)
    constants = [multiplier, bias, None]
    if to_signs:  # padding by zeros reads the multiplier even there
        thresholds = (depth // 2 + generator.integers(-5, 6, outputs)).astype(np.int32)
        with_zeros = padding == SAME and pad_value == 0
        constants = [multiplier if with_zeros else None, None, thresholds]
    shape = [int(batch)]
    for size, length, stride, dilation in zip(
        (height, width), kernel, strides, dilations, strict=True
    ):
        shape.append(output_size(int(size), int(length), int(stride), int(dilation), padding))
    shape.append(-(-outputs // 32) if to_signs else outputs)
    data = file_of(
        "LceBconv2d",
        x,
        [filters, *constants],
        shape,
        DTYPES[kind],
        flexbuffers.Dumps(options),
        (None, 0.37 if kind == "int8" else None),
    )
    # Its other kernels have neither groups nor every combination of padding and output.
    expected, found = both(data, x, use_reference_bconv=True)
    assert len(np.unique(expected)) > 1
    if kind != "int8":
        np.testing.assert_array_equal(found, expected)
    else:  # Larq Compute Engine rounds its multiplier for int8, which may move what lies on an edge
        difference = np.abs(found.astype(int) - expected.astype(int))
        assert difference.max() <= 1
        assert difference.mean() < 0.01


@needs_micro
def test_odd_channels_padded_by_zeros():
    generator = np.random.default_rng(0)
    x, filters = random_signs(generator, 1, 5, 5, 37), random_signs(generator, 3, 3, 3, 37)
    multiplier, bias = np.ones(3, np.float32), np.zeros(3, np.float32)
    options = flexbuffers.Dumps(attributes(channels_in=37, padding=SAME))
    data = file_of(
        "LceBconv2d", x, [filters, multiplier, bias, None], [1, 5, 5, 3], np.float32, options
    )
    expected, found = both(data, x)
    np.testing.assert_array_equal(found, expected)
    signs = (flatbuffer.unpack_bits(words, 37) for words in (x, filters))
    image, kernel = (tf.constant(array) for array in signs)
    reference = tf.nn.conv2d(image, tf.transpose(kernel, [1, 2, 3, 0]), 1, "SAME")
    np.testing.assert_array_equal(found, reference)


@needs_micro
@pytest.mark.parametrize("channels", [1, 31, 32, 33, 70])
def test_quantize_and_dequantize(channels):
    generator = np.random.default_rng(channels)
    words = -(-channels // 32)
    real = generator.normal(size=(2, 3, channels)).astype(np.float32)
    real[0, 0, 0], real[0, 1, 0] = 0.0, -0.0
    numbers = generator.integers(-8, 8, real.shape).astype(np.int8)
    for x, scale in ((real, None), (numbers, 0.5)):
        data = file_of("LceQuantize", x, [], [2, 3, words], np.int32, scales=(scale, None))
        expected, found = both(data, x)
        np.testing.assert_array_equal(found, expected)
    packed = flatbuffer.pack_bits(real)
    for dtype, scale in ((np.float32, None), (np.int8, 0.3), (np.int8, 0.001)):
        data = file_of("LceDequantize", packed, [], list(real.shape), dtype, scales=(None, scale))
        expected, found = both(data, packed)
        np.testing.assert_array_equal(found, expected)


@needs_micro
@pytest.mark.parametrize(
    ("changes", "output"),
    [
        ({"channels_in": 40}, [1, 4, 4, 3]),
        ({"stride_width": 0}, [1, 4, 4, 3]),
        ({"padding": 2}, [1, 4, 4, 3]),
        ({"pad_values": 2}, [1, 4, 4, 3]),
        ({"fused_activation_function": 4}, [1, 4, 4, 3]),
        ({}, [1, 4, 5, 3]),
        ({"dilation_height_factor": 9}, [1, 4, 4, 3]),
    ],
)
def test_what_does_not_fit_is_refused(changes, output):
    x, filters = np.zeros((1, 4, 4, 1), np.int32), np.zeros((3, 2, 1, 1), np.int32)
    ones = np.ones(3, np.float32)
    options = flexbuffers.Dumps(attributes(**changes))
    data = file_of("LceBconv2d", x, [filters, ones, ones, None], output, np.float32, options)
    with pytest.raises(RuntimeError):
        tflm_host.Micro(data, arena_size=1 << 16)


@needs_micro
def test_damaged_attributes_do_no_harm():
    x, filters = np.zeros((1, 4, 4, 1), np.int32), np.zeros((3, 1, 1, 1), np.int32)
    ones = np.ones(3, np.float32)
    options = flexbuffers.Dumps(attributes())
    generator = np.random.default_rng(0)
    damaged = [bytes(options[:size]) for size in range(0, len(options), 5)]
    for place in generator.integers(len(options), size=200):
        array = np.frombuffer(bytes(options), np.uint8).copy()
        array[place] = generator.integers(256)
        damaged.append(array.tobytes())
    refused = 0
    for content in damaged:
        data = file_of(
            "LceBconv2d", x, [filters, ones, ones, None], [1, 4, 4, 3], np.float32, content
        )
        try:
            tflm_host.Micro(data, arena_size=1 << 16).run(x)
        except RuntimeError:
            refused += 1
    assert len(damaged) > refused > len(damaged) / 4
