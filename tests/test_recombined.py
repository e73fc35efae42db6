"""New pairs of the sentences of symmetric pairs."""

import numpy as np
import pytest

from beex_keras.data import Split
from beex_keras.training.recombined import recombine

SENTENCES = [f"sentence {number}" for number in range(120)]


def embed(texts):
    """Points on a circle, in the order of the sentences' numbers."""
    angles = np.array([int(text.split()[1]) for text in texts]) * np.pi / 120
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def pairs_of(apart: int, count: int = 60) -> Split:
    firsts = np.arange(count)
    texts = [[SENTENCES[number + shift] for number in firsts] for shift in (0, apart)]
    return Split(texts[0], texts[1], np.zeros(count))


def test_pairs_are_new_and_come_once():
    seconds = list(np.random.default_rng(0).permutation(SENTENCES))
    train = Split([*SENTENCES, *seconds], [*seconds, *SENTENCES], np.zeros(240))
    found = list(recombine(train, embed, 150, seed=0))
    known = set(map(frozenset, zip(SENTENCES, seconds, strict=True)))
    assert len(found) == len(set(map(frozenset, found)) - known) == 150
    assert all(first != second for first, second in found)
    assert {text for pair in found for text in pair} <= set(SENTENCES)
    assert found == list(recombine(train, embed, 150, seed=0))
    assert found != list(recombine(train, embed, 150, seed=1))


@pytest.mark.parametrize("apart", [3, 30])
def test_they_are_as_alike_as_the_labelled_ones(apart):
    found = list(recombine(pairs_of(apart), embed, 60, seed=0))
    first, second = (embed(part) for part in zip(*found, strict=True))
    expected = np.cos(apart * np.pi / 120)
    assert np.median((first * second).sum(axis=1)) == pytest.approx(expected, abs=0.1)


def test_few_sentences_give_few_pairs():
    assert not list(recombine(Split(["a"], ["a"], np.zeros(1)), embed, 9, seed=0))
    train = Split(SENTENCES[:2], SENTENCES[1:3], np.zeros(2))
    found = list(recombine(train, embed, 1000, seed=0))
    assert found in ([(SENTENCES[0], SENTENCES[2])], [(SENTENCES[2], SENTENCES[0])])
