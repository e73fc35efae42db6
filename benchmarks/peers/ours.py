"""Our models, in the C engine, as `beex_keras.pipeline` gives them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REQUIRES = ("beex-keras",)


def files(model: str) -> list[Path]:
    from beex_keras import pretrained

    return [pretrained.find(model)]


def load(
    model: str, labels: Sequence[str], full_depth: bool = False, kernels: str = ""
) -> Callable[[Sequence[str]], Any]:
    """Answers by the number that a label has among `labels`: a file has an order of its own.

    Args:
        model: a file, or the name of a model that comes along.
        labels: of the task.
        full_depth: whether each text goes through all blocks.
        kernels: as for `CRunner`.
    """
    from beex_keras import FixedDepth
    from beex_keras.runtime import CRunner
    from beex_keras.runtime.classification import Pipeline

    runner = CRunner(files(model)[0].read_bytes(), model, kernels=kernels)
    policy = FixedDepth(runner.metadata.config.num_blocks) if full_depth else None
    classify = Pipeline(runner, policy)
    number = {label: i for i, label in enumerate(labels)}
    return lambda texts: [number.get(answer.label, -1) for answer in classify(list(texts))]
