"""The binary matrices of a model: which there are by its configuration, and their signs."""

import dataclasses
from collections.abc import Callable, Collection

import numpy as np

from beex_keras.backend import tf
from beex_keras.models import BEExformerClassifier, BEExformerConfig, topology

EMBEDDING = "embedding/token"


@dataclasses.dataclass(frozen=True)
class BinaryMatrix:
    """A matrix as the Keras model has it.

    Attributes:
        signs: ±1, (inputs, outputs); for the embedding (vocabulary, width).
        scale: real scale of each output, or column.
    """

    signs: np.ndarray
    scale: np.ndarray


def matrix_shapes(
    config: BEExformerConfig, blocks: Collection[int] | None = None
) -> dict[str, tuple[int, ...]]:
    """The matrices that are binary by the configuration: name → (inputs, outputs).

    `blocks` are the only ones to look at, counted from 1; the embedding belongs to the first.
    """
    blocks = range(1, config.num_blocks + 1) if blocks is None else blocks
    shapes: dict[str, tuple[int, ...]] = {}
    if config.embedding_bits == 1 and 1 in blocks:
        shapes[EMBEDDING] = (config.vocabulary_size, config.width)
    if config.precision.is_binary:
        for number in blocks:
            shapes |= {f"block_{number}/{m.name}": m.shape for m in topology.matrices(config)}
    return shapes


def binary_matrices(classifier: BEExformerClassifier) -> dict[str, BinaryMatrix]:
    """The signs of the classifier's latent weights, named as in `matrix_shapes`.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=1)
        >>> matrices = beex.export.binary_matrices(beex.BEExformerClassifier(config))
        >>> np.unique(matrices["block_1/attention/query"].signs)
        array([-1.,  1.], dtype=float32)
    """
    matrices = {}
    token = classifier.backbone.embedding.token
    if token.table_quantizer is not None:
        signs = _signs(token.table_quantizer, token.table)
        matrices[EMBEDDING] = BinaryMatrix(signs, token.scale.numpy())
    for number, block in enumerate(classifier.backbone.blocks, start=1):
        for name, linear in block.linears().items():
            if linear.precision.is_binary:
                signs = _signs(linear.matmul.kernel_quantizer, linear.kernel)[0, 0]
                scale = np.asarray(linear.on_grid(linear.alpha))
                matrices[f"block_{number}/{name}"] = BinaryMatrix(signs, scale)
    return matrices


def _signs(quantizer: Callable[[tf.Tensor], tf.Tensor], latent: tf.Variable) -> np.ndarray:
    return np.asarray(quantizer(tf.constant(latent.numpy())))
