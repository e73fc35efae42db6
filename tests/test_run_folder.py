"""The folder of a training: who may write in it, and what a refused or killed training leaves there."""

import subprocess
import sys

import pytest
import tensorflow as tf
from conftest import TOY_TRAINING
from toy import TOY_SIZE, toy_files

from beex_keras import BeexError, load_task, train
from beex_keras.training import run_folder

SHORT = {"preset": "tiny", "model": TOY_SIZE, "epochs": 1, "verbose": 0}


@pytest.fixture(scope="module")
def task(toy_run):
    return load_task(**toy_files(toy_run))


def test_a_refused_training_can_be_corrected(task, tmp_path, no_steps):
    folder = tmp_path / "run"
    with pytest.raises(BeexError, match="The exit policy 'change' reads the change of a number"):
        train(task, folder, policy="change", **SHORT)
    assert not folder.exists()
    train(task, folder, **SHORT)
    with pytest.raises(BeexError, match=r"other settings \(policy\)"):
        train(task, folder, policy="entropy", **SHORT)
    assert (folder / "results.json").exists()


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
    words = {"unlabelled": tmp_path / "more.txt", "teacher": "sst2-micro", **SHORT}
    with pytest.raises(BeexError, match="No line of .*more.txt is a new text; give texts"):
        train((texts, labels), tmp_path / "run", **words)
    assert not (tmp_path / "run").exists()


def test_differences_are_named_as_people_give_them(tmp_path):
    shape, encoder = {"width": 8, "num_blocks": 2}, {"kind": "encoder", "name": "minilm"}
    settings = {"model": shape, "init": encoder, "teacher": encoder}
    run_folder.open_run(tmp_path / "run", settings, ["[PAD]"])
    other = {"model": {**shape, "width": 16}, "init": {**encoder, "name": "other"}}
    with pytest.raises(BeexError, match=r"other settings \(width, init, teacher\)"):
        run_folder.open_run(tmp_path / "run", other, ["[PAD]"])


def test_what_a_killed_process_left_is_removed(task, tmp_path, no_steps):
    """And does not keep a run from starting, if it is of the very first file."""
    pytest.importorskip("fcntl")
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
    train(task, tmp_path / "run", **SHORT)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_a_finished_run_is_only_read(task, toy_run):
    def written():
        return {path: path.stat().st_mtime_ns for path in (toy_run / "run").rglob("*")}

    before = written()
    assert train(task, toy_run / "run", TOY_TRAINING, verbose=0).history
    assert written() == before


def test_nobody_else_trains_in_the_folder_meanwhile(task, tmp_path, eager):
    pytest.importorskip("fcntl")
    refused = []

    def train_too(epoch, logs=None):
        with pytest.raises(BeexError, match="Another process trains"):
            train(task, tmp_path / "run", **SHORT)
        refused.append(epoch)

    callback = tf.keras.callbacks.LambdaCallback(on_epoch_begin=train_too)
    train(task, tmp_path / "run", callbacks=[callback], **SHORT)
    assert refused == [0]


def test_foreign_and_different_folders_are_refused(task, toy_run, tmp_path):
    with pytest.raises(BeexError, match=r"other settings \(epochs\)"):
        train(task, toy_run / "run", TOY_TRAINING, epochs=5, verbose=0)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(BeexError, match="not a run folder"):
        train(task, tmp_path, TOY_TRAINING, verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
