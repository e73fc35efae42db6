"""Makes the packaged start of students that read pairs: the binary MiniLM that has learned to compare two texts.

    python tools/alike.py sentences.txt film_sentences.txt --pairs 120000 -o runs/alike
    python tools/binary_minilm_pairs.py runs/alike -o runs/binary-minilm-pairs

MiniLM itself learns first, in float32, how alike its own embeddings of both texts are. It is then the teacher of the
packaged binary start, of the answers and of the outputs of its layers. The file is written to the package.
"""

from pathlib import Path

import click

import beex_keras as beex
from beex_keras.errors import BeexError
from beex_keras.models.classifier import BEExformerClassifier
from beex_keras.training.binary_minilm import FILES, LABELS, NAME, PAIRS_NAME

_DATA = {"pair_column": "pair", "preset": "minilm", "max_length": 128, "epochs": 1}

_OF_BOTH = {"dropout": 0.0, "token_dropout": 0.0, "precision": "bfloat16"}

_TEACHER = {
    "bits": "float",
    "init": "minilm",
    "batch_size": 32,
    "dropout": 0.1,
    "loss": "last",
    "layer_decay": 1.0,
}

_STUDENT = {
    "init": NAME,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "head_rate": 3.0,
    "soft_targets": 0.5,
    "replaced_tokens": 0.0,
    "anneal": 0.0,
}


def as_start(model: BEExformerClassifier) -> BEExformerClassifier:
    """The same blocks under exits that have learned nothing, with the labels that no task has."""
    config = model.config.replace(num_classes=len(LABELS))
    start = BEExformerClassifier(config, model.preprocessor, LABELS)
    start.backbone.set_weights(model.backbone.get_weights())
    return start


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("pairs", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Run folder.")
def main(pairs: Path, output: Path) -> None:
    """See the module."""
    try:
        files = [str(pairs / f"{split}.tsv") for split in ("train", "validation", "test")]

        def run(name: str, **words: object) -> beex.training.Run:
            train, validation, test = files
            splits = {"validation": validation, "test": test}
            return beex.train(train, output / name, **splits, **{**_DATA, **_OF_BOTH, **words})

        run("teacher", **_TEACHER)
        student = run("student", teacher=output / "teacher", **_STUDENT)
        beex.export.beex.export_file(as_start(student.model), FILES[PAIRS_NAME])
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    file = FILES[PAIRS_NAME]
    click.echo(f"{file}: {file.stat().st_size:,} bytes.")


if __name__ == "__main__":
    main()
