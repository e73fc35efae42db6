"""The packaged starts of binary models, and the recipes that make them."""

import csv
import json
import random
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_encoder import SHAPE
from toy import toy_rows

from beex_keras import BEExformerClassifier
from beex_keras.data.rows import Columns
from beex_keras.data.sources import read_rows
from beex_keras.models import BEExformerConfig
from beex_keras.runtime.keras_runner import load_classifier
from beex_keras.training import warm_start
from beex_keras.training.warm_starts import ENCODER_LABELS, PACKAGED_STARTS, ModelStart

sys.path.append(str(Path(__file__).parents[1] / "benchmarks" / "recipes"))
import alike
import binary_minilm
import binary_minilm_pairs
import sentences


@pytest.mark.parametrize(("name", "segments"), [("binary-minilm", 1), ("binary-minilm-pairs", 2)])
def test_a_packaged_start_has_the_shape_of_the_preset(name, segments):
    start = warm_start(name)
    assert isinstance(start, ModelStart) and start.is_encoder
    preset = BEExformerConfig.preset("minilm")
    for field in ("width", "num_heads", "hidden_width", "gate_width", "num_blocks"):
        assert getattr(start.shape, field) == getattr(preset, field)
    assert start.shape.max_length == 512
    assert start.source.backbone.embedding.position.numpy().any(axis=1).all()
    assert start.bits == {"weight_bits": 1, "embedding_bits": 1, "activation_bits": 32}
    assert not any(token.startswith("[unused") for token in start.tokens)
    assert start.shape.num_segments == segments
    assert start.tokens == warm_start("binary-minilm").tokens


# === The recipes that make them ===

SMALL = {**SHAPE, "vocabulary_size": 100, "dropout": 0.0, "token_dropout": 0.0}
"""The fields of a model that can start from the small encoder."""


@pytest.mark.slow
def test_a_start_of_more_epochs_comes_nearer_to_minilm(encoders, tmp_path, monkeypatch):
    lines = [row["text"] for row in toy_rows(700, 1)]
    (tmp_path / "texts.txt").write_text("\n".join([*lines, *lines[:9], ""]) + "\n", "utf-8")
    assert sorted(binary_minilm.texts_of((tmp_path / "texts.txt",), ())) == sorted(set(lines))
    small = binary_minilm.CONFIG.replace(
        model=SMALL, batch_size=8, learning_rate=1e-2, matmul_dtype="float32"
    )
    monkeypatch.setitem(PACKAGED_STARTS, "binary-minilm", tmp_path / "made.beex")

    def distance(epochs):
        monkeypatch.setattr(binary_minilm, "CONFIG", small.replace(epochs=epochs))
        words = [str(tmp_path / "texts.txt"), "-o", str(tmp_path / f"run-{epochs}")]
        done = CliRunner().invoke(binary_minilm.main, words)
        assert done.exit_code == 0, done.output
        made = load_classifier(tmp_path / "made.beex")
        assert made.labels == ENCODER_LABELS and made.config.weight_bits == 1
        real = BEExformerClassifier(made.config.twin(), made.preprocessor)
        ids = made.preprocessor.encode(lines[:50])
        warm_start("minilm").apply(real, ids)
        mine, its = (model.backbone(ids)[-1].numpy()[ids != 0] for model in (made, real))
        return np.square(mine - its).sum() / np.square(its - its.mean(0)).sum()

    assert distance(5) < 0.8 * distance(1)


def test_a_recipe_says_what_is_missing(tmp_path):
    words = [str(tmp_path / "none.txt"), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(binary_minilm.main, words)
    assert done.exit_code == 1 and "none.txt" in done.output and "Traceback" not in done.output


# === Pairs of sentences, and the cosine of their embeddings ===

_DIRECTIONS = np.random.default_rng(0).normal(size=(997, 16))


def embed(texts):
    """Bags of words, projected to a few dimensions and scaled to length 1."""
    found = np.array([sum(_DIRECTIONS[hash_of(word)] for word in text.split()) for text in texts])
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def hash_of(word):
    return sum(ord(letter) * 31**place for place, letter in enumerate(word)) % len(_DIRECTIONS)


@pytest.fixture
def pair_files(tmp_path, monkeypatch):
    """Returns a function that writes 1,200 pairs of toy sentences to a folder."""
    monkeypatch.setattr(alike, "Embedder", lambda: embed)
    lines = sorted({row["text"] for row in toy_rows(1500, 1)})
    lines[::3] = [f'"{line}" , they say' for line in lines[::3]]
    (tmp_path / "texts.txt").write_text("\n".join(lines), "utf-8")

    def write(name, *options):
        words = [str(tmp_path / "texts.txt"), "--pairs", "1200", "-o", str(tmp_path / name)]
        done = CliRunner().invoke(alike.main, [*words, *options])
        assert done.exit_code == 0, done.output
        return tmp_path / name

    return write


def rows_of(folder):
    found = {}
    for split in ("train", "validation", "test"):
        file = folder / f"{split}.csv"
        with file.open(encoding="utf-8", newline="") as lines:
            found[split] = list(csv.DictReader(lines))
        # `beex train` reads the same rows.
        read = read_rows(file, Columns("text", "pair"), split)
        assert [read.texts, read.pairs, read.labels] == [
            [row[name] for row in found[split]] for name in ("text", "pair", "label")
        ]
    return found


def test_the_label_of_a_pair_is_the_cosine_of_both_embeddings(pair_files, tmp_path):
    rows = rows_of(pair_files("pairs"))
    assert len(rows["validation"]) == len(rows["test"]) == 500
    assert 100 < len(rows["train"]) <= 200
    every = [row for some in rows.values() for row in some]
    cosines = (embed([row["text"] for row in every]) * embed([row["pair"] for row in every])).sum(1)
    labels = np.array([float(row["label"]) for row in every])
    np.testing.assert_allclose(labels, cosines, atol=1e-4)
    assert all(row["text"] != row["pair"] for row in every)
    # A quarter of the pairs has a changed copy, which is seldom a text of the file.
    known = set((tmp_path / "texts.txt").read_text("utf-8").splitlines())
    copies = [row for row in every if not {row["text"], row["pair"]} <= known]
    assert 200 < len(copies) <= 324


@pytest.mark.parametrize("ranks", [(0, 3), (5, 30)])
def test_the_other_text_of_a_pair_has_one_of_the_ranks(ranks):
    embedded = embed([row["text"] for row in toy_rows(100, 2)])
    cosines = embedded @ embedded.T
    np.fill_diagonal(cosines, -1)
    rows = np.arange(0, 100, 3)
    found = list(alike.ranked(embedded, rows, ranks, random.Random(0)))
    assert [row for row, *_ in found] == rows.tolist()
    for row, other, cosine in found:
        best = np.sort(cosines[row])[::-1]
        assert other != row and cosine == pytest.approx(cosines[row, other])
        assert best[ranks[1] - 1] - 1e-6 <= cosine <= best[ranks[0]] + 1e-6


def test_the_pairs_follow_from_the_seed(pair_files):
    first, again, other = pair_files("a"), pair_files("b"), pair_files("c", "--seed", "1")
    assert rows_of(first) == rows_of(again) != rows_of(other)


@pytest.mark.slow
def test_a_start_for_pairs_learns_from_a_teacher_that_has_compared_them(
    eager, encoders, tmp_path, monkeypatch
):
    for name in ("TEACHER", "STUDENT"):
        config = getattr(binary_minilm_pairs, name)
        small = config.replace(model={**config.model, **SMALL}, matmul_dtype="float32")
        monkeypatch.setattr(binary_minilm_pairs, name, small)
    for seed, (split, count) in enumerate({"train": 70, "validation": 20, "test": 20}.items()):
        texts = [row["text"] for row in toy_rows(2 * count, seed)]
        first, second = texts[:count], texts[count:]
        cosines = (embed(first) * embed(second)).sum(axis=1)
        rows = alike.as_csv(list(zip(first, second, cosines, strict=True)))
        (tmp_path / f"{split}.csv").write_text(rows, "utf-8")
    monkeypatch.setitem(PACKAGED_STARTS, "binary-minilm-pairs", tmp_path / "made.beex")
    words = [str(tmp_path), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(binary_minilm_pairs.main, words)
    assert done.exit_code == 0, done.output
    about = json.loads((tmp_path / "run" / "student" / "run.json").read_text("utf-8"))
    assert (about["model"]["num_classes"], about["model"]["num_segments"]) == (1, 2)
    assert about["init"]["name"] == "binary-minilm"
    assert about["teacher"] == warm_start(tmp_path / "run" / "teacher").identity
    made = load_classifier(tmp_path / "made.beex")
    student = load_classifier(tmp_path / "run" / "student")
    assert made.labels == ENCODER_LABELS and made.config.num_segments == 2
    assert warm_start("binary-minilm-pairs").is_encoder
    ids = made.preprocessor.encode(["a good film"], pairs=["the film is good"])
    for mine, its in zip(made.backbone(ids), student.backbone(ids), strict=True):
        np.testing.assert_allclose(mine, its, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "problem"),
    [
        (9, "There are only 9 sentences; pairs need 301."),
        (600, "--pairs 120000 must be more than 1000 and at most twice the 600 sentences."),
    ],
)
def test_too_few_sentences_have_no_pairs(tmp_path, count, problem):
    lines = (f"this is number {number}\n" for number in range(count))
    (tmp_path / "texts.txt").write_text("".join(lines), "utf-8")
    done = CliRunner().invoke(alike.main, [str(tmp_path / "texts.txt"), "-o", str(tmp_path / "o")])
    assert done.exit_code == 1 and problem in done.output and not (tmp_path / "o").exists()


# === Sentences of many kinds ===


def test_each_source_has_its_form_and_sst_is_left_out(tmp_path):
    files = {
        "voice-web/server/data/en/wiki.en.txt": "She plays the harp.\nToo short.\n",
        "voice-web/server/data/en/LICENSE": "This is the licence of all.\n",
        "voice-web/server/data/en/singleword.txt": "zero one two three\n",
        "UD_English-EWT/a-test.conllu": "# text = Where is the bank?\n1\tWhere\n",
        "UD_English-EWT/not-to-release/b.conllu": "# text = A great film, it is.\n",
        "SST/train.tsv": "sentence\tlabel\na great film , it is\t1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    masc = tmp_path / "nltk_data/packages/corpora/masc_tagged.zip"
    masc.parent.mkdir(parents=True)
    with zipfile.ZipFile(masc, "w") as archive:
        archive.writestr("masc/spoken/a.txt", "He_PRP did_VBD n't_RB go_VB ._.\n")
        archive.writestr("masc/readme.txt", "This is not a text.\n")
    words = [str(tmp_path), "--sst", str(tmp_path / "SST"), "-o", str(tmp_path / "out.txt")]
    done = CliRunner().invoke(sentences.main, words)
    assert done.exit_code == 0, done.output
    found = (tmp_path / "out.txt").read_text("utf-8").splitlines()
    assert sorted(found) == ["He didn't go.", "She plays the harp.", "Where is the bank?"]
    masc.unlink()
    done = CliRunner().invoke(sentences.main, words)
    assert done.exit_code == 1 and "masc_tagged.zip; clone the sources" in done.output
