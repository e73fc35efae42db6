"""The recipe that writes sentences with and without errors."""

import csv
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "recipes"))
import corrupted_sentences
from corrupted_sentences import Corruptor, tokens

SENTENCES = [
    f"The {animal} has seen a {thing} here."
    for animal in ["cat", "dog", "bird", "fish"]
    for thing in ["ball", "tree", "nest"]
]
REFUSED = [
    "Too short.",
    "no capital begins this sentence.",
    "In 1999 all of it was new.",
    "It ends without a mark",
    "He said: it was so.",
]


def words_of(text):
    return [word.lower() for word in tokens(text)]


@pytest.fixture
def corrupt():
    return Corruptor([tokens(text) for text in SENTENCES], random.Random(3))


@pytest.fixture
def run(tmp_path):
    lines = "\n".join([*SENTENCES, "", *REFUSED])
    (tmp_path / "sentences.txt").write_text(f"{lines}\n", "utf-8")

    def run(*options, table=True):
        file = tmp_path / "out.csv"
        words = [str(tmp_path / "sentences.txt"), "-o", str(file), *options]
        done = CliRunner().invoke(corrupted_sentences.main, words)
        assert done.exit_code == 0, done.output
        if not table:
            return file.read_text("utf-8").splitlines()
        with file.open(encoding="utf-8", newline="") as lines:
            return [(row["text"], row["label"]) for row in csv.DictReader(lines)]

    return run


def test_each_sentence_comes_with_and_without_an_error(run):
    rows = run()
    assert Counter(label for _, label in rows) == {"acceptable": 12, "unacceptable": 12}
    whole = {text for text, label in rows if label == "acceptable"}
    assert whole == {" ".join(tokens(text)) for text in SENTENCES}
    assert not whole & {text for text, label in rows if label == "unacceptable"}


def test_the_same_seed_gives_the_same_texts(run):
    assert run() == run()
    assert sorted(run()) != sorted(run("--seed", "1"))
    assert len(run("--most", "5")) == 10


@pytest.mark.parametrize(
    ("error", "is_right"),
    [
        ("swap", lambda old, new: sorted(new) == sorted(old)),
        ("move", lambda old, new: sorted(new) == sorted(old)),
        ("omit", lambda old, new: len(new) == len(old) - 1 and not Counter(new) - Counter(old)),
        ("insert", lambda old, new: len(new) == len(old) + 1 and not Counter(old) - Counter(new)),
        ("repeat", lambda old, new: len(new) == len(old) + 1 and set(new) == set(old)),
        ("inflect", lambda old, new: len(new) == len(old) and sum(map(str.__ne__, old, new)) <= 1),
        ("replace", lambda old, new: len(new) == len(old) and sum(map(str.__ne__, old, new)) <= 1),
    ],
)
def test_each_error_does_as_its_name_says(corrupt, error, is_right):
    changed = 0
    for text in SENTENCES:
        *old, _ = words_of(text)
        for place in range(len(old) - 1):
            new = getattr(corrupt, error)(list(old), place)
            assert is_right(old, new), (old, new)
            changed += new != old
    assert changed


@pytest.mark.parametrize(
    ("word", "forms"),
    [("is", {"am", "was", "be"}), ("him", {"he", "his"}), ("than", {"as", "that"})],
)
def test_words_of_closed_classes_have_each_other_as_forms(corrupt, word, forms):
    assert forms <= set(corrupt.forms(word)) and word not in corrupt.forms(word)


def test_words_are_inflected_to_words_that_occur():
    texts = 4 * ["We walk and make it.", "He walks and makes it.", "They walked, making nothing."]
    corrupt = Corruptor([tokens(text) for text in texts], random.Random(0))
    assert corrupt.forms("walk") == ["walked", "walks"]
    assert corrupt.forms("making") == ["make", "makes"]


def test_the_training_texts_of_a_task_come_with_errors_and_no_labels(tmp_path, run):
    """No text of any split of the task is among them."""
    (tmp_path / "in.csv").write_text(
        "text,label\n" + "".join(f"{text[:-1]},{i % 2}\n" for i, text in enumerate(4 * SENTENCES)),
        "utf-8",
    )
    made = run("--of", str(tmp_path / "in.csv"), "--times", "3", table=False)
    assert len(made) == len(set(made)) > 12 and made == run(
        "--of", str(tmp_path / "in.csv"), "--times", "3", table=False
    )
    assert not {*made} & {text[:-1] for text in SENTENCES}
    assert all(text.endswith(".") and " ." not in text for text in made)
