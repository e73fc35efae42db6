"""Writes a `.beex` file of random weights, on which speed and size do not depend.

python benchmarks/untrained.py --like sst2-minilm --activations 1 -o runs/fully-binary.beex
"""

from pathlib import Path
from typing import Any

import click

from measure import SEED


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("--like", required=True, help="A model whose shape, vocabulary and labels it has.")
@click.option("--activations", type=click.Choice(["1", "8", "32"]), help="Other bits.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(like: str, activations: str | None, output: Path) -> None:
    import beex_keras as beex
    from beex_keras.backend import tf
    from beex_keras.export import beex as beex_format
    from beex_keras.files import write_atomically

    runner = beex.load(like)
    known: Any = runner.metadata
    config = known.config
    if activations is not None:
        config = config.replace(activation_bits=int(activations))
    tf.keras.utils.set_random_seed(SEED)
    model = beex.BEExformerClassifier(config, known.preprocessor, known.labels)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, beex_format.convert(model))


if __name__ == "__main__":
    main()
