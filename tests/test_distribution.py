"""Training by several devices and by several processes gives the weights of one device."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from interrupted import Interrupt
from toy import TOY_SIZE, data_options, toy_files, write_toy_files

import beex_keras as beex

ROOT = Path(beex.__file__).parents[1]
TIME_LIMIT = 600  # no result depends on it; only a process that hangs would reach it

SETTINGS = {
    "preset": "micro",
    # Replicas draw dropout masks of their own.
    "model": {**TOY_SIZE, "num_blocks": 1, "dropout": 0.0, "token_dropout": 0.0},
    "init": "none",
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "matmul_dtype": "float32",
    "save_steps": 3,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with the toy task; both replicas have equal shares of each of its batches."""
    folder = tmp_path_factory.mktemp("distribution")
    write_toy_files(folder, train=60, others=20)
    return folder


@pytest.fixture(scope="module")
def mirrored():
    """Two strategies of a process would mix up their collective operations."""
    strategy = tf.distribute.MirroredStrategy()
    assert strategy.num_replicas_in_sync == 2
    return strategy


def trained(data: Path, run: Path, **options):
    return beex.train(beex.load_task(**toy_files(data)), run, verbose=0, **{**SETTINGS, **options})


@pytest.fixture(scope="module")
def single(data):
    return trained(data, data / "single")


def assert_same_training(weights, history, single, begins: str = ""):
    """The same weights after training, and the same logs whose name begins so."""
    for ours, theirs in zip(weights, single.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert history.keys() == single.history.keys()
    for name in filter(lambda name: name.startswith(begins), history):
        np.testing.assert_allclose(history[name], single.history[name], atol=1e-3, err_msg=name)


# === Devices ===


def test_two_replicas_train_to_the_weights_of_one_device(data, mirrored, single, tmp_path):
    run = trained(data, tmp_path / "run", strategy=mirrored)
    assert_same_training(run.model.get_weights(), run.history, single)
    assert run.model.distribute_strategy.num_replicas_in_sync == 1


@pytest.mark.slow
def test_one_device_continues_a_training_of_two_replicas(data, mirrored, single, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        trained(data, tmp_path / "run", strategy=mirrored, callbacks=[Interrupt(1, 6)])
    run = trained(data, tmp_path / "run")
    # Keras' own logs of an epoch that continues are those of its last steps.
    assert_same_training(run.model.get_weights(), run.history, single, "val_")


@pytest.mark.slow
@pytest.mark.parametrize(
    "student",
    [
        # Each replica compares the hidden states of its own texts, so only the logits count here.
        {"num_blocks": 2, "hidden_loss_weight": 1e-6, "token_replacement_rate": 0.0},
        {"num_blocks": 1, "init": "none"},
    ],
    ids=["same shape", "other shape"],
)
def test_two_replicas_learn_from_a_teacher_as_one_device(
    student, toy_run, data, mirrored, tmp_path
):
    model = {**SETTINGS["model"], "num_blocks": student["num_blocks"]}
    options = {name: value for name, value in student.items() if name != "num_blocks"}
    options = {"init": None, **options, "model": model, "teacher": toy_run / "run"}
    run = trained(data, tmp_path / "two", strategy=mirrored, **options)
    alone = trained(data, tmp_path / "one", **options)
    assert_same_training(run.model.get_weights(), run.history, alone)


# === Processes ===


@contextmanager
def workers(data: Path, run: Path, **options) -> Iterator[list[subprocess.Popen]]:
    """Two workers that run the example on this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    settings = {**SETTINGS, **options}
    texts = [f"--set={name}={json.dumps(value)}" for name, value in settings.items()]
    command = [sys.executable, ROOT / "examples" / "train_workers.py", *data_options(data)]
    started = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": str(ROOT),
            "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task}),
        }
        started.append(
            subprocess.Popen(
                [*command, "-o", run, *texts],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def outputs(data: Path, run: Path, **options) -> list[str]:
    """The output of each worker of a training that ends well."""
    with workers(data, run, **options) as started:
        found = [process.communicate(timeout=TIME_LIMIT)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0], found
    return found


def assert_same_run(run: Path, single, begins: str = "") -> None:
    model = beex.BEExformerClassifier.from_pretrained(run)
    history = json.loads((run / "history.json").read_text("utf-8"))
    assert_same_training(model.get_weights(), history, single, begins)
    assert {path.name for path in run.iterdir()} == {p.name for p in single.directory.iterdir()}
    settings = [(folder / "run.json").read_text("utf-8") for folder in (run, single.directory)]
    assert settings[0] == settings[1]


@pytest.mark.slow
def test_two_workers_write_the_run_folder_of_one_process(data, single, tmp_path):
    first, other = outputs(data, tmp_path / "run")
    assert_same_run(tmp_path / "run", single)
    assert f"{single.evaluation.score:.4f} on the test split" in first
    assert "Epoch" not in other


def last_checkpoint(run: Path) -> int:
    state = run / "checkpoints" / "chief" / "checkpoint"
    found = (
        re.search(r'^model_checkpoint_path: "ckpt-(\d+)"', state.read_text())
        if state.exists()
        else None
    )
    return int(found[1]) if found else 0


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_workers_end_with_a_killed_one_and_continue_from_the_last_checkpoint(
    killed, data, tmp_path
):
    run = tmp_path / "run"
    with workers(data, run, epochs=4) as started:
        # An epoch has 8 steps, and a checkpoint follows each third one.
        while last_checkpoint(run) < 3:
            assert [process.poll() for process in started] == [None, None]
            time.sleep(0.01)
        started[killed].kill()
        started[1 - killed].communicate(timeout=TIME_LIMIT)
        assert started[1 - killed].returncode == 1
    assert not (run / "results.json").exists()
    first, _ = outputs(data, run, epochs=4)
    assert "Epoch 1/4" not in first and "Epoch 4/4" in first
    assert_same_run(run, trained(data, tmp_path / "single", epochs=4), "val_")
