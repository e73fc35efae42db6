"""The benchmark beside other classifiers: what it says of ours, and what it adds up."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import needs_engine

import beex_keras as beex
import peers_page

PEERS = Path(peers_page.__file__).with_name("peers")
TEXTS = ["what a lovely film", "a dull , lifeless mess"]


@pytest.fixture
def peers(monkeypatch):
    """The benchmark's modules, which stand in a folder of their own."""
    monkeypatch.syspath_prepend(PEERS)
    import contenders
    import installed
    import measuring

    yield contenders, measuring, installed
    for name in ("contenders", "installed", "linear", "measuring", "minilm", "ours", "subwords"):
        sys.modules.pop(name, None)


def answers(specification, texts, batch):
    """Of a worker, to one request."""
    found = subprocess.run(
        [sys.executable, str(PEERS / "worker.py"), "serve", json.dumps(specification)],
        input=json.dumps({"texts": texts, "batch": batch}) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(found.stdout)["answers"]


@needs_engine
@pytest.mark.parametrize("options", [{}, {"full_depth": True}, {"kernels": "portable"}])
def test_answers_are_numbers_among_the_tasks_labels(options):
    labels = ["positive", "unheard of", "negative"]
    wanted = {"module": "ours", "load": {"model": "sst2-micro", "labels": labels, **options}}
    classify = beex.pipeline("sst2-micro")
    expected = [labels.index(answer.label) for answer in classify(TEXTS)]
    assert sorted(expected) == [0, 2]
    assert answers(wanted, TEXTS, 1) == answers(wanted, TEXTS, 2) == expected


@needs_engine
def test_a_row_for_each_way_of_a_model(peers, tmp_path):
    _, measuring, _ = peers
    file = str(Path(beex.__file__).parent / "pretrained" / "sst2-micro.beex")
    given = ["--task", "rotten_tomatoes", "--model", f"rotten_tomatoes={file}"]
    given += ["--texts", "4", "--rounds", "1", "--json", "-o", str(tmp_path)]
    result = CliRunner().invoke(measuring.measure, given)
    assert result.exit_code == 0, (result.output, result.exception)
    rows = json.loads(result.stdout.splitlines()[-1])["rows"]
    depth = [row["contender"] for row in rows]
    assert depth == ["sst2-micro, exits", "sst2-micro, exits, AVX2", "sst2-micro, full depth"]
    task = beex.load_task("rotten_tomatoes")
    given = beex.pipeline(file)(task.test.texts)
    right = [
        answer.label == task.labels[label]
        for answer, label in zip(given, task.test.labels, strict=True)
    ]
    assert rows[0]["accuracy"] == rows[1]["accuracy"] == pytest.approx(100 * np.mean(right))
    for row in rows:
        assert row["model MB"] == pytest.approx(1e-6 * Path(file).stat().st_size)
        assert row["texts/s, batch 1"] > 0 and row["texts/s, batch 32"] > 0
        assert row["texts/s, batch 1 at 128 tokens"] is None
        assert 0 < row["peak MB"] < 200


def test_packages_count_once_with_all_that_they_require(peers):
    _, _, installed = peers
    numpy, click, both = (
        installed.bytes_installed(names) for names in (["numpy"], ["click"], ["numpy", "click"])
    )
    assert numpy > 10e6 and click < 1e6
    assert both == numpy + click
    assert installed.bytes_installed(["NumPy", "numpy"]) == numpy
    ours = installed.bytes_installed(["beex-keras"])
    assert ours > both  # it requires them


def test_only_finished_trainings_take_part(peers, tmp_path):
    contenders, _, _ = peers
    for seed, names in {0: ["fitted.json"], 2: ["fitted.json"], 1: []}.items():
        folder = contenders.folder_of(tmp_path, "glue/sst2", "minilm", seed)
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    assert contenders.fitted_seeds(tmp_path, "glue/sst2", "minilm") == [0, 2]
    assert contenders.fitted_seeds(tmp_path, "glue/sst2", "frozen") == []
    assert contenders.fitted_seeds(tmp_path, "trec", "minilm") == []


def test_a_contender_that_fails_is_named(peers, capfd):
    _, measuring, _ = peers
    worker = measuring._Worker({"module": "ours", "load": {"model": "no-such", "labels": []}})
    with pytest.raises(
        measuring.click.ClickException, match="^ours failed; its message is above.$"
    ):
        worker.ask(TEXTS, 1)
    worker.process.wait()
    assert "no-such" in capfd.readouterr().err
