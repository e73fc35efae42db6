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
from beex_keras.training import CalibratedAccuracy, epochs, run_folder, train
from beex_keras.training.optimizer import make_optimizer

RECIPE = TrainingConfig(epochs=3, batch_size=8, learning_rate=1e-2)
"""That of `toy_run`."""


@pytest.fixture(scope="module")
def task(toy_run):
    return load_task(**toy_files(toy_run))


def toy_config(**changes):
    return BEExformerConfig.preset("tiny", **TOY_SIZE, **changes)


def same_weights(one, other):
    return all((a == b).all() for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


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


def test_what_a_killed_process_left_is_removed(task, tmp_path):
    """And does not keep a run from starting, if it is of the very first file."""
    pytest.importorskip("fcntl")
    words = {"model": toy_config(), "training": dataclasses.replace(RECIPE, epochs=1), "verbose": 0}
    code = """if True:
        import os, sys
        from beex_keras.files import atomic_path
        with atomic_path(sys.argv[1]) as temporary:
            temporary.write_text("half")
            os._exit(1)
    """
    for name in ("run.json", "texts.ids"):
        subprocess.run([sys.executable, "-c", code, tmp_path / "run" / name])
    assert len(list((tmp_path / "run").rglob("*"))) == 4
    train(task, tmp_path / "run", **words)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_finished_run_is_only_read(undisturbed, toy_run):
    newest = max(path.stat().st_mtime_ns for path in undisturbed.directory.rglob("*"))
    assert newest <= (toy_run / "model.tflite").stat().st_mtime_ns  # made before this read


def test_nobody_else_trains_in_the_folder_meanwhile(task, tmp_path):
    pytest.importorskip("fcntl")
    words = {"model": toy_config(), "training": dataclasses.replace(RECIPE, epochs=1), "verbose": 0}

    def train_too(epoch, logs=None):
        with pytest.raises(BeexError, match="Another process trains"):
            train(task, tmp_path / "run", **words)
        refused.append(epoch)

    refused = []
    callback = tf.keras.callbacks.LambdaCallback(on_epoch_begin=train_too)
    train(task, tmp_path / "run", callbacks=[callback], **words)
    assert refused == [0]
    assert train(task, tmp_path / "run", **words).history  # a finished run is read by anybody


def test_foreign_and_different_folders_are_refused(task, undisturbed, tmp_path):
    other = TrainingConfig(**{**RECIPE.to_dict(), "epochs": 5})
    with pytest.raises(BeexError, match=r"other settings \(epochs\)"):
        train(task, undisturbed.directory, model=toy_config(), training=other, verbose=0)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(BeexError, match="not a run folder"):
        train(task, tmp_path, model=toy_config(), training=RECIPE, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


# === The loop alone, on one Dense layer ===

STEPS = 5


class Score(tf.keras.callbacks.Callback):
    """Logs given values as what the loop compares epochs by, and the weights of each epoch."""

    def __init__(self, values):
        super().__init__()
        self.values, self.weights = values, []

    def on_epoch_end(self, epoch, logs=None):
        logs["val_score"] = self.values[epoch]
        self.weights.append(self.model.get_weights())


def fit_dense(directory, values=range(4), callbacks=(), **options):
    """A new layer, trained for as many epochs as there are values: it and the callback."""
    tf.keras.utils.set_random_seed(3)
    model = tf.keras.Sequential([tf.keras.layers.Dense(2, input_shape=(3,))])
    model.compile(tf.keras.optimizers.Adam(0.1), "mse")

    def make_epoch(epoch, skip):
        generator = np.random.default_rng(epoch)
        x, y = generator.normal(size=(STEPS, 4, 3)), generator.normal(size=(STEPS, 4, 2))
        return tf.data.Dataset.from_tensor_slices((x[skip:], y[skip:]))

    score = Score(list(values))
    epochs.fit(
        model,
        make_epoch,
        STEPS,
        len(score.values),
        directory,
        monitor="val_score",
        callbacks=[score, *callbacks],
        verbose=0,
        **options,
    )
    return model, score


@pytest.mark.parametrize("when", [(0, 0), (0, 4), (1, 0), (2, 3)])
def test_an_interrupted_loop_ends_with_the_same_weights(tmp_path, when):
    whole, _ = fit_dense(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit_dense(tmp_path / "run", callbacks=[Interrupt(*when)], checkpoint_seconds=0)
    rest = Count()
    resumed, _ = fit_dense(tmp_path / "run", callbacks=[rest])
    epoch, batch = when
    # The interrupt comes before the step it falls into is saved.
    assert rest.steps == (4 - epoch) * STEPS - batch
    assert same_weights(resumed, whole)
    found, expected = (run_folder.read_history(tmp_path / name) for name in ("run", "whole"))
    assert found["val_score"] == expected["val_score"]
    for history in (found, expected):
        del history["loss"][epoch]  # of the steps that were left, in the epoch it resumed in
    assert found == expected


@pytest.mark.parametrize("patience", [0, 2])
def test_patience_stops_early(tmp_path, patience):
    values = [0.1, 0.5, 0.4, 0.5, 0.9, 0.8]
    _, score = fit_dense(tmp_path, values, patience=patience)
    assert len(score.weights) == (4 if patience else 6)
    assert run_folder.read_history(tmp_path)["val_score"] == values[: len(score.weights)]


def test_a_callback_may_end_the_training(tmp_path):
    _, score = fit_dense(tmp_path, callbacks=[StopAfter(1)])
    assert len(score.weights) == len(run_folder.read_history(tmp_path)["loss"]) == 2


class StopAfter(tf.keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch


@pytest.mark.parametrize(("slack", "kept"), [(None, 1), (0.05, 2)])
def test_the_weights_on_disk_are_those_of_the_kept_epoch(tmp_path, slack, kept):
    rule = None if slack is None else lambda best: slack
    model, score = fit_dense(tmp_path, [0.4, 0.9, 0.87, 0.3], slack=rule)
    model.load_weights(tmp_path / epochs.BEST_WEIGHTS)
    for found, expected in zip(model.get_weights(), score.weights[kept], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(score.weights[1][0], score.weights[2][0])


def test_an_epoch_without_a_number_is_refused(tmp_path):
    with pytest.raises(BeexError, match="Epoch 2 ended with val_score=nan"):
        fit_dense(tmp_path / "score", [0.5, float("nan")])

    class Diverging(tf.keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.set_weights([value * np.nan for value in self.model.get_weights()])

    with pytest.raises(BeexError, match="Epoch 1 ended with loss=nan"):
        fit_dense(tmp_path / "loss", [0.5, 0.5], [Diverging()])


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
    assert epochs.kept_epoch(values, None if slack is None else lambda best: slack) == kept


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
