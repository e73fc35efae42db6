"""Latency of one text in Larq Compute Engine's interpreter, in turns in one process.

    python benchmarks/latency.py --preset small

The file that exits by itself, made to stop at each of its exits, beside the file without control flow
that runs every block, and beside what the same file was before attention's products and norms were
fused. One thread, random weights (latency does not depend on them), a text of full length. All with
the interpreter's default kernel, since its faster one is wrong within branches.
"""

import json
import os
import platform
import statistics
import time
from importlib.metadata import version
from typing import Any
from unittest import mock

import click
from rich.progress import track

MODES = {
    "weights-only": {},
    "fully binary": {"activation_bits": 1},
    "float32 twin": {"weight_bits": 32, "embedding_bits": 32},
}


@click.command()
@click.option("--preset", default="small", show_default=True)
@click.option("--blocks", default=4, show_default=True)
@click.option("--runs", default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(preset: str, blocks: int, runs: int, as_json: bool) -> None:
    import numpy as np

    from beex_keras import BEExformerClassifier, BEExformerConfig, tables
    from beex_keras.exits import FixedDepth
    from beex_keras.export import convert
    from beex_keras.export.tflite import flatbuffer, fuse

    rows = []
    for mode, bits in MODES.items():
        config = BEExformerConfig.preset(preset, num_blocks=blocks, **bits)
        model = BEExformerClassifier(config, policy=FixedDepth(blocks))
        generator = np.random.default_rng(0)
        model.set_weights([generator.normal(0, 0.1, w.shape) for w in model.get_weights()])
        with mock.patch.object(fuse, "fuse", lambda model: None):
            unfused = convert(model, exit="all-outputs")
        plain = convert(model, exit="all-outputs")
        adaptive = convert(model, threshold_input=True)
        ids = generator.integers(5, config.vocabulary_size, (1, config.max_length), np.int32)
        interpreters = {
            "unfused": (_interpreter(unfused), [ids]),
            "no control flow": (_interpreter(plain), [ids]),
            **{
                f"exits at {depth}": (_interpreter(adaptive), [ids, np.array([depth], np.float32)])
                for depth in range(1, blocks + 1)
            },
        }
        times: dict[str, list[float]] = {name: [] for name in interpreters}
        for _ in range(runs) if as_json else track(range(runs), mode):
            for name, (interpreter, inputs) in interpreters.items():
                start = time.perf_counter()
                interpreter.predict(inputs)
                times[name].append(time.perf_counter() - start)
        base = statistics.median(times["no control flow"])
        files = {"unfused": unfused, "no control flow": plain}
        for name, values in times.items():
            counts = flatbuffer.operation_counts(flatbuffer.parse(files.get(name, adaptive)))
            rows.append(
                {
                    "model": mode,
                    "file": name,
                    "median ms": 1000 * statistics.median(values),
                    "of no control flow": statistics.median(values) / base,
                    "ops": sum(counts.values()),
                }
            )
    setting = f"{preset}, {blocks} blocks, {platform.machine()}, {os.cpu_count()} cores, "
    setting += f"larq-compute-engine {version('larq-compute-engine')}"
    if as_json:
        click.echo(json.dumps({"setting": setting, "runs": runs, "rows": rows}))
    else:
        tables.show(rows, f"One text, one thread: {setting}")


def _interpreter(data: bytes) -> Any:
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    return Interpreter(data, num_threads=1).interpreter


if __name__ == "__main__":
    main()
