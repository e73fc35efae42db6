"""Public corpora: of a GLUE download, of JSON lines, and by TFDS; and the files that they are written to."""

import builtins
import sys
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import glue_like
from row_files import sentences, write_rows

import corpora
from beex_keras import BeexError
from beex_keras.data import load_task
from corpora import tfds
from corpora.__main__ import main

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
    task = corpora.load(f"glue/{name}", tmp_path)
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
    whole = corpora.load("glue/sst2", tmp_path)
    alone = corpora.load("glue/sst2-sentences", tmp_path)
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

    monkeypatch.setattr("corpora.glue.read_tfds", read)
    assert corpora.load("glue/sst2-sentences").name == "glue/sst2-sentences"
    assert asked == ["glue/sst2"]
    rows["train"] = [([f"film {i}"], i % 2) for i in range(40)]
    with pytest.raises(BeexError, match="none is a sentence"):
        corpora.load("glue/sst2-sentences")


def test_glue_may_stand_one_folder_deeper(tmp_path):
    write_glue(tmp_path / "glue", "sst2")
    assert len(corpora.load("glue/sst2", tmp_path).test) == 9


def test_malformed_glue_rows_are_left_out_and_counted(tmp_path):
    write_glue(tmp_path, "qqp", extra=("0\t1\t2\tonly one", "0\t1\t2\t\tempty\t1"))
    task = corpora.load("glue/qqp", tmp_path)
    assert len(task.train) + len(task.validation) == 40
    assert "train.tsv without 2 malformed rows" in task.notes


def test_faulty_glue_folders_are_explained(tmp_path):
    folder = write_glue(tmp_path, "sst2", extra=("text\t-1",))
    with pytest.raises(BeexError, match=r"label '-1' on line 42 of .*train\.tsv"):
        corpora.load("glue/sst2", tmp_path)
    (folder / "train.tsv").write_text("text\tlabel\na\t1\n")
    with pytest.raises(BeexError, match="no column 'sentence' in .* columns are text, label"):
        corpora.load("glue/sst2", tmp_path)
    for file in ("train.tsv", "dev.tsv"):
        (folder / file).write_text("sentence\tlabel\n")
    with pytest.raises(BeexError, match=r"SST-2 train\.tsv has no well-formed row"):
        corpora.load("glue/sst2", tmp_path)
    (folder / "train.tsv").unlink()
    with pytest.raises(BeexError, match="no GLUE file at"):
        corpora.load("glue/sst2", tmp_path)


STSB = "index\tgenre\tsentence1\tsentence2\tscore"


def write_stsb(root):
    folder = root / "STS-B"
    folder.mkdir()
    for name, count in (("train", 40), ("dev", 9)):
        rows = [f"{i}\tnews\ta {name} {i}\tb {i}\t{i % 6 / 1.2:.3f}" for i in range(count)]
        (folder / f"{name}.tsv").write_text("\n".join([STSB, *rows]) + "\n", "utf-8")
    return folder


def test_stsb_of_a_glue_folder(tmp_path):
    folder = write_stsb(tmp_path)
    task = corpora.load("glue/stsb", tmp_path)
    assert task.is_regression and task.is_pair and task.metric == "pearson"
    assert [len(part) for part in task.splits().values()] == [32, 8, 9]
    assert task.test.labels.tolist() == [float(f"{i % 6 / 1.2:.3f}") for i in range(9)]
    assert (task.value_scale.least, round(task.value_scale.most, 3)) == (0, 4.167)
    (folder / "dev.tsv").write_text(f"{STSB}\n0\tnews\ta\tb\thigh\n", "utf-8")
    with pytest.raises(BeexError, match="'score' on line 2 of .* holds 'high'"):
        corpora.load("glue/stsb", tmp_path)


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

    sick = corpora.load("sick", tmp_path)
    assert sick.is_pair
    assert [len(s) for s in (sick.train, sick.validation, sick.test)] == [46, 6, 4]
    trec = corpora.load("trec", tmp_path)
    assert trec.labels[0] == "description"
    assert len(trec.labels) == 6
    assert Counter(trec.test.labels.tolist()) == dict.fromkeys(range(6), 2)
    snips = corpora.load("snips", tmp_path)
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
        task = corpora.load(f"glue/{name}")
    assert task.labels == tuple(builder.info.features["label"].names)
    held = 2 if name == "sst2" else 4
    assert [len(s) for s in (task.train, task.validation, task.test)] == [30 - held, held, 30]
    assert task.test.texts[3] == f"{columns[0]} 3"
    assert task.is_pair == (len(columns) == 2)
    assert task.test.labels.tolist() == [i % 2 for i in range(30)]


def test_stsb_by_tfds(tfds_folder, monkeypatch):
    builder = tfds_folder.builder("glue/stsb")
    assert {"sentence1", "sentence2", "label"} <= set(builder.info.features)
    monkeypatch.setattr(type(builder), "is_prepared", lambda self: True)
    with glue_like(tfds_folder, ["sentence1", "sentence2"]):
        task = corpora.load("glue/stsb")
    assert task.test.labels.tolist() == [i % 2 for i in range(30)]
    assert [len(part) for part in task.splits().values()] == [24, 6, 30]


def test_without_a_network_tfds_says_what_to_do(tfds_folder):
    with pytest.raises(BeexError, match=r"cannot be reached.*pass its folder with --data-dir"):
        corpora.load("glue/sst2")


def test_a_failing_download_says_what_to_do(tfds_folder, monkeypatch):
    monkeypatch.setattr(tfds, "_require_network", lambda: None)
    builder = type(tfds_folder.builder("glue/sst2"))

    def fail(self):
        raise RuntimeError("checksum\n  differs")

    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with pytest.raises(BeexError, match=r"checksum differs.*--data-dir"):
        corpora.load("glue/sst2")


def test_without_tfds_its_installation_is_explained(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("tensorflow_datasets"):
            raise ImportError(f"No module named '{name}'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "tensorflow_datasets", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BeexError, match="pip install tensorflow-datasets"):
        corpora.load("glue/sst2")


# --- Writing ---


@pytest.mark.parametrize("name", ["glue/sst2", "glue/qqp", "glue/stsb"])
def test_the_library_reads_what_is_written(tmp_path, name):
    """Texts, pairs and labels stay the same to the last character."""
    odd = [' leading space"', "a, comma; and\u2028 a separator", "ca\u00e9 \U0001f600", "trailing "]
    if name == "glue/stsb":
        write_stsb(tmp_path)
    else:
        extra = [HEADERS[name[5:]][2].format(t=t, p=t[::-1], y=n % 2) for n, t in enumerate(odd)]
        write_glue(tmp_path, name[5:], extra=extra)
    words = [name, "--data-dir", str(tmp_path), "--output", str(tmp_path / "written")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    task = corpora.load(name, tmp_path)
    read = load_task(tmp_path / "written", pair_column="pair" if task.is_pair else None)
    assert read.name == "written" and read.is_regression == task.is_regression
    for one, other in zip(read.splits().values(), task.splits().values(), strict=True):
        assert (one.texts, one.pairs) == (other.texts, other.pairs)
        if task.is_regression:
            np.testing.assert_array_equal(one.labels, other.labels)
        else:
            names = [
                [of.labels[n] for n in part.labels] for of, part in ((read, one), (task, other))
            ]
            assert names[0] == names[1]


def test_a_faulty_corpus_writes_nothing(tmp_path):
    words = ["trec", "--data-dir", str(tmp_path), "--output", str(tmp_path / "written")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1 and "no folder trec" in done.output
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("trec", None, "pass the folder that holds trec/train.jsonl"),
        ("trec", ".", "no folder trec in"),
        ("glue/sst2", "nowhere", "There is no folder nowhere"),
        ("glue/sst2", ".", "no folder SST-2 in"),
        ("imdb", ".", "no file 'imdb'"),
    ],
)
def test_missing_folders_are_explained(tmp_path, monkeypatch, name, folder, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BeexError, match=message):
        corpora.load(name, folder)
