"""The folder of a training: who may write in it, and what a refused or killed training leaves there."""

import dataclasses
import subprocess
import sys

import pytest
import tensorflow as tf
from toy import TOY_SIZE, toy_files

from beex_keras import BeexError, BEExformerConfig, TrainingConfig, load_task, train
from beex_keras.training import run_folder

SHORT = {**TOY_SIZE, "init": "none", "epochs": 1, "verbose": 0}
RECIPE = TrainingConfig(epochs=3, batch_size=8, learning_rate=1e-2)
"""That of `toy_run`."""


@pytest.fixture(scope="module")
def task(toy_run):
    return load_task(**toy_files(toy_run))


def toy_config():
    return BEExformerConfig.preset("tiny", **TOY_SIZE)


@pytest.fixture(scope="module")
def finished(task, toy_run):
    """The finished run, by the settings that it was trained with."""
    return train(task, toy_run / "run", model=toy_config(), training=RECIPE, verbose=0)


def test_a_refused_training_can_be_corrected(toy_run, tmp_path):
    words = {**toy_files(toy_run), "output": tmp_path / "run", **SHORT}
    with pytest.raises(BeexError, match="The exit policy 'change' reads the change of a number"):
        train(policy="change", **words)
    assert not (tmp_path / "run").exists()
    with pytest.raises(BeexError, match="A vocabulary of 5 tokens has no room"):
        train(**{**words, "vocabulary_size": 5})
    assert not (tmp_path / "run").exists()
    train(**words)
    with pytest.raises(BeexError, match=r"other settings \(policy\)"):
        train(policy="entropy", **words)
    assert (tmp_path / "run" / "results.json").exists()


def test_what_was_trained_stays(tmp_path):
    kept = [tmp_path / name for name in (run_folder.SETTINGS, "checkpoints")]
    for path in kept:
        path.write_text("")
    with pytest.raises(BeexError), run_folder.removed_if_refused(tmp_path):
        raise BeexError("No.")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


@pytest.mark.parametrize("content", ["", "\n \n", "a good film\n"], ids=["empty", "blank", "known"])
def test_unlabelled_files_without_a_new_text_are_refused_first(tmp_path, content):
    (tmp_path / "more.txt").write_text(content, "utf-8")
    texts = ["a good film", *(f"film {number}" for number in range(39))]
    labels = ["good", "bad"] * 20
    words = {"unlabelled": tmp_path / "more.txt", "teacher": "twin", **SHORT}
    with pytest.raises(BeexError, match="No line of .*more.txt is a new text; give texts"):
        train((texts, labels), tmp_path / "run", **words)
    assert not (tmp_path / "run").exists()


def test_differences_are_named_as_people_give_them(tmp_path):
    shape, encoder = {"width": 8, "num_blocks": 2}, {"kind": "encoder", "name": "minilm"}
    settings = {"model": shape, "init": encoder, "teacher": encoder}
    run_folder.open_run(tmp_path / "run", settings)
    other = {"model": {**shape, "width": 16}, "init": {**encoder, "name": "other"}}
    with pytest.raises(BeexError, match=r"other settings \(width, init, teacher\)"):
        run_folder.open_run(tmp_path / "run", other)


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


def test_finished_run_is_only_read(finished, toy_run):
    newest = max(path.stat().st_mtime_ns for path in finished.directory.rglob("*"))
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


def test_foreign_and_different_folders_are_refused(task, finished, tmp_path):
    other = TrainingConfig(**{**RECIPE.to_dict(), "epochs": 5})
    with pytest.raises(BeexError, match=r"other settings \(epochs\)"):
        train(task, finished.directory, model=toy_config(), training=other, verbose=0)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(BeexError, match="not a run folder"):
        train(task, tmp_path, model=toy_config(), training=RECIPE, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
