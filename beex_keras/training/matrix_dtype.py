"""The precision of a training's matrix products."""

import functools
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from beex_keras.backend import tf
from beex_keras.errors import BeexWarning
from beex_keras.models import BEExformerClassifier

_CPU = Path("/proc/cpuinfo")
_BFLOAT16 = {"amx_bf16", "avx512_bf16"}
"""Linux's names of the instructions that multiply matrices in bfloat16."""

_SLOWER = 1.5
"""From this cost on it is the processor, and not the noise of a measurement."""


@contextmanager
def matrix_dtype(model: BEExformerClassifier, name: str) -> Iterator[None]:
    """Returns a context in which the blocks' matrices multiply in the dtype `name` in training.

    Only those products: sums of gradients, normalizations, softmax, optimizer and every inference
    stay float32. ±1 is exact in bfloat16, so a binary matrix only rounds what it is multiplied with
    and what comes out. Warns where bfloat16 costs time instead of saving it.
    """
    if name == "bfloat16" and (cost := bfloat16_cost()) > _SLOWER:
        warnings.warn(
            f"Matrix products in bfloat16 take {cost:.1f} times as long as in float32 on this "
            "machine, whose processor has no instructions for them; float32 is faster here.",
            BeexWarning,
            stacklevel=3,  # this generator, contextlib, the caller
        )
    linears = [linear for block in model.backbone.blocks for linear in block.linears().values()]
    products = [linear.matmul for linear in linears]
    for product in products:
        product.training_dtype = tf.as_dtype(name)
    try:
        yield
    finally:
        for product in products:
            product.training_dtype = tf.float32


@functools.cache
def default() -> str:
    """Returns the default dtype: "bfloat16" on a processor with AMX-BF16 or AVX512-BF16, else "float32".

    The list of the processor's instructions decides, and not a measurement, so that the same command finds the same
    dtype again. Only Linux has this list. With a GPU the dtype is "float32".

    Source: the instructions are AMX-BF16 and AVX512-BF16 (Intel, "Architecture Instruction Set Extensions Programming
    Reference"); AMD's processors have the second ones from Zen 4 on.
    """
    if _CPU.exists() and not tf.config.list_physical_devices("GPU"):
        flags = _CPU.read_text("utf-8", "replace").partition("\nflags")[2].partition("\n")[0]
        if not _BFLOAT16.isdisjoint(flags.split()):
            return "bfloat16"
    return "float32"


@functools.cache
def bfloat16_cost() -> float:
    """Time of a matrix product in bfloat16 on this machine, that in float32 being 1.

    Measured rather than looked up: processors name their instructions each in their own way.
    """

    def seconds(dtype: tf.DType) -> float:
        factor = tf.ones((512, 512), dtype)
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            tf.matmul(factor, factor).numpy()
            times.append(time.perf_counter() - begin)
        return min(times)

    return seconds(tf.bfloat16) / seconds(tf.float32)
