"""Suites, locks and figures of the benchmark, each against cases worked out by hand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import glue_like
from filelock import FileLock
from toy import TOY_SIZE
from toy_suite import TOY

from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig
from beex_keras.training import TrainingConfig
from suite import collect, figures, run, summary, tables
from suite.description import load_suite
from suite.process import run_trial
from suite.run import load_tasks
from suite.trial import LOCK_FILE, LOGITS_FILE, MISSING, RESULT_FILE, read_logits, state

# === Locks ===


def test_a_cell_in_work_elsewhere_is_left_alone(toy):
    """As long as its lock is held; once the holder is killed, the trial is anybody's."""
    described = load_suite(toy / "toy.toml")
    tasks, _ = run.load_tasks(described, str(toy))
    (first, *_) = described.trials(tasks)
    folder = toy / "held" / first.folder
    folder.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / LOCK_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    seen = []
    run.run_trials(
        [first], str(toy / "toy.toml"), toy / "held", str(toy), report=lambda _, s: seen.append(s)
    )
    assert seen == ["running", "in work elsewhere"] and state(folder) == MISSING
    holder.kill()
    holder.wait()
    FileLock(folder / LOCK_FILE).acquire(timeout=60).lock.release()


HOLD = """
import sys, filelock
lock = filelock.FileLock(sys.argv[1]).acquire(blocking=False)
print("held", flush=True)
sys.stdin.read()
"""


# === Figures ===

LOGITS = np.array(
    # Two exits, two classes: the second exit mends text 1 and spoils text 2.
    [[[4, 0], [4, 0]], [[1, 0], [0, 3]], [[0, 1], [1, 0]], [[0, 3], [0, 5]]],
    np.float32,
)
LABELS = np.array([0, 1, 1, 1], np.int32)


def test_overthinking_by_hand():
    found = collect.overthinking(LOGITS.argmax(axis=2), LABELS)
    assert found == {"lost": [0.25], "gained": [0.25]}


def test_policy_figures_by_hand():
    logits = {
        "validation": LOGITS,
        "validation_labels": LABELS,
        "test": LOGITS,
        "test_labels": LABELS,
    }
    costs = np.array([0.5, 1.0])
    figures = collect.policy_figures(
        collect.POLICIES["confidence"],
        logits,
        costs,
        TrainingConfig(tolerance=0.5, margin=0.0),
        ["accuracy", "f1"],
    )
    # All may leave at exit 1. There the classes 0, 0, 1, 1 stand against 0, 1, 1, 1: precision 1,
    # recall 2/3.
    assert (
        figures["accuracy"] == 0.75 and figures["mean_depth"] == 1 and figures["flops_saved"] == 0.5
    )
    assert figures["f1"] == pytest.approx(0.8)
    assert figures["validation"] == 0.75
    assert figures["exit_shares"] == [1, 0]
    assert figures["curve"][0] == [1.0, 0.75] and figures["curve"][-1] == [0.5, 0.75]
    # Texts 1 and 2 are equally unsure. Where both run on, one is mended and the other spoiled.
    assert [0.75, 0.75] in figures["curve"]


def test_means_and_spreads():
    assert summary.Mean.of([0.5]) == summary.Mean(0.5, None, 1)
    mean = summary.Mean.of([0.7, 0.8, 0.9])
    assert (mean.value, mean.spread) == pytest.approx((0.8, 0.1))
    assert tables.points(mean) == "80.0 ± 10.0"
    assert tables.saving(summary.Mean(-0.001, None, 1)) == "0 %"


def toy_results(**changes):
    """Collected results of two tasks, two variants and two seeds, one training missing."""

    def trial(task, variant, seed, full, taken, saved):
        policy = {
            "accuracy": taken,
            "strict_score": taken,
            "flops_saved": saved,
            "strict_flops_saved": saved,
            "mean_depth": 1.5,
            "exit_shares": [0.5, 0.5],
            "curve": [[1.0, full], [0.5, taken]],
        }
        return {
            "task": task,
            "variant": variant,
            "seed": seed,
            "settings": "a",
            "exits": {"accuracy": [taken, full]},
            "policies": dict.fromkeys(collect.POLICIES, policy),
            "overthinking": {"lost": [0.1], "gained": [0.2]},
            "account": collect.size_figures(collect.count(BEExformerConfig(**TOY_SIZE))),
        }

    baselines = {
        "majority class": {"accuracy": 0.5},
        "TF-IDF + logistic regression": {"accuracy": 0.6},
    }
    task = {
        "metric": "accuracy",
        "classes": 2,
        "pairs": False,
        "splits": "a note",
        "texts": {"train": 4, "validation": 3, "test": 2},
        "baselines": baselines,
    }
    file = {
        "bytes": 50,
        "float32_bytes": 1000,
        "account": collect.size_figures(collect.count(BEExformerConfig(**TOY_SIZE))),
    }
    return {
        "suite": "toy",
        "about": "A toy",
        "code": {"0": 5},
        "versions": {"numpy": "1"},
        "tasks": {"one": task, "two": task},
        "tables": {"Main": {"tasks": ["one", "two"], "variants": ["twin", "binary"]}},
        "trials": [
            trial("one", "twin", 0, 0.8, 0.8, 0.1),
            trial("one", "twin", 1, 0.9, 0.8, 0.3),
            trial("one", "binary", 0, 0.7, 0.8, 0.5),
            trial("one", "binary", 1, 0.7, 0.6, 0.5),
            trial("two", "twin", 0, 0.6, 0.6, 0.5),
        ],
        "files": {"twin": file, "binary": file},
        "missing": [{"task": "two", "variant": "binary", "seed": 0, "settings": "a"}],
        "failed": [
            {
                "task": "two",
                "variant": "twin",
                "seed": 1,
                "settings": "a",
                "reason": "No disk is left.",
            }
        ],
        "skipped": {"three": "There is no folder THREE."},
        **changes,
    }


def test_rows_by_hand():
    results = toy_results()
    row = summary.row(results, "one", "twin")
    assert (row.full.value, row.full.spread) == pytest.approx((0.85, 0.0707), abs=1e-4)
    assert row.saved.value == pytest.approx(0.2)
    assert summary.row(results, "two", "binary") is None
    # A mean over tasks is of those that all variants have, with the seeds that all have.
    assert summary.measured(results) == (["one"], [0, 1])
    assert summary.over_tasks(results, "binary").exit.value == pytest.approx(0.7)
    # A task with fewer seeds than others does not count yet.
    results["trials"].append({**results["trials"][4], "variant": "binary"})
    assert summary.measured(results) == (["one"], [0, 1])
    results["trials"] += [{**trial, "seed": 1} for trial in results["trials"][-2:]]
    assert summary.measured(results) == (["one", "two"], [0, 1])
    both = summary.over_tasks(results, "twin")
    assert (both.full.value, both.full.count) == pytest.approx((0.725, 2))
    assert summary.over_tasks({**results, "trials": []}, "twin") is None


def test_differences_by_hand():
    results = toy_results()
    results["tables"]["Kind"] = {"tasks": ["one"], "variants": ["twin", "binary", "none"]}
    found = summary.difference(results, "Kind", "binary", "twin")  # -0.1 and -0.2
    assert (found.value, found.spread, found.count) == pytest.approx((-0.15, 0.0707, 2), abs=1e-4)
    assert summary.difference(results, "Kind", "none", "twin") is None
    # On both tasks no seed is there of both.
    assert summary.difference(results, "Main", "binary", "twin") is None
    assert "| Kind | binary | -15.0 ± 7.1 | not surely better |" in tables.choices(results, "twin")
    assert "| Kind | twin | +15.0 ± 7.1 | better |" in tables.choices(results, "binary")


def test_what_8_bit_activations_change_by_hand():
    results = toy_results()
    assert tables.conversions(results, "Main") == ""  # nothing was converted
    twins = [trial for trial in results["trials"] if trial["variant"] == "twin"]
    changes = ((0.75, 0.5), (0.5, 0.75), (0.5, 0.75))
    for trial, pair in zip(twins, changes, strict=True):
        trial["w1a8"] = {"full": pair, "exit": (0.5, 0.5), "saved": (0.1, 0.2)}
    same = "50.0 ± 0.0 | 50.0 ± 0.0 | +0.0 ± 0.0 | 10 % | 20 %"
    one, two, mean = tables.conversions(results, "Main").splitlines()[2:]
    assert one == f"| one | twin | 62.5 ± 17.7 | 62.5 ± 17.7 | +0.0 ± 35.4 | {same} |"
    assert two.startswith("| two | twin | 50.0 (1 seed) | 75.0 (1 seed) | +25.0 | 50.0 (1 seed) |")
    assert mean == "| mean |  |  |  | +12.50 |  |  | +0.00 |  |  |"


def test_gaps_are_filled_from_other_results():
    results = toy_results()
    twin = {**results["trials"][4], "seed": 1, "code": "1"}
    mine, better = {**results["trials"][0], "code": "0"}, {**results["trials"][0], "code": "1"}
    results["trials"] = [mine]
    filled = collect.fill_gaps(results, toy_results(trials=[better, twin]))
    assert filled["trials"] == [mine, twin]  # what both have is the first's
    assert filled["code"] == {"0": 1, "1": 1}
    assert filled["failed"] == [] and filled["missing"] == results["missing"]
    # A recipe that followed from the same arguments may have changed.
    first, second = ({**mine, "recipe": "a", "seed": seed} for seed in (0, 1))
    lacks = toy_results(trials=[first], missing=[second], failed=[])
    for recipe, count in (("a", 2), ("b", 1)):
        earlier = toy_results(trials=[{**second, "recipe": recipe}])
        assert len(collect.fill_gaps(lacks, earlier)["trials"]) == count
    # Trainings with other settings or texts fill nothing.
    other = toy_results(trials=[better, {**twin, "settings": "b"}])
    assert collect.fill_gaps(results, other)["trials"] == [mine]
    assert collect.left_behind(collect.fill_gaps(results, other), other) == other["trials"][1:]
    assert not collect.left_behind(filled, toy_results(trials=[better, twin]))
    with pytest.raises(BeexError, match="cannot be joined"):
        collect.fill_gaps(results, toy_results(suite="paper"))


def test_report_shows_what_is_there_and_what_is_not():
    text = tables.report(toy_results(), [("figures/a.png", "A figure")])
    assert "| one | 50.0 | 60.0 | 85.0 ± 7.1 | 70.0 ± 0.0 |" in text
    assert "| two | 50.0 | 60.0 | 60.0 (1 seed) | – |" in text
    assert "- three was left out. There is no folder THREE." in text
    assert "- binary is not trained yet on two (seed 0)." in text
    assert "twin on two, seed 1, failed: No disk is left." in text
    assert "![A figure](figures/a.png)" in text


def test_a_variant_that_is_trained_as_a_start_alone_has_no_figure(tmp_path):
    pytest.importorskip("matplotlib")
    trials = toy_results()["trials"]
    trials = [{**t, "task": "a start"} if t["variant"] == "binary" else t for t in trials]
    drawn = {name for name, _ in figures.save_figures(toy_results(trials=trials), tmp_path)}
    assert {"flops-twin.png", "exits-twin.png", "overthinking-twin.png"} <= drawn
    assert not any("binary" in name for name in drawn)


def test_baselines_are_kept_until_their_code_changes(toy, tmp_path, monkeypatch):
    tasks, _ = load_tasks(load_suite(toy / "toy.toml"), str(toy))
    (task, *_) = tasks.values()
    found = []
    monkeypatch.setattr(
        collect, "task_figures", lambda *_: found.append(len(found)) or {"number": len(found)}
    )

    def number() -> int:
        return collect._known_task_figures(tmp_path, task, ["accuracy"], {})["number"]

    assert number() == number() == 1
    monkeypatch.setattr(collect.inspect, "getsource", lambda _: "other code")
    assert number() == number() == 2


# === GLUE through TFDS ===


def test_a_cell_of_glue_by_tfds(tfds_folder, no_steps, tmp_path, monkeypatch):
    task = "glue/mnli"
    builder = tfds_folder.builder(task)
    monkeypatch.setattr(type(builder), "is_prepared", lambda self: True)
    sized = TOY.replace("[tasks.toy]", f'[tasks."{task}"]').replace('["toy"]', f'["{task}"]')
    lines = [line for line in sized.splitlines() if not line.startswith(("files", "metrics"))]
    (tmp_path / "glue.toml").write_text("\n".join(lines), "utf-8")
    described = load_suite(tmp_path / "glue.toml")
    with glue_like(tfds_folder, ["premise", "hypothesis"]):
        tasks, _ = load_tasks(described, None)
        trial = described.trials(tasks)[0]
        folder = tmp_path / trial.folder
        folder.mkdir()
        (folder / "trial.json").write_text(json.dumps(trial.to_dict()), "utf-8")
        run_trial(folder, described, None)
    assert (folder / RESULT_FILE).exists() and (folder / LOGITS_FILE).exists()
    logits = read_logits(folder)
    assert logits["test"].shape == (30, 2, len(tasks[task].labels))
    assert logits["test_labels"].tolist() == tasks[task].test.labels.tolist()
    figures = collect.trial_figures(trial, folder, ["accuracy"])
    expected = (logits["test"][:, -1].argmax(axis=1) == logits["test_labels"]).mean()
    assert figures["exits"]["accuracy"][-1] == pytest.approx(expected, abs=1e-5)


def test_a_cell_refuses_other_data(toy):
    described = load_suite(toy / "toy.toml")
    trial = described.trial("toy", "plain", 0, {"toy": "of another day"})
    (toy / "trial.json").write_text(json.dumps(trial.to_dict()), "utf-8")
    with pytest.raises(BeexError, match="has changed"):
        run_trial(Path(toy), described, str(toy))
