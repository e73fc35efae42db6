"""Writes pairs of sentences with the cosine of their MiniLM embeddings, as the data of a regression.

    python benchmarks/recipes/alike.py sentences.txt film_sentences.txt -o runs/alike

From these pairs, a model that reads both texts of a pair together learns to compare them, without labels of any task.
The pairs are of four kinds: nearest neighbours among all embeddings, near sentences, random sentences, and a sentence
with a changed copy, whose words are dropped, replaced, added or reordered. The label is the cosine of both
embeddings. The recipe writes train.csv, validation.csv and test.csv to the folder, with the columns text, pair and
label.

Source: Augmented SBERT (Thakur et al., 2021) labels pairs by a model that reads both texts, to train one that embeds
texts; here an embedding model labels pairs for a model that reads both texts.
"""

import csv
import io
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from beex_keras.errors import BeexError
from beex_keras.files import read_text, write_atomically

sys.path.append(str(Path(__file__).parents[1]))
from baselines.frozen import Embedder

_WORDS = 4, 40
"""The smallest and the largest number of words of a sentence."""

_NEIGHBOURS, _NEAR = (0, 3), (5, 300)
"""Ranks, by their cosine with a sentence, of its neighbours and of sentences near it."""

_SHARES = {"neighbours": 0.43, "near": 0.22, "chance": 0.08, "changed": 0.27}
"""The share of each kind of pairs."""

_TWICE = 0.4
"""The share of copies that are changed twice."""

_HELD_OUT = 500
"""Pairs of the validation split, and of the test split."""

_ROWS = 1_000
"""Sentences that are compared with all others at once."""

Pair = tuple[str, str, float]


def ranked(
    embedded: np.ndarray, rows: np.ndarray, ranks: tuple[int, int], generator: random.Random
) -> Iterator[tuple[int, int, float]]:
    """For each of `rows`: the row, another row whose rank lies in `ranks`, and the cosine of both."""
    for begin in range(0, len(rows), _ROWS):
        some = rows[begin : begin + _ROWS]
        cosines = embedded[some] @ embedded.T
        cosines[np.arange(len(some)), some] = -1  # no sentence is a neighbour of itself
        best = np.argpartition(-cosines, ranks[1], axis=1)[:, : ranks[1] + 1]
        for row, cosines_of_row, candidates in zip(some, cosines, best, strict=True):
            order = candidates[np.argsort(-cosines_of_row[candidates])]
            other = order[generator.randrange(*ranks)]
            yield int(row), int(other), float(cosines_of_row[other])


def changed(text: str, vocabulary: list[str], generator: random.Random) -> str:
    """The text with some words dropped, replaced or added, a part of it, or with its parts exchanged."""
    words = text.split()
    count = generator.randint(1, max(1, len(words) // 4))
    match generator.choice(("drop", "replace", "add", "cut", "exchange")):
        case "drop":
            for _ in range(min(count, len(words) - 2)):
                words.pop(generator.randrange(len(words)))
        case "replace":
            for place in generator.sample(range(len(words)), count):
                words[place] = generator.choice(vocabulary)
        case "add":
            for _ in range(count):
                words.insert(generator.randrange(len(words) + 1), generator.choice(vocabulary))
        case "cut":
            kept = max(2, len(words) * generator.randint(40, 80) // 100)
            begin = generator.randrange(len(words) - kept + 1)
            words = words[begin : begin + kept]
        case "exchange":
            place = generator.randrange(1, len(words))
            words = words[place:] + words[:place]
    return " ".join(words)


def pairs_of(texts: list[str], count: int, embed: Embedder, seed: int) -> list[Pair]:
    """About `count` pairs of all kinds, in random order."""
    generator = random.Random(seed)
    embedded = embed(texts)
    rows = iter(np.random.default_rng(seed).permutation(len(texts)).repeat(2))
    take = {
        kind: [next(rows) for _ in range(int(share * count))] for kind, share in _SHARES.items()
    }
    found = [
        (texts[row], texts[other], float(cosine))
        for kind, ranks in (("neighbours", _NEIGHBOURS), ("near", _NEAR))
        for row, other, cosine in ranked(embedded, np.array(take[kind]), ranks, generator)
    ]
    others = generator.sample(range(len(texts)), len(take["chance"]))
    for row, other in zip(take["chance"], others, strict=True):
        found.append((texts[row], texts[other], float(embedded[row] @ embedded[other])))
    vocabulary = [word for text in texts[:20_000] for word in text.split()]
    copies = [changed(texts[row], vocabulary, generator) for row in take["changed"]]
    copies = [
        changed(copy, vocabulary, generator) if generator.random() < _TWICE else copy
        for copy in copies
    ]
    for row, copy, vector in zip(take["changed"], copies, embed(copies), strict=True):
        found.append((texts[row], copy, float(embedded[row] @ vector)))
    found = [pair for pair in found if pair[0] != pair[1]]
    found = [(b, a, c) if generator.random() < 0.5 else (a, b, c) for a, b, c in found]
    generator.shuffle(found)
    return found


def as_csv(pairs: list[Pair]) -> str:
    """The columns text, pair and label."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("text", "pair", "label"))
    writer.writerows((first, second, f"{cosine:.4f}") for first, second, cosine in pairs)
    return file.getvalue()


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--pairs", default=120_000, show_default=True, help="About how many pairs to write.")
@click.option("--seed", default=0, show_default=True, help="Seed of the choice.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
def main(files: tuple[Path, ...], pairs: int, seed: int, output: Path) -> None:
    """Writes the pairs as three CSV files."""
    try:
        lines = [line for file in files for line in read_text(file, "file of texts").splitlines()]
        texts = [
            text for text in dict.fromkeys(lines) if _WORDS[0] <= len(text.split()) <= _WORDS[1]
        ]
        if len(texts) <= _NEAR[1]:
            raise BeexError(f"There are only {len(texts)} sentences; pairs need {_NEAR[1] + 1}.")
        if not 2 * _HELD_OUT < pairs <= 2 * len(texts):
            bounds = f"more than {2 * _HELD_OUT} and at most twice the {len(texts)} sentences"
            raise BeexError(f"--pairs {pairs} must be {bounds}.")
        found = pairs_of(texts, pairs, Embedder(), seed)
        output.mkdir(parents=True, exist_ok=True)
        splits = {
            "validation": found[:_HELD_OUT],
            "test": found[_HELD_OUT : 2 * _HELD_OUT],
            "train": found[2 * _HELD_OUT :],
        }
        for name, some in splits.items():
            write_atomically(output / f"{name}.csv", as_csv(some))
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(found):,} pairs of {len(texts):,} sentences.")


if __name__ == "__main__":
    main()
