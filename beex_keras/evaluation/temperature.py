"""Temperature scaling: probabilities that are as sure as a model is right."""

import numpy as np

from beex_keras.evaluation.newton import maximum
from beex_keras.numpy_ops import log_softmax

_SMALL = 1e-12


def scaled_probabilities(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    r"""Returns the probabilities of the classes (B, C) under the temperature that suits the labels best.

    \[
    p_i = \operatorname{softmax}(a z_i), \qquad
    a = \arg\max_a \sum_{i=1}^B \log p_i(y_i) - \tfrac12 (a - 1)^2
    \]

    \(a\) is the inverse of the temperature. A model that is too sure has a small one. With few texts it
    stays near 1, with which the probabilities are the model's own.

    Args:
        logits: of one exit, (B, C).
        labels: class numbers (B,).

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks"; the Gaussian prior of \(a\) is
    our reading.

    Example:
        >>> from beex_keras.evaluation.temperature import scaled_probabilities
        >>> logits = np.array([[0, 9], [9, 0], [9, 0]])
        >>> found = scaled_probabilities(logits, np.array([1, 1, 0]))
        >>> 0.6 < found[0, 1] < 0.9  # sure each time, and wrong once
        True
    """
    # Since a softmax ignores a common shift, centred logits give the same probabilities.
    z = np.asarray(logits, np.float64)
    z = z - z.mean(axis=-1, keepdims=True)
    told = z[np.arange(len(labels)), labels]

    def objective(a: np.ndarray) -> float:
        gained = log_softmax(a * z)[np.arange(len(labels)), labels].sum()
        return float(gained - (a[0] - 1) ** 2 / 2)

    def derivatives(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = np.exp(log_softmax(a * z))
        expected = (p * z).sum(axis=-1)
        curvature = (p * z * z).sum() - (expected**2).sum() + 1
        return (told - expected).sum() - (a - 1), np.array([[curvature]])

    a = maximum(objective, derivatives, np.ones(1), _SMALL * len(labels))
    return np.exp(log_softmax(a * z))
