"""Latency of one text in Larq Compute Engine's interpreter, in turns in one process.

    python benchmarks/latency.py --preset small

The file that exits by itself, made to stop at each of its exits, beside the file without control flow
that runs every block, and beside what the same file was before attention's products and norms were
fused. One thread, random weights (latency does not depend on them), a text of full length. All with
the interpreter's default kernel, since its faster one is wrong within branches.
"""

from functools import partial
from unittest import mock

import click
import numpy as np

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)
from measure import SEED, json_option, medians, show

MODES = {
    "weights-only": {},
    "fully binary": {"activation_bits": 1},
    "float32 twin": {"weight_bits": 32, "embedding_bits": 32},
}
_BASE = "no control flow"


@click.command()
@click.option("--preset", default="small", show_default=True)
@click.option("--blocks", default=4, show_default=True)
@click.option("--runs", default=100, show_default=True)
@json_option
def main(preset: str, blocks: int, runs: int, as_json: bool) -> None:
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    from beex_keras import BEExformerClassifier, BEExformerConfig
    from beex_keras.exits import FixedDepth
    from beex_keras.export import to_tflite
    from beex_keras.export.tflite import flatbuffer
    from beex_keras.export.tflite.passes import fuse

    rows = []
    for mode, bits in MODES.items():
        config = BEExformerConfig.preset(preset, num_blocks=blocks, **bits)
        model = BEExformerClassifier(config, policy=FixedDepth(blocks))
        generator = np.random.default_rng(SEED)
        model.set_weights([generator.normal(0, 0.1, w.shape) for w in model.get_weights()])
        with mock.patch.object(fuse, "fuse", lambda model: None):
            files = {"unfused": to_tflite(model, exit="all-outputs")}
        files[_BASE] = to_tflite(model, exit="all-outputs")
        adaptive = to_tflite(model, threshold_input=True)
        ids = generator.integers(5, config.vocabulary_size, (1, config.max_length), np.int32)
        inputs = {name: [ids] for name in files}
        for depth in range(1, blocks + 1):
            name = f"exits at {depth}"
            files[name], inputs[name] = adaptive, [ids, np.array([depth], np.float32)]
        works = {
            name: partial(Interpreter(file, num_threads=1).interpreter.predict, inputs[name])
            for name, file in files.items()
        }
        found = medians(works, runs, as_json)
        for name, seconds in found.items():
            counts = flatbuffer.operation_counts(flatbuffer.parse(files[name]))
            rows.append(
                {
                    "model": mode,
                    "file": name,
                    "median ms": 1000 * seconds,
                    "of no control flow": seconds / found[_BASE],
                    "ops": sum(counts.values()),
                }
            )
    show(rows, f"One text, one thread: {preset}, {blocks} blocks", as_json, rounds=runs)


if __name__ == "__main__":
    main()
