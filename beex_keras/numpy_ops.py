"""The few operations of the exit rules on NumPy arrays; `beex_keras.tensor_ops` has them on tensors."""

from typing import Any

import numpy as np

abs, exp, log, where, stack = np.abs, np.exp, np.log, np.where, np.stack


def convert(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    scaled = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return scaled / scaled.sum(axis=-1, keepdims=True)


def sum_last(values: np.ndarray) -> np.ndarray:
    return values.sum(axis=-1)


def max_last(values: np.ndarray) -> np.ndarray:
    return values.max(axis=-1)


def argmax_last(values: np.ndarray) -> np.ndarray:
    return values.argmax(axis=-1).astype(np.int32)


def fill(like: np.ndarray, value: Any) -> np.ndarray:
    """The value for each row of `like`."""
    return np.full(len(like), value, np.int32 if isinstance(value, int) else np.float32)


def cast(value: Any, like: np.ndarray) -> Any:
    return np.asarray(value, like.dtype)


def first_or_last(stops: np.ndarray) -> np.ndarray:
    """The column of the first true value of each row, or the last column: bool (B, N) → (B,)."""
    return np.where(stops.any(axis=1), stops.argmax(axis=1), stops.shape[1] - 1).astype(np.int32)
