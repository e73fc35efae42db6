"""Training by several devices and processes: the result of one, whatever happens to them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from commands import exit_code as beex
from distributed_worker import BLOCKS, RECIPE, SIZE, train_toy
from toy import data_options, write_toy_files

from beex_keras import BeexError, cli
from beex_keras.models import BEExformerClassifier
from beex_keras.training import cluster, distribution, epochs, run_folder
from beex_keras.training.cluster import VARIABLE, Cluster, meet, read_cluster
from beex_keras.training.distribution import share_rows

TIME_LIMIT = 1500  # no result depends on it; only a process that hangs would reach it
WORKER = str(Path(__file__).with_name("distributed_worker.py"))


def free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return [f"127.0.0.1:{port}" for port in ports]


def tf_config(addresses: list[str], index: int, job: str = "worker") -> str:
    return json.dumps({"cluster": {job: addresses}, "task": {"type": job, "index": index}})


def start(*arguments: object, config: str | None = None) -> subprocess.Popen:
    """A Python process with one thread for each kind of work."""
    root = Path(cli.__file__).parents[2]
    environment = {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(root),
        **({VARIABLE: config} if config else {}),
    }
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def start_pair(*arguments: object, also: dict[int, list[str]] | None = None) -> list:
    """Two workers of a cluster on this machine; `also` has further arguments by index."""
    addresses = free_addresses(2)
    return [
        start(*arguments, *(also or {}).get(index, []), config=tf_config(addresses, index))
        for index in range(2)
    ]


def end(processes: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit code and standard error of each."""
    try:
        errors = [process.communicate(timeout=TIME_LIMIT)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, and in "cluster" what two workers made of it."""
    path = tmp_path_factory.mktemp("distribution")
    write_toy_files(path, train=60, others=20)
    runs = path / "cluster"
    for code, error in end(start_pair(WORKER, path, runs / "plain", runs / "dropout")):
        assert code == 0, error
    return path


@pytest.fixture(scope="module")
def single(folder):
    return train_toy(folder, folder / "single" / "plain")


def weights(run: Path) -> list[np.ndarray]:
    return BEExformerClassifier.from_pretrained(run / "model").get_weights()


def close_histories(run: Path, single: dict[str, list[float]]) -> None:
    history = json.loads((run / "history.json").read_text())
    assert history.keys() == single.keys()
    for name, values in history.items():
        # While training, rows weigh more in batches whose shares are filled up.
        atol = 1e-4 if name.startswith("val") else 0.1
        np.testing.assert_allclose(values, single[name], atol=atol, err_msg=name)


@pytest.mark.slow
def test_a_cluster_gives_the_result_of_one_process(folder, single):
    run = folder / "cluster" / "plain"
    model = BEExformerClassifier.from_pretrained(run / "model")
    for ours, theirs in zip(model.get_weights(), single.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    latent = np.concatenate([w.ravel() for w in model.get_weights() if w.ndim == 4])
    assert np.abs(latent).max() == 1.0, "no latent weight came to the bound"
    lines = (folder / "test.jsonl").read_text().splitlines()
    logits = model.predict([json.loads(line)["text"] for line in lines], verbose=0)
    np.testing.assert_allclose(logits, single.exit_logits["test"], atol=1e-2)
    chosen = single.model.policy.choose(logits)
    assert (chosen == single.model.policy.choose(single.exit_logits["test"])).all()
    close_histories(run, single.history)


@pytest.mark.slow
def test_the_first_worker_writes_the_run_folder_as_one_process_would(folder, single):
    names = {path.name for path in (folder / "cluster" / "plain").iterdir()}
    assert names == {path.name for path in single.directory.iterdir()}
    settings = [
        (run / "run.json").read_text() for run in (folder / "cluster" / "plain", single.directory)
    ]
    assert settings[0] == settings[1], "the strategy is no setting"


@pytest.mark.slow
def test_cluster_with_a_killed_worker_ends_and_continues_to_the_same_weights(folder):
    run = folder / "killed" / "dropout"
    (code, error), (killed, _) = end(start_pair(WORKER, folder, run, also={1: ["--die"]}))
    assert killed < 0 and code == 1
    assert "start the same command on all workers again" in error.splitlines()[-1]
    assert (run / "checkpoints").exists() and not (run / "results.json").exists()
    moved = folder / "moved" / "dropout"
    shutil.copytree(run, moved)
    options = data_options(folder)
    size = {**SIZE, "num_blocks": BLOCKS["dropout"]}
    options += [f"--set={name}={value}" for name, value in size.items()]
    options += ["--set=dropout=0.1", "--set=token_dropout=0.1", "--preset=micro"]
    options += [f"--epochs={RECIPE.epochs}", f"--set=batch_size={RECIPE.batch_size}"]
    options += [f"--learning-rate={RECIPE.learning_rate}", "--set=strategy=multiworker"]
    options += ["--set=precision=float32"]
    options += [f"--set=wait_seconds={TIME_LIMIT}", "--json"]
    for code, error in end(start_pair("-m", "beex_keras.cli", "train", *options, "-o", run)):
        assert code == 0, error
    undisturbed = weights(folder / "cluster" / "dropout")
    assert all((a == b).all() for a, b in zip(weights(run), undisturbed, strict=True))
    alone = train_toy(folder, moved)  # one process can take over, with masks of its own
    assert len(alone.history["loss"]) == RECIPE.epochs


# === Shares ===


def layer_trained(folder, strategy, columns):
    """What `epochs.fit` leaves of a layer, and its weights as one device has them."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(40, columns)).astype(np.float32)
    labels = rows.argmax(axis=1)
    tf.keras.utils.set_random_seed(1)
    with distribution.scope(strategy):
        model = tf.keras.Sequential([tf.keras.Input((columns,)), tf.keras.layers.Dense(columns)])
        model.compile(
            tf.keras.optimizers.AdamW(1e-2, global_clipnorm=0.1),
            tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=["accuracy"],
        )
    batches = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(7)  # of 7, and one of 5
    epochs.fit(
        model,
        lambda epoch, skip: batches.skip(skip),
        6,
        3,
        folder,
        monitor="accuracy",
        verbose=0,
    )
    copy = distribution.local_copy(model)
    assert copy.distribute_strategy.num_replicas_in_sync == 1
    return run_folder.read_history(folder), copy.get_weights()


@pytest.mark.parametrize("before", [None, 3])
def test_two_replicas_train_a_layer_as_one_device(tmp_path, before):
    """Also where the process has trained another layer in this way before."""
    if before is not None:
        layer_trained(tmp_path / "before", distribution.make_strategy("mirrored"), before)
    both = distribution.make_strategy("mirrored")
    assert isinstance(both, tf.distribute.MirroredStrategy)
    assert both.num_replicas_in_sync == 2
    history, weights = layer_trained(tmp_path / "two", both, 5)
    single, expected = layer_trained(tmp_path / "one", distribution.make_strategy("none"), 5)
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert history.keys() == single.keys()
    for name in history:
        # Rows weigh more in a batch whose shares are filled up.
        np.testing.assert_allclose(history[name], single[name], atol=0.1)


def mean_of_shares(weights, losses) -> float:
    """As Keras: the mean of loss times weight over a replica's rows, then the mean over replicas."""
    shares = zip(losses, weights, strict=True)
    return np.mean([np.sum(loss * weight) / max(loss.size, 1) for loss, weight in shares])


@pytest.mark.parametrize("replicas", [1, 2, 3, 5])
@pytest.mark.parametrize("rows", [1, 4, 7])
def test_mean_of_the_shares_is_the_mean_of_the_batch(replicas, rows):
    losses = np.random.default_rng(rows).normal(size=rows).astype(np.float32)
    batch = tf.constant(losses), tf.range(rows)
    shares = [share_rows(batch, tf.constant(i, tf.int64), replicas) for i in range(replicas)]
    assert len({tuple(share[0].shape) for share in shares}) == 1, "not the same random numbers"
    found = mean_of_shares([share[2].numpy() for share in shares], [s[0].numpy() for s in shares])
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-5, atol=1e-7)
    real = np.concatenate([labels[weights > 0] for _, labels, weights in shares])
    assert real.tolist() == list(range(rows))


def test_without_a_strategy_batches_stay_as_they_are():
    dataset = tf.data.Dataset.range(3)
    assert distribution.share_batches(dataset, tf.distribute.get_strategy()) is dataset
    assert distribution.make_strategy("none") is tf.distribute.get_strategy()


# === Clusters ===


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "needs the environment variable TF_CONFIG"),
        ("", "needs the environment variable TF_CONFIG"),
        ("{cluster", "not valid JSON"),
        ("[]", "lacks a usable 'cluster'"),
        ('{"cluster": {"worker": ["a:1"]}}', "lacks a usable 'task'"),
        (tf_config(["a:1", "a:1"], 0), "no address twice"),
        (tf_config([], 0), "at least one worker"),
        (tf_config(["a:1", "b:2"], 2), "worker 2, which is not in its cluster"),
        (tf_config(["a:1", "b:2"], -1), "worker -1, which is not in its cluster"),
        (tf_config(["a:1", "b"], 0), "'b' .* must have the form host:port"),
        (tf_config(["a:1", 7], 0), "7 .* must have the form host:port"),
        (tf_config("a:1", 0), "must be lists"),
        (tf_config(["a:1"], 0, "ps"), "has a job 'ps'"),
        (tf_config(["a:1", "b:2"], 0, "chief"), "at most one chief"),
    ],
)
def test_wrong_tf_config_is_refused(value, sentence, monkeypatch):
    if value is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(BeexError, match=sentence):
        read_cluster()


def test_chief_stands_before_the_workers(monkeypatch):
    jobs = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    config = {"cluster": jobs, "task": {"type": "worker", "index": "1"}}
    monkeypatch.setenv(VARIABLE, json.dumps(config))
    assert read_cluster() == Cluster(("c:3", "a:1", "b:2"), 2)


def test_workers_find_each_other():
    addresses = tuple(free_addresses(3))
    threads = [
        threading.Thread(target=meet, args=(Cluster(addresses, index), TIME_LIMIT))
        for index in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIME_LIMIT)
        assert not thread.is_alive()
    for address in addresses:  # and leave their addresses to TensorFlow
        socket.create_server(cluster._split(address)).close()


def test_a_worker_that_is_not_there_is_named():
    addresses = tuple(free_addresses(3))
    said = []
    with pytest.raises(
        BeexError, match=f"No answer from {addresses[0]} and {addresses[2]} within 0.1"
    ):
        meet(Cluster(addresses, 1), 0.1, said.append)
    assert said == [f"waiting for {addresses[0]} and {addresses[2]}"]


def test_what_is_no_worker_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = f"127.0.0.1:{server.getsockname()[1]}"

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\0\0\x12\4\0\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(BeexError, match=f"No answer from {there} within 0 seconds"):
            meet(Cluster((*free_addresses(1), there), 0), 0.0)


def test_workers_of_different_clusters_do_not_train_together():
    addresses = free_addresses(3)
    other = Cluster((*addresses[1::-1], addresses[2]), 0)  # thinks itself the first
    with (
        cluster._Greeter(other, {1, 2}, 0.0) as greeter,
        pytest.raises(
            BeexError, match=f"answers at {addresses[1]} is not worker 1 of this cluster"
        ),
    ):
        meet(Cluster(tuple(addresses), 0), TIME_LIMIT)
    assert greeter.unheard == {1, 2}


def test_a_taken_port_is_an_error():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BeexError, match=f"Port {port} of this machine cannot be opened"):
            meet(Cluster((f"localhost:{port}", "localhost:1"), 0), 0.0)


def test_command_without_a_cluster_says_what_to_set(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(VARIABLE, raising=False)
    command = ("train", "rotten_tomatoes")
    assert beex(*command, "--set", "strategy=multiworker", "-o", tmp_path / "run") == 2
    assert "error: The strategy multiworker needs the environment" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_folder_than_the_first_workers_is_refused(tmp_path):
    from beex_keras.training.run_folder import open_run

    with pytest.raises(BeexError, match="is not the folder that the first worker has opened"):
        open_run(tmp_path / "run", {}, create=False)
    assert not (tmp_path / "run").exists()
