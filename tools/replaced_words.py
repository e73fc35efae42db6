"""Writes the training texts of a task with some of their words replaced, for a teacher to answer.

    python tools/replaced_words.py clinc --data-dir DATA --times 20 -o clinc_words.txt
    beex train clinc --data-dir DATA --teacher clinc-minilm --unlabelled clinc_words.txt -o runs/clinc

Each word of a text is replaced with one probability, which is drawn anew for each text, by a word that is drawn
from all training texts, so as often as it occurs there. A teacher of the student's shape answers such
texts while it trains (`replaced_tokens`); any other answers a file of them once.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import click

from beex_keras.data import load_task
from beex_keras.errors import BeexError
from beex_keras.files import write_atomically


def replaced(texts: list[str], times: int, most: float, seed: int) -> Iterator[str]:
    """Each text so many times, its words replaced with a probability of up to `most`."""
    words = [word for text in texts for word in text.split()]
    draw = random.Random(seed)
    for _ in range(times):
        for text in texts:
            rate = draw.uniform(0, most)
            yield " ".join(
                draw.choice(words) if draw.random() < rate else word for word in text.split()
            )


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("task")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the task's data.")
@click.option(
    "--times",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How often each text is changed.",
)
@click.option(
    "--most",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Highest share of replaced words.",
)
@click.option("--seed", default=0, show_default=True, help="Number that all follows from.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(
    task: str, data_dir: Path | None, times: int, most: float, seed: int, output: Path
) -> None:
    """See the module."""
    try:
        train = load_task(task, data_dir=data_dir).train
        if train.pairs is not None:
            raise BeexError(f"{task} has pairs of texts; give a task of single ones.")
        lines = list(dict.fromkeys(replaced(list(train.texts), times, most, seed)))
        write_atomically(output, "".join(f"{line}\n" for line in lines))
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {len(lines):,} texts.")


if __name__ == "__main__":
    main()
