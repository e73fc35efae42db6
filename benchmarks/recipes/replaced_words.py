"""Writes the training texts of a task with some of their words replaced, as texts without labels.

    python benchmarks/recipes/replaced_words.py corpora/clinc --times 20 -o clinc_words.txt
    beex train corpora/clinc --teacher clinc-minilm --unlabelled clinc_words.txt -o runs/clinc

A probability is drawn for each text, and each of its words is replaced with this probability. The new word is
drawn from all words of the training texts. With a teacher of the student's shape, the training makes such texts itself
(`token_replacement_rate`); any other teacher computes the targets of this file once.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import click

from beex_keras.data import load_task
from beex_keras.errors import BeexError
from beex_keras.files import write_atomically


def replaced(texts: list[str], times: int, most: float, seed: int) -> Iterator[str]:
    """`times` versions of each text, whose words are replaced with a probability of up to `most`."""
    words = [word for text in texts for word in text.split()]
    draw = random.Random(seed)
    for _ in range(times):
        for text in texts:
            rate = draw.uniform(0, most)
            yield " ".join(
                draw.choice(words) if draw.random() < rate else word for word in text.split()
            )


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("data")
@click.option(
    "--times",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Versions of each text.",
)
@click.option(
    "--most",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Highest share of replaced words.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of all random numbers.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(data: str, times: int, most: float, seed: int, output: Path) -> None:
    """Writes the texts, each once."""
    try:
        train = load_task(data).train
        lines = list(dict.fromkeys(replaced(list(train.texts), times, most, seed)))
        write_atomically(output, "".join(f"{line}\n" for line in lines))
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(lines):,} texts.")


if __name__ == "__main__":
    main()
