"""Weights of 8 bits in the C engine, against their definition in float64."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from conftest import GELU, MODES, needs_engine, random_ids, shake, tiny_config

from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.export.beex import packing
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.runtime import CRunner, library

pytestmark = needs_engine

VARIANTS = [
    {},
    {"network": "ffn"},
    {"gate_activation": "sigmoid", "num_heads": 1, "num_classes": 2},
    {"width": 72, "hidden_width": 70, "num_heads": 4, "num_segments": 2},
    GELU,
]


@functools.cache
def build(**changes) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    return shake(BEExformerClassifier(tiny_config(**{**MODES["float"], **changes})))


def rounded(x: np.ndarray, axis: int) -> np.ndarray:
    """To the 255 multiples of the largest magnitude over 127."""
    largest = np.abs(x).max(axis=axis, keepdims=True)
    return np.rint(x / largest * 127) * largest / 127


def real(weights) -> np.ndarray:
    return np.asarray(weights, np.float64)


def linear(x: np.ndarray, layer) -> np.ndarray:
    return rounded(x, 1) @ rounded(real(layer.kernel)[0, 0], 0) + real(layer.bias)


def norm(x: np.ndarray, layer) -> np.ndarray:
    centred = x - x.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    return centred / deviation * real(layer.gamma) + real(layer.beta)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gelu(x: np.ndarray) -> np.ndarray:
    return x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2


def attention(x: np.ndarray, layer, config: BEExformerConfig) -> np.ndarray:
    heads = []
    query, key, value = (linear(x, part) for part in (layer.query, layer.key, layer.value))
    depth = config.width // config.num_heads
    for start in range(0, config.width, depth):
        part = slice(start, start + depth)
        scores = np.exp(query[:, part] @ key[:, part].T / np.sqrt(depth))
        heads.append(scores / scores.sum(axis=1, keepdims=True) @ value[:, part])
    return linear(np.concatenate(heads, axis=1), layer.project)


def network(x: np.ndarray, layer, config: BEExformerConfig) -> np.ndarray:
    if config.network == "ffn":
        return linear(gelu(linear(x, layer.up)), layer.down)
    gate = linear(sigmoid(linear(x, layer.gate_in)), layer.gate_out)
    activate = gelu if config.content_activation == "gelu" else np.tanh
    content = linear(activate(linear(x, layer.content_in)), layer.content_out)
    return (sigmoid(gate) if config.gate_activation else gate) * content


def expected_logits(model: BEExformerClassifier, ids: np.ndarray) -> np.ndarray:
    """Logits of all exits (N, C) of one row of ids without padding."""
    config, embedding = model.config, model.backbone.embedding
    x = rounded(real(embedding.token.table), 0)[ids] + real(embedding.positions)[: len(ids)]
    if config.num_segments > 1:
        x += real(embedding.segment)[0]  # there is no separator among the ids
    x = norm(x, embedding.normalization)
    logits = []
    for block, head in zip(model.backbone.blocks, model.heads, strict=True):
        x = norm(x + attention(x, block.attention, config), block.attention_norm)
        x = norm(x + network(x, block.feed_forward(), config), block.slfn_norm)
        logits.append(x.mean(axis=0) @ real(head.dense.kernel) + real(head.dense.bias))
    return np.array(logits)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, marks=[] if changes in VARIANTS[2:4] else pytest.mark.slow)
        for changes in VARIANTS
    ],
    ids=str,
)
def test_engine_computes_the_quantized_model(changes):
    """Within 1e-5, but for texts where an input lies between two steps and float32 takes the other."""
    model = build(**changes)
    ids = random_ids(30, 12)
    found = CRunner(beex_format.convert(model, int8_weights=True)).exit_logits(ids)
    expected = np.array([expected_logits(model, row) for row in ids])
    differences = np.abs(found - expected).max(axis=(1, 2))
    assert np.quantile(differences, 0.6) < 1e-5
    assert differences.max() < 0.02
    exact = model(ids).numpy()
    assert 1e-3 < np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_all_kernels_give_the_same_bits():
    data = beex_format.convert(build(**VARIANTS[3]), int8_weights=True)
    ids = random_ids(9, 11)
    known = CRunner(data, kernels="portable").exit_logits(ids)
    for name in library.self_test():
        np.testing.assert_array_equal(CRunner(data, kernels=name).exit_logits(ids), known)


def test_the_file_is_a_quarter_of_the_size():
    model = build(vocabulary_size=500, width=64, num_heads=4, hidden_width=128, num_blocks=1)
    report = {}
    for int8 in (False, True):
        data = beex_format.convert(model, int8_weights=int8)
        report[int8] = len(data)
        assert beex_format.read(data).config == model.config
    assert report[True] < 0.3 * report[False]


@pytest.mark.parametrize("shape", [(1, 1), (8, 16), (9, 17), (12, 33)])
def test_packing_puts_each_weight_where_the_format_says(shape):
    weights = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)
    inputs, outputs = shape
    packed = packing.pack_int8(weights)
    assert packed.shape == (-(-outputs // 16), -(-inputs // 4), 16, 4)
    for i in range(inputs):
        for o in range(outputs):
            assert packed[o // 16, i // 4, o % 16, i % 4] == weights[i, o]
    assert np.count_nonzero(packed) == np.count_nonzero(weights)


def test_a_column_of_zeros_stays_zero():
    matrix = np.zeros((3, 2), np.float32)
    matrix[:, 1] = 0.5, -2.0, 1.0
    weights, scale = packing.quantize_columns(matrix)
    np.testing.assert_array_equal(weights, [[0, 32], [0, -127], [0, 64]])
    np.testing.assert_allclose(scale, [0, 2 / 127])


@pytest.mark.parametrize("kind", ["weights-only", "fully-binary"])
def test_binary_weights_are_refused(kind):
    with pytest.raises(BeexError, match="take 1 bit"):
        beex_format.convert(build(**MODES[kind], num_blocks=1), int8_weights=True)
