"""Logits of a regression for tests."""

import numpy as np


def logits_of(rows: int, depth: int = 4, seed: int = 0) -> np.ndarray:
    """Answers that come nearer to a target with each exit; the targets are `targets_of`."""
    noise = np.random.default_rng(seed).normal(size=(rows, depth, 1))
    return (targets_of(rows)[:, None, None] + noise / np.arange(2, depth + 2)[:, None]).astype(
        np.float32
    )


def targets_of(rows: int) -> np.ndarray:
    return np.random.default_rng(99).normal(size=rows)


def recent_changes(logits: np.ndarray) -> np.ndarray:
    """The score of each exit from the second on: all changes up to it, halved for each exit in between."""
    changes = np.abs(np.diff(logits.astype(np.float64)[:, :, 0], axis=1))
    later = np.subtract.outer(np.arange(changes.shape[1]), np.arange(changes.shape[1]))
    halves = np.where(later >= 0, 0.5 ** later.clip(min=0), 0)
    return changes @ halves.T + 4 * 0.5 ** np.arange(1, changes.shape[1] + 1)
