"""benchmarks/calibration.py on trainings whose logits are known."""

import json

import numpy as np
import pytest

from beex_keras import BeexError
from calibration import main


@pytest.fixture
def run(tmp_path):
    """Two trainings and a twin: a sure exit 1 is right, an unsure one is wrong in half of the texts."""
    random = np.random.default_rng(0)
    for task, variant in [("a", "weights-only"), ("b", "weights-only"), ("a", "float32 twin")]:
        folder = tmp_path / "trials" / f"{task}-{variant}"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"task": task, "variant": variant}))
        parts = {}
        for part in ("validation", "test"):
            labels = random.integers(0, 2, 400)
            sure = random.random(400) < 0.5
            right = sure | (random.random(400) < 0.5)
            first = np.where(right, labels, 1 - labels)
            logits = np.zeros((400, 2, 2), np.float32)
            logits[np.arange(400), 0, first] = np.where(sure, 4, 0.2)
            logits[np.arange(400), 1, labels] = 5
            parts |= {part: logits, f"{part}_labels": labels}
        np.savez(folder / "logits.npz", **parts)
    return tmp_path


def test_texts_drawn_anew_lose_nothing_where_the_exit_knows_what_it_knows(run, capsys):
    main([str(run), "--draws", "2", "--tolerance", "0.05", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert (found["setting"]["tasks"], found["setting"]["draws"]) == (2, 2)
    assert [row["loss from"] for row in found["rows"]] == ["all texts", "each text alone"]
    for row in found["rows"]:
        assert row["points lost"] == pytest.approx(0, abs=1.5)
        assert row["blocks saved"] == pytest.approx(0.25, abs=0.03)


def test_few_texts_that_agree_are_no_proof(run, capsys):
    """All that calibration sees has the same answer at both exits; one of 20 others has not."""
    for file in run.glob("trials/*weights-only/logits.npz"):
        parts = dict(np.load(file))
        for part in ("validation", "test"):
            parts[part][:, 0] = 0.1 * parts[part][:, 1]
            parts[part][::20, 0] = parts[part][::20, 0, ::-1]
        np.savez(file, **parts)
    options = ["--draws", "9", "--tolerance", "0.02", "--texts", "8", "--texts", "400", "--json"]
    main([str(run), *options], standalone_mode=False)
    rows = json.loads(capsys.readouterr().out)["rows"]
    few, alone = rows[:2]
    assert [row["texts"] for row in rows] == [8, 8, 400, 400]
    assert few["points lost"] == few["blocks saved"] == 0
    assert alone["points lost"] > 2 and alone["blocks saved"] > 0.2


def test_a_folder_without_trainings_is_refused(tmp_path):
    with pytest.raises(BeexError, match="No training of classes"):
        main([str(tmp_path)], standalone_mode=False)


def test_more_texts_than_there_are_are_refused(run):
    with pytest.raises(BeexError, match="has 800 texts; give a smaller number to --texts"):
        main([str(run), "--texts", "800"], standalone_mode=False)
