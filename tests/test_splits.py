"""Splits: stratified, stable, and a text and its parts on one side."""

import dataclasses

import numpy as np
import pytest

from beex_keras import BeexError
from beex_keras.data import Split
from beex_keras.data.splits import complete_splits, hold_out
from corpora.phrases import hold_out_sentences


def split_of(count, classes=2, pairs=False, seed=0):
    rng = np.random.default_rng(seed)
    texts = [f"text number {i} of {seed}" for i in range(count)]
    labels = rng.integers(0, classes, count).astype(np.int32)
    return Split(texts, [f"pair {i}" for i in range(count)] if pairs else None, labels)


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


@pytest.mark.parametrize(("rows", "held"), [(500, 100), (10_000, 1000), (80_000, 5000)])
def test_the_validation_split_of_a_regression_is_twice_as_large(rows, held):
    train = dataclasses.replace(split_of(rows), labels=np.linspace(0, 1, rows, dtype=np.float32))
    (_, validation, _), _ = complete_splits(train, None, split_of(10, seed=1))
    assert abs(len(validation) - held) <= 2
    (rest, validation, test), _ = complete_splits(train, None, None)
    assert abs(len(test) - rows / 10) <= 2
    assert len(rest) + len(validation) + len(test) == rows
    assert len(validation) / len(train) == pytest.approx(0.2, abs=0.01)


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
