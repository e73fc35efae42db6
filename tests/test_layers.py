import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_ids, shake

from beex_keras import BeexError, layers
from beex_keras.layers.attention import power_weights
from beex_keras.layers.feed_forward import BIT_EXACT_ACTIVATIONS
from beex_keras.precision import KINDS, Precision
from beex_keras.quantizers import QUANTIZERS

FULLY = Precision.named("fully-binary")
OTHER = Precision(1, 1, 1, "ste_sign", 0.3, 0.4)


def sign(x):
    return np.where(x >= 0, 1.0, -1.0)


def to_fixed_point(x, bits):
    """Multiples of 2^-bits in float64; everything if `bits` is None."""
    x = np.asarray(x, np.float64)
    return x if bits is None else np.round(x * 2**bits) / 2**bits


def build(layer, *inputs, **kwargs):
    """Calls the layer once and gives its weights values as after training."""
    layer(*inputs, **kwargs)
    return shake(layer)


def reference_linear(layer, x):
    """The contract of BinaryLinear in float64."""
    kernel = (
        layer.kernel.latent_variable if hasattr(layer.kernel, "latent_variable") else layer.kernel
    )
    kernel = kernel.numpy()[0, 0].astype(np.float64)
    if layer.precision.is_fully_binary:
        x = sign(x)
    if layer.precision.activations == 8:
        scale = np.abs(x).max(axis=-1, keepdims=True) / 127
        x = scale * np.round(x / scale)
    bits = 12 if layer.precision.is_fully_binary else None
    bias = to_fixed_point(layer.bias.numpy(), bits)
    if layer.precision.is_binary:
        return x @ sign(kernel) * to_fixed_point(layer.alpha.numpy(), bits) + bias
    return x @ kernel + bias


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 5, 7, 3), (3, 4, 33, 65)])
@pytest.mark.parametrize("kind", KINDS)
def test_linear_against_float64(kind, shape):
    b, t, k, units = shape
    x = np.random.default_rng(0).normal(size=(b, t, k)).astype(np.float32)
    layer = build(layers.BinaryLinear(units, Precision.named(kind)), tf.constant(x))
    np.testing.assert_allclose(
        layer(x), reference_linear(layer, x.astype(np.float64)), rtol=1e-5, atol=1e-5
    )
    scales = 1 if kind != "float" else 0
    assert layer.count_params() == k * units + units * (1 + scales)


def test_binary_products_are_whole_numbers_before_the_scale():
    x = np.random.default_rng(0).normal(size=(2, 3, 100)).astype(np.float32)
    layer = build(layers.BinaryLinear(9, FULLY), tf.constant(x))
    layer.alpha.assign(tf.ones(9))
    layer.bias.assign(tf.zeros(9))
    y = layer(x).numpy()
    assert (y == np.round(y)).all()


def test_gradients_reach_latent_weights_scale_and_input():
    x = tf.random.stateless_normal((2, 3, 8), (1, 2)) * 0.3
    layer = build(layers.BinaryLinear(5, FULLY), x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x) ** 2)
    for gradient in tape.gradient(loss, [x, *layer.trainable_variables]):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_embedding_rows_are_signs_with_a_scale_per_column():
    ids = random_ids(2, 7)
    layer = build(layers.BinaryTokenEmbedding(50, 6), ids)
    expected = sign(layer.table.numpy())[ids] * layer.scale.numpy()
    np.testing.assert_array_equal(layer(ids), expected)
    assert layer.count_params() == 50 * 6 + 6


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_embedding_learns_by_every_quantizer(quantizer, training):
    """As if its look-up were a product with one-hot rows."""
    ids = random_ids(2, 7)
    layer = build(layers.BinaryTokenEmbedding(50, 6, Precision(quantizer=quantizer)), ids)
    upstream = np.random.default_rng(1).normal(size=(2, 7, 6)).astype(np.float32)
    with tf.GradientTape(persistent=True) as tape:
        looked_up = tf.reduce_sum(layer(ids, training=training) * upstream)
        rows = tf.one_hot(ids, 50) @ layer.table_quantizer(layer.table) * layer.scale
        multiplied = tf.reduce_sum(rows * upstream)
    expected = tape.gradient(multiplied, layer.table)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(tape.gradient(looked_up, layer.table), expected, atol=1e-6)


def test_segments_follow_from_the_separator():
    ids = np.array([[2, 9, 3, 8, 7, 3, 0], [2, 9, 9, 3, 0, 0, 0]], np.int32)
    layer = build(layers.Embedding(50, 6, max_length=9, num_segments=2, dropout=0.0), ids)
    token = layer.token(ids).numpy() + layer.positions.numpy()[:7]
    segments = np.array([[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1]])
    expected = layer.normalization(token + layer.segment.numpy()[segments])
    np.testing.assert_allclose(layer(ids), expected, atol=1e-6)


def test_positions_are_fixed_point_numbers():
    layer = build(layers.Embedding(50, 6, max_length=9), random_ids(2, 7))
    expected = np.round(layer.position.numpy().astype(np.float64) * 2**16) / 2**16
    np.testing.assert_array_equal(layer.positions, expected)


def test_layer_norm_equals_keras():
    x = np.random.default_rng(0).normal(2, 3, (2, 5, 7)).astype(np.float32)
    ours = build(layers.LayerNorm(), x)
    theirs = tf.keras.layers.LayerNormalization(epsilon=1e-5)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize(("square_bits", "size"), [(8, 2), (0, 0.5), (0, 2), (0, 200)])
def test_exact_layer_norm_is_near_and_independent_of_order(square_bits, size):
    generator = np.random.default_rng(0)
    x = to_fixed_point(generator.normal(0, size, (2000, 96)), 12).astype(np.float32)
    layer = build(layers.LayerNorm(exact=True, square_bits=square_bits), x)
    plain = layers.LayerNorm()
    plain.build(x.shape)
    plain.set_weights(layer.get_weights())
    y = layer(x).numpy()
    np.testing.assert_allclose(y, plain(x), atol=2e-3)
    np.testing.assert_array_equal(y, to_fixed_point(y, 12))
    order = generator.permutation(96)
    layer.set_weights([w[order] for w in layer.get_weights()])
    np.testing.assert_array_equal(layer(x[:, order]), y[:, order])


def test_power_weights_approach_the_exponential():
    z = np.linspace(-3, 0, 50, dtype=np.float32)[None]
    np.testing.assert_allclose(power_weights(z), np.exp(z), atol=0.02)
    assert power_weights(np.array([[0.0, -1e9]], np.float32)).numpy().tolist() == [[1, 0]]
    x = tf.constant([[0.0, -0.7, -2.5, -70.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        weights = power_weights(x)
    # The largest score is the reference: its gradient is that of the others, reversed.
    slope = (1 + x.numpy()[0, 1:3] / 64) ** 63
    expected = [[-slope.sum(), *slope, 0]]
    np.testing.assert_allclose(tape.gradient(weights, x), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_attention_against_float64(kind):
    x = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    layer = build(
        layers.MultiHeadAttention(12, 3, Precision.named(kind)), tf.constant(x), padding_mask=mask
    )
    exact = x.astype(np.float64)
    bit_exact = kind in ("w1a8", "fully-binary")
    bits = {"w1a8": (6, 6, 4), "fully-binary": (6, 6, 6)}.get(kind, (None, None, None))
    parts = layer.query, layer.key, layer.value
    q, k, v = (
        to_fixed_point(reference_linear(part, exact), b)
        for part, b in zip(parts, bits, strict=True)
    )
    context = np.zeros_like(q)
    for row in range(2):
        for head in range(3):
            columns = slice(4 * head, 4 * head + 4)
            scores = q[row, :, columns] @ k[row, :, columns].T / 2.0
            scores[:, ~mask[row]] = -np.inf
            scores -= scores.max(axis=1, keepdims=True)
            weights = np.exp(scores)
            if bit_exact:
                weights = to_fixed_point(np.maximum(0, 1 + scores / 64) ** 64, 10)
            weights /= weights.sum(axis=1, keepdims=True)
            context[row, :, columns] = weights @ v[row, :, columns]
    y = layer(x, padding_mask=mask).numpy()
    expected = to_fixed_point(reference_linear(layer.project, context), 12 if bit_exact else None)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    scales = 4 * 12 if kind != "float" else 0
    assert layer.count_params() == 4 * (12 * 12 + 12) + scales


def gelu(z):
    """By its definition, from which the layers' approximation differs by up to 0.0005."""
    return z * np.vectorize(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))))(z)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


DEFINITIONS = {"sigmoid": sigmoid, "tanh": np.tanh, "gelu": gelu}


def activated(name, kind, z):
    """With 8 bits by the exact functions: a small difference may be a whole step behind them."""
    if kind == "w1a8":
        return BIT_EXACT_ACTIVATIONS[name](tf.constant(z, tf.float32)).numpy().astype(np.float64)
    return DEFINITIONS[name](z)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_exact_activations_are_near_their_definitions(name):
    z = np.linspace(-60, 60, 24001)
    with tf.GradientTape() as tape:
        x = tf.constant(z, tf.float32)
        tape.watch(x)
        y = BIT_EXACT_ACTIVATIONS[name](x)
    slope = tape.gradient(y, x)
    error = {"sigmoid": 4e-5, "tanh": 7e-5, "gelu": 8e-4}[name]
    np.testing.assert_allclose(y, DEFINITIONS[name](z), atol=error, rtol=2e-4 * (name == "gelu"))
    if name == "gelu":  # near its approximation by a tanh
        inner = np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)
        assert (np.abs(y - z * (1 + np.tanh(inner)) / 2) <= 1.2e-4 * np.abs(z) + 1e-6).all()
    usual = np.gradient(DEFINITIONS[name](z), z)
    np.testing.assert_allclose(slope, usual, atol=3e-3)
    far = BIT_EXACT_ACTIVATIONS[name](tf.constant([-3e38, 3e38]))
    assert np.isfinite(far).all()


def test_8_bit_attention_is_independent_of_the_order_of_tokens():
    """Bit for bit, where values are large and many tokens have the same weight."""
    generator = np.random.default_rng(0)
    x = to_fixed_point(generator.normal(size=(4, 64, 48)), 12).astype(np.float32)
    layer = build(layers.MultiHeadAttention(48, 3, Precision.named("w1a8")), tf.constant(x))
    layer.query.alpha.assign(0.02 * tf.ones(48))
    layer.value.bias.assign(8.0 * tf.ones(48))
    order = generator.permutation(64)
    np.testing.assert_array_equal(layer(x[:, order]), layer(x).numpy()[:, order])


@pytest.mark.parametrize("network", ["slfn", "ffn"])
@pytest.mark.parametrize("gate", [None, "sigmoid"])
def test_8_bit_blocks_give_the_same_bits_in_graphs_and_batches(network, gate):
    """TensorFlow's graph optimizer takes products and sums in another order, if it is let."""
    generator = np.random.default_rng(0)
    x = to_fixed_point(generator.normal(size=(20, 7, 48)), 12).astype(np.float32)
    mask = np.arange(7) < generator.integers(1, 8, (20, 1))
    layer = build(
        layers.BEExformerBlock(48, 3, 70, gate, "gelu", Precision.named("w1a8"), 0.0, network),
        tf.constant(x),
    )

    @tf.function(reduce_retracing=True)
    def graph(x, mask):
        return layer(x, padding_mask=mask)

    eager = layer(tf.constant(x), padding_mask=mask).numpy()
    for size in (1, 3, 20):
        for start in range(0, 20, size):
            part = slice(start, start + size)
            alone = graph(tf.constant(x[part]), tf.constant(mask[part])).numpy()
            np.testing.assert_array_equal(alone[mask[part]], eager[part][mask[part]])


@pytest.mark.parametrize("content_activation", ["tanh", "gelu"])
@pytest.mark.parametrize("gate_activation", [None, "sigmoid"])
@pytest.mark.parametrize("kind", KINDS)
def test_slfn_against_its_equations(kind, gate_activation, content_activation):
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    precision = Precision.named(kind)
    network = layers.SelectiveLearnForgetNetwork(
        6, 10, gate_activation, content_activation, precision
    )
    layer = build(network, tf.constant(x))
    exact = x.astype(np.float64)
    # In fully binary mode the sign is taken of sigmoid - 1/2 and of tanh, as the equations say.
    centre = 0.5 if kind == "fully-binary" else 0.0
    hidden_gate = activated("sigmoid", kind, reference_linear(layer.gate_in, exact)) - centre
    gate = reference_linear(layer.gate_out, hidden_gate)
    if gate_activation == "sigmoid":
        gate = np.clip(gate / 4 + 0.5, 0, 1) if kind == "fully-binary" else sigmoid(gate)
    hidden_content = reference_linear(layer.content_in, exact)
    activation = "tanh" if kind == "fully-binary" else content_activation
    hidden_content = activated(activation, kind, hidden_content)
    content = reference_linear(layer.content_out, hidden_content)
    expected = to_fixed_point(gate * content, 12 if kind in ("w1a8", "fully-binary") else None)
    tolerance = 5e-4 if content_activation == "tanh" else 5e-3
    np.testing.assert_allclose(layer(x), expected, rtol=tolerance, atol=tolerance)
    scales = 2 * 10 + 2 * 6 if kind != "float" else 0
    assert layer.count_params() == 4 * 6 * 10 + 2 * 10 + 2 * 6 + scales


@pytest.mark.parametrize("kind", KINDS)
def test_ffn_against_its_equation(kind):
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    layer = build(layers.FeedForwardNetwork(6, 10, Precision.named(kind)), tf.constant(x))
    hidden = reference_linear(layer.up, x.astype(np.float64))
    if kind != "fully-binary":
        hidden = activated("gelu", kind, hidden)
    expected = reference_linear(layer.down, hidden)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-3, atol=5e-3)
    scales = 20 + 6 if kind != "float" else 0
    assert layer.count_params() == 4 * 6 * 10 + 20 + 6 + scales


@pytest.mark.parametrize("network", ["slfn", "ffn"])
@pytest.mark.parametrize("kind", KINDS)
def test_block_ignores_padding(kind, network):
    x = np.random.default_rng(0).normal(size=(2, 5, 12)).astype(np.float32)
    layer = build(
        layers.BEExformerBlock(12, 3, 20, precision=Precision.named(kind), network=network),
        tf.constant(x),
    )
    padded = np.concatenate([x, 100 * np.ones((2, 4, 12), np.float32)], axis=1)
    mask = np.arange(9)[None].repeat(2, 0) < 5
    alone = layer(x, padding_mask=mask[:, :5])
    np.testing.assert_allclose(layer(padded, padding_mask=mask)[:, :5], alone, atol=1e-5)


def test_exit_head_pools_only_real_tokens():
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    mask = np.array([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    layer = build(layers.ExitHead(4), tf.constant(x), padding_mask=mask)
    kernel, bias = (w.numpy() for w in layer.dense.weights)
    pooled = np.stack([x[0, :2].mean(axis=0), np.zeros(6)])
    np.testing.assert_allclose(layer(x, padding_mask=mask), pooled @ kernel + bias, atol=1e-5)
    assert layer.count_params() == 6 * 4 + 4


def test_dropout_scales_drops_and_restores_its_state(tmp_path):
    layer = layers.Dropout(0.25, seed=3)
    x = tf.ones((100, 100))
    assert (layer(x, training=False).numpy() == 1).all()
    values = layer(x, training=True).numpy()
    assert set(np.unique(values)) == {0.0, np.float32(1 / 0.75)}
    assert abs((values == 0).mean() - 0.25) < 0.02
    path = tf.train.Checkpoint(layer=layer).save(tmp_path / "state")
    following = layer(x, training=True).numpy()
    other = layers.Dropout(0.25, seed=99)
    other.build(x.shape)
    tf.train.Checkpoint(layer=other).restore(path).assert_consumed()
    np.testing.assert_array_equal(other(x, training=True), following)


EXAMPLES = [
    layers.BinaryLinear(5, OTHER),
    layers.BinaryTokenEmbedding(50, 6, OTHER),
    layers.Embedding(50, 6, 9, 2, 4, OTHER, 0.2, 0.4),
    layers.PaddingMask(),
    layers.MultiHeadAttention(12, 3, OTHER),
    layers.SelectiveLearnForgetNetwork(6, 10, "sigmoid", "gelu", OTHER),
    layers.BEExformerBlock(12, 3, 20, "sigmoid", "gelu", OTHER, 0.2),
    layers.ExitHead(4, 0.2),
    layers.LayerNorm(True, 16, 18),
    layers.Dropout(0.3, 5),
    layers.TokenDropout(0.3, 5),
]


@pytest.mark.parametrize("layer", EXAMPLES, ids=lambda layer: type(layer).__name__)
def test_config_round_trip(layer):
    config = tf.keras.layers.serialize(layer)
    assert tf.keras.layers.serialize(tf.keras.layers.deserialize(config)) == config


def test_unsupported_bits_and_heads_are_refused():
    with pytest.raises(BeexError, match="fully-binary"):
        Precision(32, 1)
    with pytest.raises(BeexError, match="multiple of num_heads"):
        layers.MultiHeadAttention(10, 3)
    with pytest.raises(BeexError, match="gate_activation"):
        layers.SelectiveLearnForgetNetwork(4, 4, "relu")
    with pytest.raises(BeexError, match="content_activation"):
        layers.SelectiveLearnForgetNetwork(4, 4, None, "relu")


def test_an_unknown_dtype_of_the_products_is_refused():
    with pytest.raises(BeexError, match="matmul_dtype='float16' must be 'float32' or 'bfloat16'"):
        layers.BinaryLinear(3, matmul_dtype="float16")
