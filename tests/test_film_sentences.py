"""The recipe that writes sentences of film reviews which do not occur in SST."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "recipes"))
import film_sentences

REVIEWS = [
    "It does n't work. Nothing else happens here.<br /><br />Who wrote it? A &quot;friend&quot; did so!",
    "I said: IT DOESN'T WORK! They say the film is a great, big, silly mess. Too short.",
    "Nothing else happens here.",
]
SST = "sentence\tlabel\nit doesn't work .\t0\nthe film is a great , big , silly mess\t0\nis a great\t1\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "SST").mkdir()
    (tmp_path / "SST" / "train.tsv").write_text(SST, "utf-8")
    labelled = list(zip(REVIEWS, ("negative", "negative", "positive"), strict=True))
    monkeypatch.setattr(film_sentences, "reviews", lambda: iter(labelled))

    def run(*options: str, sst: str = "SST") -> tuple[int, str, list[str]]:
        file = tmp_path / "out.txt"
        words = ["--sst", str(tmp_path / sst), "-o", str(file), *options]
        done = CliRunner().invoke(film_sentences.main, words)
        lines = file.read_text("utf-8").splitlines() if done.exit_code == 0 else []
        return done.exit_code, done.output, lines

    return run


def test_sentences_are_cut_out_and_those_of_sst_are_not_among_them(run):
    code, output, lines = run()
    # "It does n't work." has the letters of a text of SST, and "They say the film …" contains a long text of SST.
    # "Too short." has too few words.
    assert code == 0 and "2 that occur in SST are left out" in output
    assert sorted(lines) == [
        'A "friend" did so!',
        "I said: IT DOESN'T WORK!",
        "Nothing else happens here.",
        "Who wrote it?",
    ]


def test_the_order_follows_from_the_seed(run):
    first, again, other = run()[2], run()[2], run("--seed", "5")[2]
    assert first == again and sorted(first) == sorted(other) and first != other
    assert run("--most", "2")[2] == first[:2]


def test_the_end_of_a_review_has_its_label(run, monkeypatch):
    reviews = [
        ('Bad start, as we all said. It "grew" on me, though. I would see it again.', "positive"),
        ("We left before the end of it. Never again.", "negative"),
    ]
    monkeypatch.setattr(film_sentences, "reviews", lambda: iter(reviews))
    first, *rows = run("--labels")[2]
    assert first == "text,label" and sorted(rows) == [
        '"It ""grew"" on me, though.",positive',
        "I would see it again.,positive",
        "We left before the end of it.,negative",
    ]


def test_another_folder_is_refused(run):
    code, output, _ = run(sst="nowhere")
    assert code == 1 and "has no train.tsv; give the folder of GLUE's SST-2" in output
