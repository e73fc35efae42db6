"""Makes the packaged start of binary models of pairs: a binary MiniLM that has learned to compare two texts.

    python benchmarks/recipes/alike.py sentences.txt film_sentences.txt -o runs/alike
    python benchmarks/recipes/binary_minilm_pairs.py runs/alike -o runs/binary-minilm-pairs

A float32 MiniLM first learns the cosine of its own embeddings of both texts. The packaged binary start then learns the
answers of this teacher and the outputs of the teacher's layers. The recipe writes the file of the start to the package.
"""

from pathlib import Path

import click

import beex_keras as beex
from beex_keras.errors import BeexError
from beex_keras.training.warm_starts import ENCODER_LABELS, PACKAGED_STARTS

_SIZE = {"max_length": 512, "token_dropout": 0.0}

TEACHER = beex.TrainingConfig(
    preset="minilm",
    bits="float",
    model=_SIZE,
    init="minilm",
    epochs=1,
    batch_size=32,
    learning_rate=1e-4,
    exit_lr_multiplier=10.0,
    layer_decay=1.0,
    loss="last",
    matmul_dtype="bfloat16",
)

STUDENT = beex.TrainingConfig(
    preset="minilm",
    bits="weights-only",
    model={**_SIZE, "dropout": 0.0},
    init="binary-minilm",
    epochs=1,
    batch_size=64,
    learning_rate=1e-3,
    exit_lr_multiplier=3.0,
    loss="uniform",
    distillation_alpha=0.5,
    hidden_loss_weight=4.0,
    matmul_dtype="bfloat16",
)


def as_start(model: beex.BEExformerClassifier) -> beex.BEExformerClassifier:
    """The same blocks with untrained exits, and with labels that no task has."""
    config = model.config.replace(num_classes=len(ENCODER_LABELS))
    start = beex.BEExformerClassifier(config, model.preprocessor, ENCODER_LABELS)
    start.backbone.set_weights(model.backbone.get_weights())
    return start


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("pairs", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Run folder.")
def main(pairs: Path, output: Path) -> None:
    """Trains the teacher and the start, and writes the file of the start."""
    try:
        teacher, file = output / "teacher", PACKAGED_STARTS["binary-minilm-pairs"]
        beex.train(pairs, teacher, TEACHER, pair_column="pair")
        student = beex.train(
            pairs, output / "student", STUDENT, pair_column="pair", teacher=teacher
        )
        beex.convert(as_start(student.model), file)
    except (BeexError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size:,} bytes.")


if __name__ == "__main__":
    main()
