"""Flatbuffer passes: the same values from fewer bytes."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, built, converted, frozen, random_ids
from converted_graphs import graph_of, interpret

from beex_keras.export.tflite import flatbuffer, graphs, lce
from beex_keras.export.tflite.passes import fuse, one_bit, tidy

SIZES = [1, 12, 31, 32, 33, 96]
"""Whole words, tails on either side of them, and less than one."""

slow = pytest.mark.slow

ROWS = 5
GENERATOR = np.random.default_rng(0)


def signs(*shape: int) -> np.ndarray:
    return np.where(GENERATOR.random(shape) < 0.5, -1, 1).astype(np.float32)


def real(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


def product(*kernels: np.ndarray) -> Any:
    """The parsed file of a chain of matrix products."""

    def function(x: tf.Tensor) -> tf.Tensor:
        for kernel in kernels:
            x = tf.tanh(x @ kernel)
        return x

    return graph_of(function, 1, len(kernels[0]))


def look_up(table: np.ndarray) -> Any:
    return graph_of(lambda ids: tf.gather(table, ids), 1, ROWS, dtype=tf.int32)


def constants(model: Any) -> list[np.ndarray]:
    values = [flatbuffer.constant(model, t) for t in model.subgraphs[0].tensors]
    return [value for value in values if value is not None]


# === One bit ===


@pytest.mark.parametrize("channels", SIZES)
def test_bits_are_packed_as_they_are_unpacked(channels):
    value = signs(2, 3, channels)
    words = flatbuffer.pack_bits(value)
    assert (words.dtype, words.shape) == (np.int32, (2, 3, -(-channels // 32)))
    np.testing.assert_array_equal(flatbuffer.unpack_bits(words, channels), value)
    np.testing.assert_array_equal(
        flatbuffer.unpack_bits(words, 32 * words.shape[-1])[..., channels:], 1
    )


@pytest.mark.parametrize("inputs", SIZES)
def test_kernel_is_unpacked_to_the_same_values(inputs):
    model = product(signs(inputs, 7))
    x = real(ROWS, inputs)
    before = interpret(model, x)
    one_bit.pack_kernels(model)
    assert flatbuffer.operation_counts(model)["LceDequantize"] == 1
    assert not any(map(flatbuffer.is_sign_matrix, constants(model)))
    np.testing.assert_array_equal(interpret(model, x), before)


@pytest.mark.parametrize("width", SIZES)
def test_only_the_rows_looked_up_are_unpacked(width):
    model = look_up(signs(50, width))
    ids = random_ids(4, ROWS)
    before = interpret(model, ids)
    one_bit.pack_tables(model)
    *_, unpack = flatbuffer.operations(model)
    assert unpack.name == "LceDequantize"
    assert list(unpack.outputs[0].shape) == [1, ROWS, width]
    assert [value.shape for value in constants(model) if value.size > 1] == [(50, -(-width // 32))]
    np.testing.assert_array_equal(interpret(model, ids), before)


def test_kernel_of_two_products_is_unpacked_once():
    model = product(signs(20, 20), signs(20, 20), signs(20, 20))
    first, *_, last = [o for o in flatbuffer.operations(model) if o.name == "FULLY_CONNECTED"]
    last.operator.inputs = [last.operator.inputs[0], *first.operator.inputs[1:]]
    x = real(ROWS, 20)
    before = interpret(model, x)
    one_bit.pack_kernels(model)
    counts = flatbuffer.operation_counts(model)
    assert (counts["FULLY_CONNECTED"], counts["LceDequantize"]) == (3, 2)
    np.testing.assert_array_equal(interpret(model, x), before)


def test_what_is_not_a_sign_stays():
    for model in (product(signs(40, 4) * 2), product(real(40, 4)), look_up(real(50, 40))):
        before = flatbuffer.operation_counts(model)
        one_bit.pack_kernels(model)
        one_bit.pack_tables(model)
        assert flatbuffer.operation_counts(model) == before


# === Tidying ===


def test_a_content_is_stored_once():
    kernel = real(20, 20)
    model = product(kernel, real(20, 20))
    copy = flatbuffer.add_constant(model, model.subgraphs[0], "copy", np.array(kernel.T))
    *_, last = [o for o in flatbuffer.operations(model) if o.name == "FULLY_CONNECTED"]
    last.operator.inputs = [last.operator.inputs[0], copy, -1]
    x = real(ROWS, 20)
    before = interpret(model, x)
    tidy.share_buffers(model)
    # The empty one, of all computed tensors, the kernel, and the converter's own metadata.
    assert len(model.buffers) == 1 + 1 + len(model.metadata)
    np.testing.assert_array_equal(interpret(model, x), before)


def test_empty_quantizations_are_dropped():
    model = product(real(20, 20))
    x = real(ROWS, 20)
    before = interpret(model, x)
    first, *others = model.subgraphs[0].tensors
    first.quantization.scale = [0.5]
    tidy.drop_empty_quantization(model)
    assert first.quantization.scale == [0.5]
    assert not any(tensor.quantization for tensor in others)
    first.quantization = None
    np.testing.assert_array_equal(interpret(model, x), before)


# === Whole files ===


each_mode = pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=[] if mode == "weights-only" else slow) for mode in MODES]
)


@each_mode
def test_passes_change_no_bit_of_the_logits(mode):
    sizes = {"width": 36, "hidden_width": 33, "num_segments": 2, "num_blocks": 2}
    parts = frozen(built(mode, **sizes), None)
    plain = flatbuffer.parse(lce.convert_function(graphs.all_exits(parts)))
    tidy.remove_barriers(plain)
    fuse.fuse(plain)
    data = converted(mode, "all-outputs", **sizes)
    ids = random_ids(8, 12)
    expected = interpret(plain, ids)
    for indirect in (False, True):
        np.testing.assert_array_equal(interpret(data, ids, use_indirect_bgemm=indirect), expected)
    model = flatbuffer.parse(data)
    unpacked = [o.label for o in flatbuffer.operations(model) if o.name == "LceDequantize"]
    matrices = 8 * 2 if mode in ("weights-only", "w1a8") else 0
    assert len(unpacked) == (mode != "float") + matrices
    if matrices:
        assert "block_2/slfn/gate_out/kernel/signs" in unpacked
