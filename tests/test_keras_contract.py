"""Layers and models keep Keras' contract: argument order, subclasses, masks, ranks and dtype policies."""

import numpy as np
import pytest

import beex_keras as beex
from beex_keras.backend import tf
from beex_keras.layers import BEExformerBlock, BinaryLinear, Embedding, ExitHead, MultiHeadAttention
from beex_keras.precision import KINDS

IDS = np.array([[2, 7, 8, 3], [2, 8, 7, 3]] * 4, np.int32)
LABELS = np.array([0, 1] * 4)


@pytest.fixture
def model():
    tf.keras.utils.set_random_seed(0)
    model = beex.BEExformerClassifier(beex.BEExformerConfig.preset("micro", num_blocks=2))
    model.compile()
    return model


def test_arguments_of_fit_evaluate_and_predict_have_keras_order(model):
    history = model.fit(IDS, LABELS, 4, 2, 0, validation_data=(IDS, LABELS)).history
    assert len(history["val_loss"]) == 2
    assert int(model.optimizer.iterations) == 4  # two epochs of two batches
    assert model.predict(IDS, 3, 0).shape == (8, 2, 2)
    np.testing.assert_allclose(
        model.evaluate(IDS, LABELS, 4, 0), model.evaluate(x=IDS, y=LABELS, batch_size=8, verbose=0)
    )


@tf.keras.utils.register_keras_serializable("test_keras_contract")
class ScaledBlock(BEExformerBlock):
    """A subclass as users write it."""

    def __init__(self, scale: float = 1.0, **kwargs) -> None:
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs, *args, **kwargs):
        return self.scale * super().call(inputs, *args, **kwargs)


def test_a_subclass_is_saved_with_its_own_and_its_base_class_arguments(tmp_path):
    inputs = tf.keras.Input((None, 8))
    block = ScaledBlock(scale=2.0, width=8, num_heads=2, hidden_width=16, name="scaled")
    own = tf.keras.Model(inputs, block(inputs))
    again = ScaledBlock.from_config(block.get_config())
    assert again.get_config() == block.get_config() and again.name == "scaled"
    own.save(tmp_path / "own.keras")
    x = tf.random.stateless_normal((2, 5, 8), (0, 0))
    np.testing.assert_array_equal(tf.keras.models.load_model(tmp_path / "own.keras")(x), own(x))


def masked_model() -> tf.keras.Model:
    ids = tf.keras.Input((None,), dtype=tf.int32)
    x = tf.keras.layers.Embedding(20, 8, mask_zero=True)(ids)
    attended = MultiHeadAttention(8, 2)(x)
    block = BEExformerBlock(8, 2, 16)(attended)
    return tf.keras.Model(ids, [attended, block, ExitHead(3)(block)])


def test_padding_that_keras_masks_changes_nothing():
    model = masked_model()
    attended, block, logits = model(IDS)
    padded = model(np.pad(IDS, ((0, 0), (0, 3))))
    np.testing.assert_allclose(padded[0][:, :4], attended, atol=1e-6)
    np.testing.assert_allclose(padded[1][:, :4], block, atol=1e-6)
    np.testing.assert_allclose(padded[2], logits, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_layer_takes_every_rank_from_two_on(kind):
    layer = BinaryLinear(3, beex.Precision.named(kind))
    x = tf.random.stateless_normal((2, 3, 5, 8), (0, 1))
    expected = tf.reshape(layer(tf.reshape(x, (2, 15, 8))), (2, 3, 5, 3))
    np.testing.assert_array_equal(layer(x), expected)
    np.testing.assert_array_equal(layer(tf.reshape(x, (30, 8))), tf.reshape(expected, (30, 3)))
    inputs = tf.keras.Input((8,))
    assert layer(inputs).shape.as_list() == [None, 3]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    "layer", [lambda **kw: BinaryLinear(3, **kw), lambda **kw: Embedding(9, 4, 8, **kw)]
)
def test_a_policy_of_16_bits_is_refused(policy, layer):
    with pytest.raises(
        beex.BeexError, match="Keras 2 would cast .* Larq's .* set the policy float32"
    ):
        layer(dtype=tf.keras.mixed_precision.Policy(policy))
