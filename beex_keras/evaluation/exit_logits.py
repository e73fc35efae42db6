"""Exit logits of many samples, without computing more padding than needed."""

from collections.abc import Iterator

import numpy as np

from beex_keras.backend import tf


def real_lengths(ids: np.ndarray) -> np.ndarray:
    """Tokens up to the last that is not padding, at least 1: ids (B, T) → (B,). Ids given by hand may have holes."""
    return np.max(np.where(ids != 0, np.arange(1, ids.shape[1] + 1), 1), axis=1, initial=1)


def predict_exit_logits(
    model: tf.keras.Model, ids: np.ndarray, batch_size: int = 256
) -> np.ndarray:
    """Logits of all exits: ids int32 (B, T), padded with 0 → float32 (B, N, C).

    Samples are batched by length and put back in order; padding never changes a logit, so this is
    `model.predict` at a fraction of the time. It is the work of this process alone, even if the
    model was made under a strategy, whose other workers `model.predict` would wait for.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=2)
        >>> model = beex.BEExformerClassifier(config)
        >>> beex.evaluation.predict_exit_logits(model, np.array([[2, 7, 3, 0]], np.int32)).shape
        (1, 2, 2)
    """
    lengths = real_lengths(ids)
    order = np.argsort(lengths, kind="stable")

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, len(ids), batch_size):
            rows = order[start : start + batch_size]
            yield ids[rows, : lengths[rows[-1]]]

    if not len(ids):
        return np.zeros((0, *model.output_shape[1:]), np.float32)
    spec = tf.TensorSpec((None, None), tf.int32)
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1 and strategy.cluster_resolver is None:
        dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
        logits = model.predict(dataset, verbose=0)
    else:
        forward = tf.function(lambda rows: model(rows, training=False), input_signature=[spec])
        logits = np.concatenate([forward(rows) for rows in batches()])
    restored = np.empty_like(logits)
    restored[order] = logits
    return restored
