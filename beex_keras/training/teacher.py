"""The model that a training learns from.

The teacher is float32, or what came before in an order of steps: of a fully binary model the
weights-only one, which is nearer to what it can do than the float32 one is.

Source: a teacher from the step before as BiT (Liu et al., 2022).
"""

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerClassifier
from beex_keras.training.warm_starts import WarmStart


def make_teacher(
    model: BEExformerClassifier, source: WarmStart, ids: np.ndarray
) -> BEExformerClassifier:
    """A model of the same shape with the weights of `source`, as precise as those; it drops nothing.

    It only ever predicts, so binary weights are ±1 already and not latent ones.

    Raises:
        BeexError: no model of that shape can start from `source`, or it has fewer bits.
    """
    for name, number in source.bits.items():
        mine = getattr(model.config, name)
        if number < mine:
            having = f"The teacher has {name}={number}, the model to train {mine}"
            raise BeexError(f"{having}; a teacher needs as many bits or more.")
    config = model.config.replace(**source.bits, dropout=0.0, token_dropout=0.0)
    source.config(config)
    parts = model.preprocessor, model.labels, None, model.value_scale
    teacher = BEExformerClassifier(config, *parts)
    source.apply(teacher, ids)
    _take_signs(teacher)
    return teacher


def _take_signs(teacher: BEExformerClassifier) -> None:
    """Once, where a quantizer would in every step."""
    token = teacher.backbone.embedding.token
    if token.table_quantizer is not None:
        token.table.assign(token.table_quantizer(tf.convert_to_tensor(token.table)))
        token.table_quantizer = tf.identity
    for block in teacher.backbone.blocks:
        for linear in block.linears().values():
            if linear.precision.is_binary:
                latent = tf.convert_to_tensor(linear.kernel)
                linear.kernel.assign(linear.matmul.kernel_quantizer(latent))
                linear.set_kernel_quantizer(tf.identity)
