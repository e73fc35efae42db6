"""Whole trainings: what they say, learn and keep, and how they continue."""

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
from conftest import TOY_TRAINING
from interrupted import Count, Interrupt, same_weights
from toy import FILL, TOY_SIZE, data_options, toy_files

from beex_keras import BeexError, cli, load_task
from beex_keras.models import BEExformerClassifier
from beex_keras.training import Distiller, train

STILL = {**TOY_SIZE, "dropout": 0.0, "token_dropout": 0.0}


@pytest.fixture(scope="module")
def task(toy_run):
    return load_task(**toy_files(toy_run))


@pytest.fixture(scope="module")
def undisturbed(task, toy_run):
    """The finished run, read by the configuration that trained it."""
    return train(task, toy_run / "run", TOY_TRAINING, verbose=0)


# === Findings about the data ===


@pytest.fixture
def said(tmp_path, no_steps, capsys):
    """`said(data, **arguments)`: the lines that a training prints before its first step."""

    def lines(data, **arguments):
        train(data, tmp_path / "run", preset="micro", init="none", epochs=1, **arguments)
        return capsys.readouterr().err.splitlines()

    return lines


def texts_of(count):
    return [f"{FILL[i % 6]} {i} ok" for i in range(count)]


@pytest.mark.parametrize("length", [6, 12])
def test_says_how_many_texts_are_cut(task, said, length):
    lines = [line for line in said(task, model={"max_length": length}) if "are cut" in line]
    words = np.array([len(text.split()) for text in task.train.texts])  # a token each, and two more
    share = np.mean(words + 2 > length)
    found = f"{share:.0%} of the training texts have more than the 6 tokens that the model reads, and are cut"
    assert lines == ([f"{found}; max_length=12 reads more and takes longer."] if share else [])
    assert (share > 0.1) == (length == 6)


def test_says_what_it_read(said):
    lines = said((texts_of(90), ["yes", "no", "No"] * 30))
    assert "Texts: 72 for training, 9 for validation, 9 for the test, with 3 classes." in lines
    assert "warning: The classes No, no differ only in case." in lines
    assert "Recipe scratch: 1 epoch from random weights." in lines


def test_says_what_makes_accuracy_misleading(said):
    texts = [*texts_of(90), "an odd one", "An odd  one"]
    labels = [*("usual" if i % 10 else "rare" for i in range(90)), "usual", "rare"]
    test = ["new", *texts[:3]], labels[:4]
    lines = said((texts, labels), validation=(texts[50:55], labels[50:55]), test=test)
    assert lines[1:5] == [
        "warning: 5 of the 5 validation texts are training texts, too, so the accuracy there may be too high.",
        "warning: 3 of the 4 test texts are training texts, too, so the accuracy there may be too high.",
        "warning: 1 training text has more than one label.",
        "The class usual has 89% of the 92 training texts, so a model that always answers it has that accuracy.",
    ]


def test_says_that_whole_numbers_are_classes(said):
    lines = said((texts_of(90), [i % 15 for i in range(90)]))
    assert any("Each whole number is a class; --task-kind regression" in line for line in lines)


# === Whole trainings ===


def test_learns_calibrates_and_writes_the_run_folder(undisturbed):
    assert undisturbed.evaluation.score > 0.9
    assert undisturbed.evaluation.full_depth_score > 0.8
    assert undisturbed.model.policy == undisturbed.calibration.policy
    assert undisturbed.calibration.margin == TOY_TRAINING.margin
    names = {path.name for path in undisturbed.directory.iterdir()}
    assert names == {"run.json", "vocab.txt", "history.json", "results.json", "model"}
    results = json.loads((undisturbed.directory / "results.json").read_text())
    assert results["test"] == undisturbed.evaluation.to_dict()
    restored = BEExformerClassifier.from_pretrained(undisturbed.directory / "model")
    assert same_weights(restored, undisturbed.model) and restored.policy == undisturbed.model.policy
    logs = {"loss", "exit_1", "exit_2", "val_calibrated_accuracy", "val_exit_2"}
    assert logs <= set(undisturbed.history)
    assert all(len(values) == TOY_TRAINING.epochs for values in undisturbed.history.values())


def test_a_seed_gives_first_weights_and_batches(task, tmp_path, monkeypatch):
    """All else is computed from these."""
    found = []

    def record(self, dataset, **options):
        ids, _ = next(iter(dataset))
        found.append([*self.student.get_weights(), ids.numpy()])
        raise KeyboardInterrupt

    monkeypatch.setattr(Distiller, "fit", record)
    for number, seed in enumerate((0, 0, 1)):
        with pytest.raises(KeyboardInterrupt):
            train(task, tmp_path / str(number), TOY_TRAINING, seed=seed, verbose=0)
    pairs = [[np.array_equal(*pair) for pair in zip(found[0], x, strict=True)] for x in found[1:]]
    assert all(pairs[0])
    assert not pairs[1][-1] and not all(pairs[1][:-1])


# === Interrupted trainings ===


@pytest.mark.parametrize(
    "steps", [[8], pytest.param(range(10), marks=pytest.mark.slow)], ids=["one", "any"]
)
def test_a_killed_training_ends_with_the_same_weights(task, tmp_path, eager, steps):
    config = TOY_TRAINING.replace(epochs=2, batch_size=40, save_steps=2)
    whole = train(task, tmp_path / "whole", config, verbose=0)
    for step in steps:  # of two epochs of 5
        kill, rest = Interrupt(*divmod(step, 5)), Count()
        with pytest.raises(KeyboardInterrupt):
            train(task, tmp_path / str(step), config, callbacks=[kill], verbose=0)
        run = train(task, tmp_path / str(step), config, callbacks=[rest], verbose=0)
        # Checkpoints are within the epochs alone: one behind an epoch would skip the end of the epoch.
        assert 10 - rest.steps == max(saved for saved in (0, 2, 4, 7, 9) if saved <= step)
        assert same_weights(run.model, whole.model) and run.evaluation == whole.evaluation
        for name in ("val_calibrated_accuracy", "val_exit_2"):
            assert run.history[name] == whole.history[name]


@pytest.mark.slow
def test_killed_command_continues_to_the_same_weights(toy_run, undisturbed, tmp_path, capsys):
    """The command and the function find the same weights."""
    fields = {**TOY_SIZE, "epochs": 3, "batch_size": 8, "learning_rate": 0.01, "save_steps": 5}
    arguments = [
        *("train", *data_options(toy_run), "-o", str(tmp_path / "run"), "--json"),
        *("--preset=tiny", "--set=matmul_dtype=float32"),
        *(f"--set={name}={value}" for name, value in fields.items()),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "beex_keras.cli", *arguments], stdout=subprocess.DEVNULL
    )
    while not (tmp_path / "run" / "history.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run" / "results.json").exists(), "killed too late to show anything"
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)["test"] == undisturbed.evaluation.to_dict()
    restored = BEExformerClassifier.from_pretrained(tmp_path / "run" / "model")
    assert same_weights(restored, undisturbed.model)


# === The kept epoch ===


class Score(tf.keras.callbacks.Callback):
    """Replaces the calibrated accuracy by given values, and keeps the weights of each epoch."""

    def __init__(self, values):
        super().__init__()
        self.values, self.weights = values, {}

    def on_epoch_end(self, epoch, logs=None):
        logs["val_calibrated_accuracy"] = self.values[epoch]
        self.weights[epoch + 1] = self.model.student.get_weights()


@pytest.fixture
def scored_run(task, tmp_path, eager):
    """`scored_run(score, killed, **changes)`: a run of as many epochs as the score has values.

    If it is killed, then in the last but one epoch, and it continues.
    """

    def make(score, killed, **changes):
        epochs = len(score.values)
        config = TOY_TRAINING.replace(epochs=epochs, batch_size=100, save_steps=1, **changes)
        if killed:
            callbacks = [Interrupt(epochs - 2, 1), score]
            with pytest.raises(KeyboardInterrupt):
                train(task, tmp_path / "run", config, callbacks=callbacks, verbose=0)
        return train(task, tmp_path / "run", config, callbacks=[score], verbose=0)

    return make


@pytest.mark.parametrize(
    ("margin", "killed", "kept"), [(1.0, False, 3), (0.0, False, 2), (0.0, True, 2)]
)
def test_a_run_has_the_weights_of_the_kept_epoch(task, scored_run, margin, killed, kept):
    error = (0.9 * 0.1 / len(task.validation)) ** 0.5
    assert 0.03 < error < 0.4
    score = Score([0.4, 0.9, 0.87, 0.3])
    run = scored_run(score, killed, margin=margin)
    assert run.epoch == kept
    for found, expected in zip(run.model.get_weights(), score.weights[kept], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(score.weights[2][0], score.weights[3][0])


@pytest.mark.parametrize(
    ("patience", "killed", "epochs"), [(0, False, 5), (2, False, 4), (2, True, 4)]
)
def test_patience_stops_early(scored_run, patience, killed, epochs):
    """A training that continues counts the epochs before it was killed."""
    run = scored_run(Score([0.1, 0.5, 0.4, 0.5, 0.9]), killed, patience=patience)
    assert len(run.history["loss"]) == epochs


def test_a_callback_of_the_user_sees_the_logs_and_may_end_the_training(task, tmp_path, eager):
    seen = []

    class StopAfterOne(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(dict(logs))
            self.model.stop_training = True

    config = TOY_TRAINING.replace(batch_size=100)
    run = train(task, tmp_path / "run", config, callbacks=[StopAfterOne()], verbose=0)
    assert {"loss", "exit_1", "val_exit_2", "val_calibrated_accuracy"} <= seen[0].keys()
    assert run.history == {name: [value] for name, value in seen[0].items()} and len(seen) == 1


def test_a_training_that_diverges_is_refused(task, tmp_path, eager):
    config = TOY_TRAINING.replace(batch_size=100)
    score = Score([0.5, float("nan")])
    with pytest.raises(BeexError, match="Epoch 2 ended with val_calibrated_accuracy=nan"):
        train(task, tmp_path / "run", config, callbacks=[score], verbose=0)


def test_epoch_and_threshold_are_chosen_by_the_tasks_metric(task, tmp_path):
    """For Matthews by the mean recall: what the frequent class alone reaches counts for nothing."""
    recall = pytest.importorskip("sklearn.metrics").balanced_accuracy_score
    negative, positive = (np.flatnonzero(task.validation.labels == label) for label in (0, 1))
    few = task.validation.rows(np.concatenate([negative, positive[:5]]))
    task = dataclasses.replace(task, validation=few, metric="matthews")
    config = TOY_TRAINING.replace(bits="fully-binary", model=STILL, epochs=4, margin=0.5)
    run = train(task, tmp_path / "run", config, verbose=0)
    logits = run.exit_logits["validation"]
    taken = np.asarray(run.model.policy.choose(logits))
    predicted = logits.argmax(axis=2)
    answered = predicted[np.arange(len(taken)), taken]
    assert run.calibration.accuracy == pytest.approx(recall(few.labels, answered))
    last = recall(few.labels, predicted[:, -1])
    assert run.calibration.full_depth_accuracy == pytest.approx(last)
    kept = run.history["val_calibrated_accuracy"][run.epoch - 1]
    assert kept == pytest.approx(run.calibration.accuracy)
    tested = run.exit_logits["test"].argmax(axis=2)[:, -1]
    assert (tested == task.test.labels).mean() > 0.8


def test_latent_weights_stay_in_the_polynomials_support(undisturbed):
    latent = [w for w in undisturbed.model.weights if "kernel:0" in w.name and "matmul" in w.name]
    assert len(latent) == 8 * TOY_SIZE["num_blocks"]
    for weights in latent:
        values = getattr(weights, "latent_variable", weights).numpy()
        assert np.abs(values).max() <= 1.0
