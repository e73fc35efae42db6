"""How probable each class is for a text, given what all exits say of it."""

import numpy as np

from beex_keras.numpy_ops import log_softmax

_MOST_STEPS = 50
_SMALL = 1e-12


def label_probabilities(exit_logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    r"""Estimates the probabilities of the classes (B, C) by a logistic regression on all exits' logits.

    \[
    p(y \mid z_1, \ldots, z_N) = \operatorname{softmax}\Big(\sum_{k=1}^N w_k z_k\Big)_y, \qquad
    w = \arg\max_w \sum_{i=1}^B \log p(y_i) - \tfrac12 \lVert w - e_N \rVert^2
    \]

    Each exit has one weight. With few texts, the weights stay near \(e_N\), with which the probabilities
    are those of the last exit. With more texts they correct an exit that is too sure, and count an earlier
    exit where the last one does not know better.

    Args:
        exit_logits: logits (B, N, C).
        labels: class numbers (B,).

    Source: temperature scaling (Guo et al., 2017), of which this is the form for several exits; the form
    and the Gaussian prior are our reading.

    Example:
        >>> from beex_keras.evaluation.label_probabilities import label_probabilities
        >>> logits = np.array([[[0, 1], [0, 9]], [[0, 1], [9, 0]], [[1, 0], [9, 0]]])
        >>> found = label_probabilities(logits, np.array([1, 1, 0]))
        >>> (0.5 < found[0, 1] < 0.99).item()  # the last exit is sure, and wrong about the second text
        True
    """
    # Since a softmax ignores a common shift, centred logits give the same probabilities.
    features = np.asarray(exit_logits, np.float64)
    features = features - features.mean(axis=-1, keepdims=True)
    rows, start = np.arange(len(labels)), np.eye(features.shape[1])[-1]
    told = features[rows, :, labels]

    def log_probabilities(weights: np.ndarray) -> np.ndarray:
        return log_softmax(np.einsum("bnc,n->bc", features, weights))

    def objective(weights: np.ndarray) -> float:
        gained = log_probabilities(weights)[rows, labels].sum()
        return float(gained - ((weights - start) ** 2).sum() / 2)

    weights, best = start, objective(start)
    for _ in range(_MOST_STEPS):  # of Newton's method, halved until they help
        p = np.exp(log_probabilities(weights))
        expected = np.einsum("bnc,bc->bn", features, p)
        gradient = (told - expected).sum(axis=0) - (weights - start)
        spread = (features * p[:, None]) @ features.transpose(0, 2, 1)
        curvature = spread.sum(axis=0) - expected.T @ expected + np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        if step @ gradient < _SMALL * len(labels):
            break
        while (found := objective(weights + step)) < best:
            step = step / 2
        weights, best = weights + step, found
    return np.exp(log_probabilities(weights))
