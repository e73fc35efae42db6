"""Makes the packaged start of students that read pairs: the binary MiniLM that has learned to compare two texts.

    python tools/alike.py sentences.txt film_sentences.txt -o runs/alike
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

_OF_BOTH = {
    "pair_column": "pair",
    "preset": "minilm",
    "max_length": 512,
    "token_dropout": 0.0,
    "epochs": 1,
    "precision": "bfloat16",
}

_TEACHER = {
    "bits": "float",
    "init": "minilm",
    "batch_size": 32,
    "loss": "last",
    "layer_decay": 1.0,
}

_STUDENT = {
    "init": NAME,
    "dropout": 0.0,
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
        names = {"data": "train", "validation": "validation", "test": "test"}
        files = {role: pairs / f"{name}.csv" for role, name in names.items()}
        teacher, file = output / "teacher", FILES[PAIRS_NAME]
        beex.train(output=teacher, **files, **_OF_BOTH, **_TEACHER)
        student = beex.train(
            output=output / "student", teacher=teacher, **files, **_OF_BOTH, **_STUDENT
        )
        beex.export.beex.export_file(as_start(student.model), file)
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size:,} bytes.")


if __name__ == "__main__":
    main()
