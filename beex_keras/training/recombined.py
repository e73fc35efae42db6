"""New pairs of the sentences of symmetric pairs, for a teacher to answer.

Two sentences that were drawn at random have nothing to do with each other. So for each sentence a cosine is
drawn from those of the labelled pairs, and its partner is a sentence whose embedding has about that cosine.

Source: Thakur et al. (2021, "Augmented SBERT"), who take the most similar sentences; the drawn cosine is our
reading.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from beex_keras.data import Split

_NEAREST = 3
"""Among how many sentences, whose cosines are nearest to the drawn one, the partner is drawn."""


def recombine(
    train: Split, embed: Callable[[Sequence[str]], np.ndarray], count: int, seed: int
) -> Iterator[tuple[str, str]]:
    """Up to `count` pairs that the split does not have, in either order; no pair comes twice.

    Args:
        train: pairs, of whose sentences the new ones are made.
        embed: computes embeddings of length 1 (n, D).
        count: how many pairs; of few sentences there are fewer.
        seed: of the random numbers.
    """
    assert train.pairs is not None
    sentences = sorted({*train.texts, *train.pairs})
    if len(sentences) < 2:
        return
    row = {sentence: number for number, sentence in enumerate(sentences)}
    known = {frozenset(pair) for pair in zip(train.texts, train.pairs, strict=True)}
    embedded = embed(sentences)
    first, second = (embedded[[row[text] for text in part]] for part in (train.texts, train.pairs))
    cosines = (first * second).sum(axis=1)
    random = np.random.default_rng(seed)
    nearest = min(_NEAREST, len(sentences) - 1)
    for _ in range(2 * -(-count // len(sentences))):  # a pass gives a pair a sentence at most
        for number in random.permutation(len(sentences)):
            off = np.abs(embedded @ embedded[number] - random.choice(cosines))
            off[number] = np.inf
            partner = np.argpartition(off, nearest - 1)[:nearest][random.integers(nearest)]
            pair = sentences[number], sentences[partner]
            if frozenset(pair) not in known:
                known.add(frozenset(pair))
                yield pair
                count -= 1
            if not count:
                return
