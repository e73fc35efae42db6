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
from interrupted import Count, Interrupt, same_weights
from toy import FILL, TOY_SIZE, data_options, toy_files

from beex_keras import (
    BeexError,
    BEExformerConfig,
    FractionalEntropy,
    SoftRoutingLoss,
    TrainingConfig,
    cli,
    load_task,
)
from beex_keras.models import BEExformerClassifier
from beex_keras.training import CalibratedAccuracy, epochs, train
from beex_keras.training.optimizer import make_optimizer

RECIPE = TrainingConfig(epochs=3, batch_size=8, learning_rate=1e-2)
"""That of `toy_run`."""


@pytest.fixture(scope="module")
def task(toy_run):
    return load_task(**toy_files(toy_run))


def toy_config(**changes):
    return BEExformerConfig.preset("tiny", **TOY_SIZE, **changes)


@pytest.fixture(scope="module")
def undisturbed(task, toy_run):
    """The finished run, by the settings that it was trained with."""
    return train(task, toy_run / "run", model=toy_config(), training=RECIPE, verbose=0)


@pytest.mark.parametrize("length", [6, 12])
def test_says_how_many_texts_are_cut(task, tmp_path, no_steps, capsys, length):
    config = toy_config().replace(max_length=length)
    train(task, tmp_path, model=config, training=RECIPE, verbose=1)
    lines = [line for line in capsys.readouterr().err.splitlines() if "are cut" in line]
    words = np.array([len(text.split()) for text in task.train.texts])  # a token each, and two more
    share = np.mean(words + 2 > length)
    said = f"{share:.0%} of the training texts have more than the 6 tokens that the model reads, and are cut"
    advice = "--set max_length=12 reads more and takes longer."
    assert lines == ([f"{said}; {advice}"] if share else [])
    assert (share > 0.1) == (length == 6)


def test_says_what_it_read(tmp_path, no_steps, capsys):
    texts = [f"{FILL[i % 6]} {i} ok" for i in range(90)]
    labels = [("yes", "no", "No")[i % 3] for i in range(90)]
    train((texts, labels), tmp_path / "run", preset="micro", init="none", epochs=1, verbose=1)
    lines = capsys.readouterr().err.splitlines()
    assert "Texts: 72 for training, 9 for validation, 9 for the test, with 3 classes." in lines
    assert "warning: The classes No, no differ only in case." in lines


def test_says_what_makes_accuracy_misleading(tmp_path, no_steps, capsys):
    texts = [*(f"{FILL[i % 6]} {i} ok" for i in range(90)), "an odd one", "An odd  one"]
    labels = [*("usual" if i % 10 else "rare" for i in range(90)), "usual", "rare"]
    held_out = {
        "validation": (texts[50:55], labels[50:55]),
        "test": (["new", *texts[:3]], labels[:4]),
    }
    settings = {"preset": "micro", "init": "none", "epochs": 1, "verbose": 1}
    train((texts, labels), tmp_path / "run", **held_out, **settings)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:5] == [
        "warning: 5 of the 5 validation texts are training texts, too, so the accuracy there may be too high.",
        "warning: 3 of the 4 test texts are training texts, too, so the accuracy there may be too high.",
        "warning: 1 training text has more than one label.",
        "The class usual has 89% of the 92 training texts, so a model that always answers it has that accuracy.",
    ]


def test_says_that_whole_numbers_are_classes(tmp_path, no_steps, capsys):
    texts, numbers = [f"{FILL[i % 6]} {i} ok" for i in range(90)], [i % 15 for i in range(90)]
    settings = {"preset": "micro", "init": "none", "epochs": 1, "verbose": 1}
    train((texts, numbers), tmp_path / "run", **settings)
    assert "Each whole number is a class; --task-kind regression" in capsys.readouterr().err


def test_texts_that_do_not_look_like_english(tmp_path, no_steps, capsys):
    texts = [f"überschrift zweifelhaft {i} höchstwahrscheinlich" for i in range(60)]
    train((texts, [i % 2 for i in range(60)]), tmp_path / "run", epochs=1, verbose=1)
    assert "if they are, add --init binary-minilm." in capsys.readouterr().err


def test_learns_calibrates_and_writes_the_run_folder(undisturbed):
    assert undisturbed.evaluation.score > 0.9
    assert undisturbed.evaluation.full_depth_score > 0.8
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


@pytest.fixture(scope="module")
def uneven(task):
    """The task with few texts of one class to validate by, scored by Matthews' correlation."""
    negative, positive = (np.flatnonzero(task.validation.labels == label) for label in (0, 1))
    rows = np.concatenate([negative, positive[:5]])
    return dataclasses.replace(task, validation=task.validation.rows(rows), metric="matthews")


@pytest.fixture(scope="module")
def binary_run(uneven, tmp_path_factory):
    """A fully binary model, trained with a margin and without dropout."""
    config = toy_config(**MODES["fully-binary"], dropout=0.0, token_dropout=0.0)
    recipe = dataclasses.replace(RECIPE, epochs=4, margin=0.5)
    return train(
        uneven, tmp_path_factory.mktemp("binary") / "run", model=config, training=recipe, verbose=0
    )


def test_a_fully_binary_model_trains(uneven, binary_run):
    assert binary_run.calibration.margin == 0.5
    last = binary_run.exit_logits["test"].argmax(axis=2)[:, -1]
    assert (last == uneven.test.labels).mean() > 0.8


@pytest.mark.slow
def test_a_float_model_trains(task, tmp_path):
    config = toy_config(**MODES["float"], dropout=0.0, token_dropout=0.0)
    run = train(task, tmp_path / "run", model=config, training=RECIPE, verbose=0)
    assert run.evaluation.full_depth_score > 0.8


@pytest.fixture
def loops(monkeypatch):
    """`loops(task, config, recipe, directory)`: what `train` gives to the loop, once it would."""

    def given(task, config, recipe, directory):
        found = {}

        def record(model, make_epoch, *_, **options):
            found.update(options, weights=model.get_weights(), make_epoch=make_epoch)
            raise BeexError("recorded")

        monkeypatch.setattr(epochs, "fit", record)
        with pytest.raises(BeexError, match="recorded"):
            train(task, directory, model=config, training=recipe)
        return found

    return given


def test_a_seed_gives_first_weights_and_batches(task, loops, tmp_path):
    """All else is computed from these: `test_interrupted_training` trains twice by one seed."""
    found = []
    for number, seed in enumerate((0, 0, 1)):
        recipe = dataclasses.replace(RECIPE, seed=seed)
        given = loops(task, toy_config(), recipe, tmp_path / str(number))
        ids, _ = next(iter(given["make_epoch"](0, 0)))
        found.append([*given["weights"], ids.numpy()])
    pairs = [[np.array_equal(*pair) for pair in zip(found[0], x, strict=True)] for x in found[1:]]
    assert all(pairs[0])
    assert not pairs[1][-1] and not all(pairs[1][:-1])


def test_an_epoch_can_begin_behind_its_first_batches(task, loops, tmp_path):
    """All that the loop needs to continue a training, beside its own checkpoints."""
    given = loops(task, toy_config(), RECIPE, tmp_path / "run")
    whole, rest = (list(given["make_epoch"](1, skip).as_numpy_iterator()) for skip in (0, 22))
    assert len(whole) == 25 and len(rest) == 3
    for batch, expected in zip(rest, whole[22:], strict=True):
        for one, other in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    assert set(given["trackables"]) == {"annealing_step"}


def test_the_loop_gets_the_recipes_patience_and_slack(task, loops, tmp_path):
    recipe = dataclasses.replace(RECIPE, margin=2.0, patience=5)
    given = loops(task, toy_config(), recipe, tmp_path / "with")
    assert given["patience"] == 5
    assert given["slack"](0.9) == pytest.approx(2.0 * (0.9 * 0.1 / len(task.validation)) ** 0.5)
    assert given["slack"](np.nextafter(1.0, 2.0)) == 0  # beyond 1 by rounding
    recipe = dataclasses.replace(RECIPE, margin=0.0)
    given = loops(task, toy_config(), recipe, tmp_path / "without")
    assert given["patience"] == 0 and given["slack"] is None


@pytest.mark.slow
def test_interrupted_training_ends_with_the_same_weights(task, undisturbed, tmp_path):
    epoch, batch = 0, 4
    with pytest.raises(KeyboardInterrupt):
        train(
            task,
            tmp_path / "run",
            model=toy_config(),
            training=RECIPE,
            verbose=0,
            callbacks=[Interrupt(epoch, batch)],
            checkpoint_seconds=0,
        )
    assert not (tmp_path / "run" / "results.json").exists()
    rest = Count()
    run = train(
        task, tmp_path / "run", model=toy_config(), training=RECIPE, verbose=0, callbacks=[rest]
    )
    epoch_steps = len(task.train.texts) // RECIPE.batch_size
    # The interrupt comes before the step it falls into is saved.
    assert rest.steps == (RECIPE.epochs - epoch) * epoch_steps - batch
    assert same_weights(run.model, undisturbed.model)
    assert run.evaluation == undisturbed.evaluation


@pytest.mark.slow
def test_killed_command_continues_to_the_same_weights(toy_run, undisturbed, tmp_path, capsys):
    """And to those that `train` of the package found with these settings."""
    arguments = [
        "train",
        "--preset",
        "tiny",
        "--json",
        "--epochs",
        "3",
        "--set",
        "batch_size=8",
        "--learning-rate",
        "0.01",
        "--set",
        "checkpoint_seconds=0",
        "--set",
        "precision=float32",
        "-o",
        str(tmp_path / "run"),
        *data_options(toy_run),
        *(f"--set={name}={value}" for name, value in TOY_SIZE.items()),
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


@pytest.mark.slow
def test_a_run_has_the_weights_of_the_kept_epoch(task, tmp_path, monkeypatch):
    measure, values, seen = CalibratedAccuracy._measure, iter([0.4, 0.9, 0.87, 0.3]), []
    monkeypatch.setattr(
        CalibratedAccuracy, "_measure", lambda self: [*measure(self)[:-2], next(values), 1.0]
    )

    class Watch(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append([w.numpy() for w in self.model.trainable_variables])

    recipe = dataclasses.replace(RECIPE, epochs=4, margin=1.0)
    error = (0.9 * 0.1 / len(task.validation)) ** 0.5
    assert 0.03 < error < 0.4
    run = train(
        task, tmp_path / "run", model=toy_config(), training=recipe, verbose=0, callbacks=[Watch()]
    )
    assert run.epoch == 3
    for found, kept in zip(run.model.trainable_variables, seen[2], strict=True):
        np.testing.assert_array_equal(found, kept)


def test_epoch_and_threshold_are_chosen_by_the_tasks_metric(uneven, binary_run):
    """For Matthews by the mean recall: what the frequent class alone reaches counts for nothing."""
    recall = pytest.importorskip("sklearn.metrics").balanced_accuracy_score
    run, labels = binary_run, uneven.validation.labels
    logits = run.exit_logits["validation"]
    taken = np.asarray(run.model.policy.choose(logits))
    predicted = logits.argmax(axis=2)
    assert run.calibration.accuracy == pytest.approx(
        recall(labels, predicted[np.arange(len(labels)), taken])
    )
    assert run.calibration.full_depth_accuracy == pytest.approx(recall(labels, predicted[:, -1]))
    kept = run.history["val_calibrated_accuracy"][run.epoch - 1]
    assert kept == pytest.approx(run.calibration.accuracy)


def test_latent_weights_stay_in_the_polynomials_support(undisturbed):
    latent = [w for w in undisturbed.model.weights if "kernel:0" in w.name and "matmul" in w.name]
    assert len(latent) == 8 * TOY_SIZE["num_blocks"]
    for weights in latent:
        values = getattr(weights, "latent_variable", weights).numpy()
        assert np.abs(values).max() <= 1.0


def test_optimizer_decays_real_matrices_only():
    model = BEExformerClassifier(tiny_config(num_blocks=1))
    optimizer = make_optimizer(RECIPE, 100, model.config)
    decayed = {w.name for w in model.trainable_variables if optimizer._use_weight_decay(w)}
    assert decayed == {"embedding/position:0", "exit_1/logits/kernel:0"}
    twin = BEExformerClassifier(model.config.twin())
    optimizer = make_optimizer(RECIPE, 100, twin.config)
    assert any("query/matmul" in w.name for w in twin.weights if optimizer._use_weight_decay(w))


def test_callback_serves_keras_early_stopping():
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
