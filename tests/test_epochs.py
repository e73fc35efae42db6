"""The training loop alone, on one Dense layer."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from interrupted import Count, Interrupt, same_weights

from beex_keras import BeexError
from beex_keras.training import epochs, run_folder

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


def test_a_full_disk_ends_a_training_with_a_sentence(tmp_path, monkeypatch):
    fit_dense(tmp_path / "one", [0.1])
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    for seconds in (0, 60):  # in a checkpoint, and in the best epoch's weights
        with pytest.raises(BeexError, match=rf"{seconds}(.checkpoints)? has 0\.0 MB left"):
            fit_dense(tmp_path / str(seconds), [0.1], checkpoint_seconds=seconds)
        assert not (tmp_path / str(seconds) / epochs.BEST_WEIGHTS).exists()


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
