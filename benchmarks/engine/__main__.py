"""Speed and size of the C engine, beside Larq Compute Engine and TensorFlow Lite.

    python benchmarks/engine layers                                      single linear layers
    python benchmarks/engine texts --preset small --data-dir GLUE        whole models, on real sentences
    python benchmarks/engine texts --run runs/small --data-dir GLUE      a trained one, with its exit
    python benchmarks/engine memory --preset small                       peak memory of a process
    python benchmarks/engine load --preset base                          time until a model is ready
    python benchmarks/engine size                                        bytes of compiled code

Speeds are medians over rounds in each of which everything is measured once, so that whatever else the
machine does meets all alike. Compare them within a run only. Models have random weights, on which
neither speed nor size depends, unless a trained one is given.
"""

import sys
from pathlib import Path

import click

import beex_keras  # noqa: F401  (selects Keras 2 before TensorFlow is imported)

sys.path.append(str(Path(__file__).parents[1]))

from footprint import load, memory, size
from layers import layers
from texts import texts

main = click.Group(
    "engine",
    commands={command.name: command for command in (layers, texts, memory, load, size)},
    help=(__doc__ or "").split("\n")[0],
)

if __name__ == "__main__":
    main()
