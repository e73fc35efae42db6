"""Time of a training step, binarized against the float32 twin, in turns in one process.

python benchmarks/step_time.py --preset tiny
"""

import json
import os
import platform
import statistics
import time
from typing import Any

import click
from rich.progress import track

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)


@click.command()
@click.option("--preset", default="tiny", show_default=True)
@click.option("--batch-size", default=64, show_default=True)
@click.option("--length", default=32, show_default=True, help="Tokens of a text.")
@click.option("--steps", default=60, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(preset: str, batch_size: int, length: int, steps: int, as_json: bool) -> None:
    import numpy as np
    import tensorflow as tf

    from beex_keras import tables
    from beex_keras.models import BEExformerClassifier, BEExformerConfig
    from beex_keras.training import TrainingConfig
    from beex_keras.training.optimizer import make_optimizer

    weights_only = BEExformerConfig.preset(preset)
    configs = {
        "float32 twin": weights_only.twin(),
        "weights-only": weights_only,
        "fully binary": weights_only.replace(activation_bits=1),
    }
    ids = np.random.default_rng(0).integers(5, weights_only.vocabulary_size, (batch_size, length))
    labels = np.zeros(batch_size, np.int32)
    models: dict[str, Any] = {}
    for name, config in configs.items():
        model = BEExformerClassifier(config)
        model.compile(make_optimizer(TrainingConfig(), 1000, config))
        model.train_on_batch(ids, labels)
        models[name] = model

    times: dict[str, list[float]] = {name: [] for name in models}
    rounds = range(steps)
    for _ in rounds if as_json else track(rounds, "Steps"):
        for name, model in models.items():
            start = time.perf_counter()
            model.train_on_batch(ids, labels)
            times[name].append(time.perf_counter() - start)
    base = statistics.median(times["float32 twin"])
    rows = [
        {
            "model": name,
            "median ms": 1000 * statistics.median(values),
            "of the twin": statistics.median(values) / base,
        }
        for name, values in times.items()
    ]
    setting = f"{preset}, batch {batch_size}, {length} tokens, {platform.machine()}, "
    setting += f"{os.cpu_count()} cores, TensorFlow {tf.__version__}"
    if as_json:
        click.echo(json.dumps({"setting": setting, "steps": steps, "rows": rows}))
    else:
        tables.show(rows, f"Training step: {setting}")


if __name__ == "__main__":
    main()
