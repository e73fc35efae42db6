"""AdamW of a training, which moves each layer at a rate of its own."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, TOY_TRAINING, shake, tiny_config

from beex_keras import BeexError, TrainingConfig
from beex_keras.models import BEExformerClassifier
from beex_keras.training.optimizer import LayerwiseAdamW, make_optimizer


def test_rates_differ_from_layer_to_layer():
    """A first step of Adam moves every weight by its rate, whatever the gradient."""
    model = BEExformerClassifier(tiny_config(**MODES["float"]))
    config = TrainingConfig(
        learning_rate=1e-2,
        warmup=0.0,
        weight_decay=0.0,
        clip_norm=1e6,
        exit_lr_multiplier=3.0,
        layer_decay=0.5,
    )
    optimizer = make_optimizer(config, 10, model.config)
    optimizer.build(model.trainable_variables)
    before = {v.name: v.numpy() for v in model.trainable_variables}
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in model.trainable_variables])
    moved = {v.name: np.abs(v.numpy() - before[v.name]).max() for v in model.trainable_variables}
    last = moved["block_3/attention/query/bias:0"]
    assert last > 0
    for name, factor in {
        "block_2/slfn/gate_in/matmul/kernel:0": 0.5,
        "block_1/attention_norm/gamma:0": 0.25,
        "embedding/token/table:0": 0.125,
        "embedding/position:0": 0.125,
        "exit_2/logits/kernel:0": 3.0,
    }.items():
        np.testing.assert_allclose(moved[name] / last, factor, rtol=1e-3)
    copy = LayerwiseAdamW.from_config(optimizer.get_config())
    assert copy.factor("exit_1/logits/bias:0") == 3.0 and copy.factor("x/block_1/alpha:0") == 0.25


def test_optimizer_moves_weights_as_adamw_of_keras():
    """At factors of 1, with a table whose gradient comes as a look-up's slices."""

    def trained(optimizer_class):
        random = np.random.default_rng(0)
        variables = [
            tf.Variable(random.normal(size=shape).astype(np.float32), name=name)
            for name, shape in {"token/table": (50, 7), "block_1/kernel": (33, 9)}.items()
        ]
        rate = tf.keras.optimizers.schedules.CosineDecay(
            0.0, 100, warmup_target=1e-2, warmup_steps=5
        )
        optimizer = optimizer_class(rate, weight_decay=0.1, beta_2=0.98, global_clipnorm=1.0)
        for _ in range(20):
            rows = random.integers(0, 50, 20)
            factors = random.normal(size=(33, 9)).astype(np.float32)
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.sin(tf.gather(variables[0], rows)))
                loss += tf.reduce_sum(factors * variables[1] ** 2)
            optimizer.minimize(loss, variables, tape)
        return variables

    for ours, theirs in zip(
        trained(LayerwiseAdamW), trained(tf.keras.optimizers.AdamW), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    with pytest.raises(BeexError, match="amsgrad"):
        LayerwiseAdamW(amsgrad=True)


def test_optimizer_decays_real_matrices_only():
    def decayed(model):
        optimizer, weights = (
            make_optimizer(TOY_TRAINING, 100, model.config),
            model.trainable_weights,
        )
        before = [weight.numpy() for weight in weights]
        for _ in range(2):  # the first rate of a warm-up is 0
            optimizer.apply_gradients([(tf.zeros_like(weight), weight) for weight in weights])
        pairs = zip(weights, before, strict=True)
        return {weight.name for weight, old in pairs if not np.array_equal(weight, old)}

    model = shake(BEExformerClassifier(tiny_config(num_blocks=1)))
    assert decayed(model) == {"embedding/position:0", "exit_1/logits/kernel:0"}
    twin = shake(BEExformerClassifier(model.config.twin()))
    assert any("query/matmul" in name for name in decayed(twin))
