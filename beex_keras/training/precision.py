"""The precision of a training's matrix products."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from beex_keras.models import BEExformerClassifier


@contextmanager
def precision(model: BEExformerClassifier, name: str) -> Iterator[None]:
    """Within, the blocks' matrices multiply in the dtype `name` while they train.

    Only those products: sums of gradients, normalizations, softmax, optimizer and every inference
    stay float32. ±1 is exact in bfloat16, so a binary matrix only rounds what it is multiplied with
    and what comes out.
    """
    products = [
        linear.matmul for block in model.backbone.blocks for linear in block.linears().values()
    ]
    for product in products:
        product.training_dtype = tf.as_dtype(name)
    try:
        yield
    finally:
        for product in products:
            product.training_dtype = tf.float32
