import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, random_ids, tiny_config
from toy import TOY_SIZE, write_toy_files

from beex_keras import BeexError, BEExformerConfig, FractionalEntropy, TrainingConfig, load_task
from beex_keras.models import BEExformerClassifier
from beex_keras.training import CalibratedAccuracy, loop, train
from beex_keras.training.optimizer import make_optimizer

RECIPE = TrainingConfig(epochs=4, batch_size=8, learning_rate=1e-2, margin=0.5)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy_files(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def task(files):
    return load_task("files", **files)


def toy_config(**changes):
    return BEExformerConfig.preset("micro", **TOY_SIZE, **changes)


def same_weights(one, other):
    return all((a == b).all() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.fixture(scope="module")
def undisturbed(task, tmp_path_factory):
    return train(task, toy_config(), RECIPE, tmp_path_factory.mktemp("runs") / "run", verbose=0)


def test_learns_calibrates_and_writes_the_run_folder(undisturbed):
    assert undisturbed.evaluation.score > 0.9
    assert undisturbed.model.policy == undisturbed.calibration.policy
    assert undisturbed.calibration.margin == RECIPE.margin
    names = {path.name for path in undisturbed.directory.iterdir()}
    assert names == {"run.json", "vocab.txt", "history.json", "results.json", "model"}
    results = json.loads((undisturbed.directory / "results.json").read_text())
    assert results["test"] == undisturbed.evaluation.to_dict()
    restored = BEExformerClassifier.from_pretrained(undisturbed.directory / "model")
    assert same_weights(restored, undisturbed.model) and restored.policy == undisturbed.model.policy
    assert {"loss", "exit_1", "exit_2", "val_calibrated_accuracy", "val_exit_2"} <= set(
        undisturbed.history
    )
    assert all(len(values) == RECIPE.epochs for values in undisturbed.history.values())


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_trains(task, mode, tmp_path):
    config = toy_config(**MODES[mode], dropout=0.0, token_dropout=0.0)
    run = train(task, config, RECIPE, tmp_path / "run", verbose=0)
    assert run.evaluation.full_depth_score > 0.8


def test_same_seed_same_weights_other_seed_others(task, undisturbed, tmp_path):
    again = train(task, toy_config(), RECIPE, tmp_path / "again", verbose=0)
    assert same_weights(again.model, undisturbed.model)
    other = TrainingConfig(**{**RECIPE.to_dict(), "seed": 1})
    assert not same_weights(
        train(task, toy_config(), other, tmp_path / "other", verbose=0).model, undisturbed.model
    )


class Interrupt(tf.keras.callbacks.Callback):
    """Stops the training in the middle of an epoch, as Ctrl-C would."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.when = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.when:
            raise KeyboardInterrupt


class Count(tf.keras.callbacks.Callback):
    """The steps of a training."""

    steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1


@pytest.mark.parametrize("when", [(0, 4), (1, 0), (2, 7)])
def test_interrupted_training_ends_with_the_same_weights(task, undisturbed, tmp_path, when):
    with pytest.raises(KeyboardInterrupt):
        train(
            task, toy_config(), RECIPE, tmp_path / "run", verbose=0,
            callbacks=[Interrupt(*when)], checkpoint_seconds=0,
        )  # fmt: skip
    assert not (tmp_path / "run" / "results.json").exists()
    rest = Count()
    run = train(task, toy_config(), RECIPE, tmp_path / "run", verbose=0, callbacks=[rest])
    epoch, batch = when
    epoch_steps = len(task.train.texts) // RECIPE.batch_size
    # The interrupt comes before the step it falls into is saved.
    assert rest.steps == (RECIPE.epochs - epoch) * epoch_steps - batch
    assert same_weights(run.model, undisturbed.model)
    assert run.evaluation == undisturbed.evaluation


def test_killed_command_continues_to_the_same_weights(files, tmp_path):
    command = [
        sys.executable, "-m", "beex_keras.cli", "train", "--preset", "micro", "--json",
        "--train", str(files["train"]), "--validation", str(files["validation"]),
        "--test", str(files["test"]), "--epochs", "5", "--batch-size", "8",
        *(f"--set={name}={value}" for name, value in TOY_SIZE.items()),
    ]  # fmt: skip
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [*command, "--checkpoint-seconds", "0", "-o", str(killed)], stdout=subprocess.DEVNULL
    )
    while not (killed / "history.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "results.json").exists(), "killed too late to show anything"
    outputs = []
    for directory in (killed, tmp_path / "whole"):
        done = subprocess.run(
            [*command, "-o", str(directory)], capture_output=True, text=True, check=True
        )
        outputs.append(json.loads(done.stdout)["test"])
    assert outputs[0] == outputs[1]
    one, other = (
        BEExformerClassifier.from_pretrained(tmp_path / name / "model")
        for name in ("killed", "whole")
    )
    assert same_weights(one, other)


def test_finished_run_is_only_read(task, undisturbed):
    before = (undisturbed.directory / "results.json").stat().st_mtime_ns
    again = train(task, toy_config(), RECIPE, undisturbed.directory, verbose=0)
    assert again.evaluation == undisturbed.evaluation
    assert same_weights(again.model, undisturbed.model)
    assert (undisturbed.directory / "results.json").stat().st_mtime_ns == before


def test_foreign_and_different_folders_are_refused(task, undisturbed, tmp_path):
    other = TrainingConfig(**{**RECIPE.to_dict(), "epochs": 5})
    with pytest.raises(BeexError, match=r"other settings \(epochs\)"):
        train(task, toy_config(), other, undisturbed.directory, verbose=0)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(BeexError, match="not a run folder"):
        train(task, toy_config(), RECIPE, tmp_path, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_settings_that_came_later_are_left_out_where_they_are_off():
    """The first version had none of them, and its folders and figures stand."""
    values = dataclasses.asdict(RECIPE)
    assert values["replaced_tokens"] == 0
    del values["replaced_tokens"]
    assert RECIPE.to_dict() == values and TrainingConfig(**values) == RECIPE
    with_it = dataclasses.replace(RECIPE, replaced_tokens=0.2)
    assert with_it.to_dict() == {**values, "replaced_tokens": 0.2}


def test_patience_stops_early(task, tmp_path):
    patient = TrainingConfig(epochs=30, batch_size=8, learning_rate=1e-2, patience=2)
    run = train(task, toy_config(), patient, tmp_path / "run", verbose=0)
    accuracy = run.history["val_calibrated_accuracy"]
    assert len(accuracy) < 30
    assert len(accuracy) == int(np.argmax(accuracy)) + 1 + patient.patience


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
    assert loop.kept_epoch(values, None if slack is None else lambda best: slack) == kept


@pytest.mark.parametrize(("best", "epoch"), [(0.9, 3), (np.nextafter(1.0, 2.0), 2)])
def test_the_weights_are_those_of_the_kept_epoch(task, tmp_path, monkeypatch, best, epoch):
    measure, values, seen = CalibratedAccuracy._measure, iter([0.4, best, 0.87, 0.3]), []
    monkeypatch.setattr(
        CalibratedAccuracy, "_measure", lambda self: [*measure(self)[:-2], next(values), 1.0]
    )

    class Watch(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append([w.numpy() for w in self.model.trainable_variables])

    recipe = dataclasses.replace(RECIPE, margin=1.0)
    error = (0.9 * 0.1 / len(task.validation)) ** 0.5
    assert 0.03 < error < 0.4
    run = train(task, toy_config(), recipe, tmp_path / "run", verbose=0, callbacks=[Watch()])
    assert run.epoch == epoch
    for found, kept in zip(run.model.trainable_variables, seen[epoch - 1], strict=True):
        np.testing.assert_array_equal(found, kept)


class StopAfter(tf.keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch


def test_epoch_and_threshold_are_chosen_by_the_tasks_metric(task, tmp_path):
    """For Matthews by the mean recall: what the frequent class alone reaches counts for nothing."""
    recall = pytest.importorskip("sklearn.metrics").balanced_accuracy_score
    negative = np.flatnonzero(task.validation.labels == 0)
    rows = np.concatenate([negative, np.flatnonzero(task.validation.labels == 1)[:5]])
    uneven = dataclasses.replace(task, validation=task.validation.rows(rows), metric="matthews")
    run = train(uneven, toy_config(), RECIPE, tmp_path / "run", verbose=0)
    logits, labels = run.exit_logits["validation"], uneven.validation.labels
    taken = np.asarray(run.model.policy.choose(logits))
    predicted = logits.argmax(axis=2)
    assert run.calibration.accuracy == pytest.approx(
        recall(labels, predicted[np.arange(len(rows)), taken])
    )
    assert run.calibration.full_depth_accuracy == pytest.approx(recall(labels, predicted[:, -1]))
    kept = run.history["val_calibrated_accuracy"][run.epoch - 1]
    assert kept == pytest.approx(run.calibration.accuracy)


def test_a_callback_may_end_the_training(task, tmp_path):
    run = train(task, toy_config(), RECIPE, tmp_path / "run", verbose=0, callbacks=[StopAfter(1)])
    assert len(run.history["loss"]) == 2


def test_latent_weights_stay_in_the_polynomials_support(undisturbed):
    latent = [w for w in undisturbed.model.weights if "kernel:0" in w.name and "matmul" in w.name]
    assert len(latent) == 8 * TOY_SIZE["num_blocks"]
    for weights in latent:
        values = getattr(weights, "latent_variable", weights).numpy()
        assert np.abs(values).max() <= 1.0


def test_optimizer_decays_real_matrices_only():
    model = BEExformerClassifier(tiny_config())
    optimizer = make_optimizer(RECIPE, 100, model.config)
    decayed = {w.name for w in model.trainable_variables if optimizer._use_weight_decay(w)}
    assert decayed == {"embedding/position:0", *(f"exit_{i}/logits/kernel:0" for i in (1, 2, 3))}
    twin = BEExformerClassifier(tiny_config().twin())
    optimizer = make_optimizer(RECIPE, 100, twin.config)
    assert any("query/matmul" in w.name for w in twin.weights if optimizer._use_weight_decay(w))


def test_callback_serves_keras_early_stopping():
    model = BEExformerClassifier(tiny_config())
    model.compile()
    ids, labels = random_ids(32, 6), np.arange(32) % 4
    stop = tf.keras.callbacks.EarlyStopping("val_calibrated_accuracy", mode="max", patience=1)
    calibrated = CalibratedAccuracy(ids, labels, FractionalEntropy())
    history = model.fit(ids, labels, epochs=3, verbose=0, callbacks=[calibrated, stop]).history
    assert history["val_calibrated_accuracy"][-1] == calibrated.calibration.accuracy


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"learning_rate": 0},
        {"warmup": 1},
        {"loss": "all"},
        {"policy": "oracle"},
        {"margin": -1},
        {"replaced_tokens": 1.0},
    ],
)
def test_bad_settings_are_refused(values):
    with pytest.raises(BeexError):
        TrainingConfig(**values)
