"""Time of a training step of binary models and of the float32 twin, in both dtypes of matrix products, in turns.

python benchmarks/step_time.py --preset tiny
"""

from functools import partial

import click
import numpy as np

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)
from measure import SEED, json_option, medians, show


@click.command()
@click.option("--preset", default="tiny", show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--length", default=32, show_default=True, help="Tokens of a text.")
@click.option("--steps", default=60, show_default=True)
@json_option
def main(preset: str, batch_size: int, length: int, steps: int, as_json: bool) -> None:
    from beex_keras.models import BEExformerClassifier, BEExformerConfig
    from beex_keras.training import TrainingConfig
    from beex_keras.training.optimizer import make_optimizer

    weights_only = BEExformerConfig.preset(preset)
    configs = {
        "float32 twin": weights_only.twin(),
        "weights-only": weights_only,
        "fully binary": weights_only.replace(activation_bits=1),
    }
    generator = np.random.default_rng(SEED)
    ids = generator.integers(5, weights_only.vocabulary_size, (batch_size, length))
    labels = np.zeros(batch_size, np.int32)
    works = {}
    for name, config in configs.items():
        for dtype in ("float32", "bfloat16"):
            model = BEExformerClassifier(config, matmul_dtype=dtype)
            model.compile(make_optimizer(TrainingConfig(), 1000, config))
            works[name, dtype] = partial(model.train_on_batch, ids, labels)
    found = medians(works, steps, as_json)
    rows = [
        {
            "model": name,
            "products": dtype,
            "median ms": 1000 * seconds,
            "of the twin": seconds / found["float32 twin", "float32"],
            "of float32": seconds / found[name, "float32"],
        }
        for (name, dtype), seconds in found.items()
    ]
    title = f"Training step: {preset}, batch {batch_size}, {length} tokens"
    show(rows, title, as_json, rounds=steps)


if __name__ == "__main__":
    main()
