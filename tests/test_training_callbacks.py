"""The callbacks of a training, with small models of Keras."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_ids, tiny_config
from toy import TOY_SIZE, write_toy_files

from beex_keras import BeexError, BEExformerClassifier, FractionalEntropy, SoftRoutingLoss, train
from beex_keras.training import CalibrateExits
from beex_keras.training.callbacks import AnnealBinarization, kept_epoch


def test_calibrated_accuracy_serves_keras_early_stopping():
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Embedding(50, 8),
            tf.keras.layers.GlobalAveragePooling1D(),
            tf.keras.layers.Dense(8),
            tf.keras.layers.Reshape((2, 4)),  # two exits
        ]
    )
    model.compile(loss=SoftRoutingLoss())
    ids, labels = random_ids(32, 6), np.arange(32) % 4
    stop = tf.keras.callbacks.EarlyStopping("val_calibrated_accuracy", mode="max", patience=1)
    calibrated = CalibrateExits(ids, labels, FractionalEntropy())
    history = model.fit(ids, labels, epochs=3, verbose=0, callbacks=[calibrated, stop]).history
    assert history["val_calibrated_accuracy"][-1] == calibrated.calibration.accuracy


@pytest.mark.parametrize(
    ("values", "slack", "kept"),
    [
        ([0.5, 0.7, 0.6], None, 1),
        ([0.5, 0.7, 0.7], None, 1),
        ([0.5, 0.7, 0.7], 0.0, 2),
        ([0.5, 0.7, 0.66], 0.05, 2),
        ([0.5, 0.7, 0.64], 0.05, 1),
        # Always from the best, so that little by little is no way down.
        ([0.7, 0.66, 0.62], 0.05, 1),
        ([0.7, 0.66, 0.72, 0.6], 0.05, 2),
    ],
)
def test_a_later_epoch_is_kept_unless_one_was_better(values, slack, kept):
    assert kept_epoch(values, None if slack is None else lambda best: slack) == kept


def test_parts_turn_binary_one_after_another():
    model = BEExformerClassifier(tiny_config(activation_bits=1))
    parts = [[*named.values()] for named in model.backbone.binarizers().values()]
    assert all(parts) and len(parts) == 3
    for part in parts:
        for binarizer in part:
            binarizer.start_from(tf.identity)
    annealing = AnnealBinarization(parts, steps=6)
    iterations = tf.Variable(0)
    annealing.set_model(SimpleNamespace(optimizer=SimpleNamespace(iterations=iterations)))
    seen = []
    for step in range(8):
        iterations.assign(step)
        annealing.on_train_batch_begin(step)
        seen.append([float(part[0].fraction) for part in parts])
        assert all(binarizer.fraction == part[0].fraction for part in parts for binarizer in part)
    ramp = [0, 0.5, 1, 1, 1, 1, 1, 1]
    expected = np.array([ramp, [0, 0, *ramp[:6]], [0, 0, 0, 0, *ramp[:4]]]).T
    np.testing.assert_allclose(seen, expected)
    iterations.assign(1)
    annealing.on_train_batch_begin(1)
    annealing.on_epoch_end(0)
    assert all(binarizer.fraction == 1 for part in parts for binarizer in part)


@pytest.mark.parametrize("steps", [1, 200], ids=["checkpoint", "best weights"])
def test_a_full_disk_ends_a_training_with_a_sentence(tmp_path, monkeypatch, eager, steps):
    words = {**write_toy_files(tmp_path, 40, 20), "preset": "micro", "model": TOY_SIZE}
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(BeexError, match=r"has 0\.0 MB left"):
        train(
            output=tmp_path / "run", epochs=1, batch_size=20, save_steps=steps, verbose=0, **words
        )
    assert not (tmp_path / "run" / "best.weights.h5").exists()
