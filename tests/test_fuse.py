"""Passes that put back together what the converter took apart: fewer ops, the same values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import built, converted, frozen
from converted_graphs import graph_of, interpret

from beex_keras.export.tflite import flatbuffer, graphs, lce
from beex_keras.export.tflite.passes import fuse, tidy

GENERATOR = np.random.default_rng(0)


def real(*shape: int) -> np.ndarray:
    return GENERATOR.normal(size=shape).astype(np.float32)


WEIGHTS = real(4, 5)


def counts_after(model: Any, apply: Callable[[Any], None], x: np.ndarray) -> dict[str, int]:
    """Applies a pass, checks that the values stay, and counts the ops."""
    before = interpret(model, x)
    apply(model)
    np.testing.assert_allclose(interpret(model, x), before, rtol=1e-5, atol=1e-5)
    return flatbuffer.operation_counts(model)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("heads", "tokens", "depth"), [(2, 5, 3), (7, 4, 9), (1, 6, 6)])
def test_product_of_batches(heads, tokens, depth, transposed):
    weights = real(1, heads, tokens, tokens)

    def function(x: tf.Tensor) -> tf.Tensor:
        # Computed on both sides, so that no factor is a constant.
        left = tf.tanh(x) if transposed else tf.nn.softmax(x[..., :1] + weights)
        return tf.matmul(left, tf.sin(x), transpose_b=transposed) + 1.0

    x = real(1, heads, tokens, depth)
    counts = counts_after(graph_of(function, *x.shape), fuse.fuse_products, x)
    if heads > 1:  # one head the converter leaves in one piece
        assert counts["BATCH_MATMUL"] == 1
    assert not {"SPLIT", "PACK"} & set(counts)


@pytest.mark.parametrize("shared", [False, True])
def test_right_factors_are_multiplied_by_rows(shared):
    """A factor that something else reads too stays as it is."""

    def function(x: tf.Tensor) -> tf.Tensor:
        heads = tf.transpose(tf.reshape(x, [1, 5, 3, 4]), [0, 2, 1, 3])
        weights = tf.nn.softmax(tf.reshape(x, [1, 3, 5, 4]) @ WEIGHTS)
        return tf.matmul(weights, heads) + (heads if shared else 0.0)

    x = real(1, 5, 12)
    model = graph_of(function, *x.shape)
    fuse.fuse_products(model)
    reference = interpret(model, x)
    fuse.turn_right_factors(model)
    np.testing.assert_array_equal(interpret(model, x), reference)
    (product,) = (o for o in flatbuffer.operations(model) if o.name == "BATCH_MATMUL")
    assert product.operator.builtinOptions.adjY != shared


def test_other_packs_stay():
    def function(x: tf.Tensor) -> tf.Tensor:
        first, second = tf.split(tf.tanh(x), 2, axis=1)
        # The parts of the right factor are exchanged: no product of batches.
        products = [first[0] @ tf.transpose(second[0]), second[0] @ tf.transpose(first[0])]
        return tf.stack(products)

    x = real(1, 6, 4)
    assert "BATCH_MATMUL" not in counts_after(graph_of(function, *x.shape), fuse.fuse, x)


@pytest.mark.parametrize("centred", [False, True])
def test_norm(centred):
    def function(x: tf.Tensor) -> tf.Tensor:
        x = x - tf.reduce_mean(x, axis=-1, keepdims=True) if centred else tf.tanh(x)
        return tf.math.l2_normalize(x, axis=-1) * 2.0

    x = real(1, 5, 12)
    counts = counts_after(graph_of(function, *x.shape), fuse.fuse_norms, x)
    assert counts["L2_NORMALIZATION"] == 1 and not {"RSQRT", "MAXIMUM"} & set(counts)
    assert sum(counts.values()) == (4 if centred else 3)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: tf.math.l2_normalize(tf.tanh(x), axis=-1, epsilon=1e-2),
        lambda x: tf.math.l2_normalize(tf.tanh(x), axis=1),
        lambda x: (
            tf.sin(x)
            * tf.math.rsqrt(
                tf.maximum(tf.reduce_sum(tf.tanh(x) ** 2, axis=-1, keepdims=True), 1e-12)
            )
        ),
    ],
    ids=["larger floor", "another axis", "another vector"],
)
def test_other_norms_stay(function):
    x = real(1, 5, 12)
    assert "L2_NORMALIZATION" not in counts_after(graph_of(function, *x.shape), fuse.fuse_norms, x)


def test_gelu():
    x = np.linspace(-9, 9, 700).astype(np.float32).reshape(1, 7, 100)
    model = graph_of(lambda x: tf.nn.gelu(x, approximate=True), *x.shape)
    counts = counts_after(model, tidy.unfold_gelu, x)
    assert counts == {"MUL": 4, "ADD": 1, "LOGISTIC": 1}
    wide = x.astype(np.float64)
    cubic = np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
    expected = wide * (1 + np.tanh(cubic)) / 2
    np.testing.assert_allclose(interpret(model, x), expected, rtol=0, atol=1e-6)


def test_a_gelu_that_is_not_approximated_stays():
    x = real(1, 7, 10)
    model = graph_of(lambda x: tf.nn.gelu(x, approximate=True), *x.shape)
    (operation,) = flatbuffer.operations(model)
    operation.operator.builtinOptions.approximate = False
    assert counts_after(model, tidy.unfold_gelu, x) == {"GELU": 1}


@pytest.mark.parametrize(
    ("mode", "changes", "unfused", "fused"),
    [
        pytest.param("float", {}, 71, 39, marks=pytest.mark.slow),
        ("weights-only", {}, 88, 64),
        pytest.param(
            "weights-only", {"content_activation": "gelu"}, 88, 69, marks=pytest.mark.slow
        ),
        pytest.param("fully-binary", {}, 117, 94, marks=pytest.mark.slow),
    ],
)
def test_ops_that_each_block_adds(mode, changes, unfused, fused):
    before, after = [], []
    for blocks in (1, 2):
        sizes = {"num_blocks": blocks, "num_segments": 2, **changes}
        parts = frozen(built(mode, **sizes), None)
        plain = flatbuffer.parse(lce.convert_function(graphs.all_exits(parts)))
        tidy.remove_barriers(plain)
        before.append(sum(flatbuffer.operation_counts(plain).values()))
        data = converted(mode, "all-outputs", **sizes)
        counts = flatbuffer.operation_counts(flatbuffer.parse(data))
        after.append(sum(counts.values()))
        assert counts["BATCH_MATMUL"] == 2 * blocks
        assert not {"SPLIT", "SQUARED_DIFFERENCE", "RSQRT"} & set(counts)
    assert (before[1] - before[0], after[1] - after[0]) == (unfused, fused)
