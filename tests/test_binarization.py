"""Layers turn binary step by step while a model trains, and are as before once that is over."""

import numpy as np
import pytest
from conftest import MODES, random_ids, tiny_config

from beex_keras.backend import tf
from beex_keras.layers import BinaryLinear, BinaryTokenEmbedding
from beex_keras.models import BEExformerClassifier
from beex_keras.precision import Precision


def make(mode):
    tf.keras.utils.set_random_seed(0)
    return BEExformerClassifier(tiny_config(**MODES[mode], dropout=0.0, token_dropout=0.0))


def sign(x):
    return np.where(x >= 0, 1.0, -1.0)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_a_matrix_is_the_mixture_of_its_real_and_its_binary_form(fraction):
    layer = BinaryLinear(3, Precision(activations=1, latent_scale=0.5))
    x = tf.random.stateless_normal((2, 5, 8), (0, 0))
    layer(x)
    layer.matmul.kernel_quantizer.fraction = fraction
    layer.matmul.input_quantizer.fraction = fraction
    layer.matmul.input_quantizer.start_from(lambda z: (tf.tanh(z) - 0.25) / 0.75)
    latent = layer.kernel.numpy()[0, 0].astype(np.float64)
    kernel = (1 - fraction) * latent / 0.25 + fraction * sign(latent)
    inputs = (1 - fraction) * (np.tanh(x) - 0.25) / 0.75 + fraction * sign(x.numpy())
    alpha = np.round(layer.alpha.numpy() * 2**12) / 2**12
    for training in (False, True):
        y = layer.matmul(tf.reshape(x, (1, 1, 10, 8)), training=training) * alpha
        np.testing.assert_allclose(tf.reshape(y, (2, 5, 3)), inputs @ kernel * alpha, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_a_token_table_is_the_mixture_of_its_real_and_its_binary_form(training):
    layer = BinaryTokenEmbedding(10, 4, Precision(embedding_latent_scale=0.2))
    ids = tf.constant([[2, 7, 3]])
    layer(ids)
    layer.table_quantizer.fraction = 0.4
    table = layer.table.numpy()
    expected = (0.6 * table / 0.1 + 0.4 * sign(table))[ids] * layer.scale
    np.testing.assert_allclose(layer(ids, training=training), expected, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_model_lists_the_binarizers_of_its_binary_parts(mode):
    encoder = make(mode).backbone
    names = [f"{b.name}/{name}" for b in encoder.blocks for name in b.linears()]
    parts = {
        "weights": [] if mode == "float" else names,
        "embedding": [] if mode == "float" else ["embedding/token"],
        "activations": names if mode == "fully-binary" else [],
    }
    found = encoder.binarizers()
    assert {part: [*named] for part, named in found.items()} == parts
    assert [*found] == ["weights", "embedding", "activations"]


class Fractions(tf.keras.callbacks.Callback):
    """Sets a fraction before each step."""

    def __init__(self, *fractions):
        super().__init__()
        self.fractions = fractions

    def on_train_batch_begin(self, batch, logs=None):
        for named in self.model.backbone.binarizers().values():
            for binarizer in named.values():
                binarizer.fraction = self.fractions[batch]


def operations(model):
    function = tf.function(lambda ids: model(ids, training=True))
    graph = function.get_concrete_function(tf.TensorSpec((2, 5), tf.int32)).graph
    return [node.op for node in graph.as_graph_def().node]


def test_a_compiled_training_anneals_without_a_new_trace_and_ends_as_it_began(tmp_path):
    model, ids = make("fully-binary"), random_ids(6, 5)
    binary, names = model(ids).numpy(), [weight.name for weight in model.weights]
    plain = operations(model)
    model.compile(tf.keras.optimizers.SGD(0.0))
    data = ids, np.zeros(6, int), 2
    first = model.fit(*data, callbacks=[Fractions(0.0, 0.0, 0.0)], shuffle=False)
    traces = model.train_function.experimental_get_tracing_count()
    mixed, again, last = (
        model.fit(*data, callbacks=[Fractions(*[fraction] * 3)], shuffle=False)
        for fraction in (0.5, 0.0, 1.0)
    )
    assert model.train_function.experimental_get_tracing_count() == traces
    assert first.history == again.history
    assert len({one.history["loss"][0] for one in (first, mixed, last)}) == 3
    assert len(operations(model)) > len(plain)
    np.testing.assert_array_equal(model(ids), binary)  # at 1 the mixture is the sign
    assert [weight.name for weight in model.weights] == names
    model.save(tmp_path / "annealed.keras")
    np.testing.assert_array_equal(
        tf.keras.models.load_model(tmp_path / "annealed.keras")(ids), binary
    )
    for named in model.backbone.binarizers().values():
        for binarizer in named.values():
            binarizer.finish()
    assert operations(model) == plain


def test_the_gradient_passes_the_real_share_and_the_binary_one():
    layer = BinaryLinear(3, Precision(latent_scale=0.5))
    x = tf.random.stateless_normal((4, 8), (0, 0))
    layer(x)
    gradients = []
    for fraction in (0.0, 1.0, 0.25):
        layer.matmul.kernel_quantizer.fraction = fraction
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True))
        gradients.append(tape.gradient(loss, layer.kernel))
    np.testing.assert_allclose(gradients[2], 0.75 * gradients[0] + 0.25 * gradients[1], rtol=1e-5)
