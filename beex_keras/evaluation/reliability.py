"""How reliable an answer is: fits of validation data that tell the probability of errors."""

from collections.abc import Callable

import numpy as np

from beex_keras.numpy_ops import log_softmax

_MAX_STEPS = 50

_TOLERANCE = 1e-12
"""Gain of the log-likelihood a text below which a fit ends."""

_SLOPE_PRIOR = 0.01
"""Inverse variance of the slope, which would otherwise diverge where a threshold separates the texts."""


def scaled_probabilities(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    r"""Returns the probabilities of the classes (B, C) under the temperature that suits the labels best.

    \[
    p_i = \operatorname{softmax}(a z_i), \qquad
    a = \arg\max_a \sum_{i=1}^B \log p_i(y_i) - \tfrac12 (a - 1)^2
    \]

    \(a\) is the inverse of the temperature; it is small for an overconfident model. With few texts it
    stays near 1, which leaves the model's own probabilities.

    Args:
        logits: of one exit, (B, C).
        labels: class numbers (B,).

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks"; the Gaussian prior of \(a\) is
    our reading.

    Example:
        >>> from beex_keras.evaluation.reliability import scaled_probabilities
        >>> logits = np.array([[0, 9], [9, 0], [9, 0]])
        >>> found = scaled_probabilities(logits, np.array([1, 1, 0]))
        >>> 0.6 < found[0, 1] < 0.9  # confident each time, and wrong once
        True
    """
    # Since a softmax ignores a common shift, centred logits give the same probabilities.
    z = np.asarray(logits, np.float64)
    z = z - z.mean(axis=-1, keepdims=True)
    rows = np.arange(len(labels))

    def objective(a: np.ndarray) -> float:
        return float(log_softmax(a * z)[rows, labels].sum() - (a[0] - 1) ** 2 / 2)

    def derivatives(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = np.exp(log_softmax(a * z))
        expected = (p * z).sum(axis=-1)
        curvature = (p * z * z).sum() - (expected**2).sum() + 1
        return (z[rows, labels] - expected).sum() - (a - 1), np.array([[curvature]])

    a = _maximize(objective, derivatives, np.ones(1), _TOLERANCE * len(labels))
    return np.exp(log_softmax(a * z))


def expected_loss(exit_logits: np.ndarray, answers: np.ndarray, worth: np.ndarray) -> np.ndarray:
    r"""Returns the loss of accuracy that is expected of each text at each exit, given that exit's confidence.

    A text loses only if the exit's answer differs from that of the last exit. Of a few hundred answers only
    a few differ, so a mean over the texts above a threshold would follow single texts. Instead, all texts
    together estimate how probable a different answer is if exit \(i\) gives its own the probability
    \(p\), and how much a different answer costs:

    \[
    L_i(p) = m_i \, \sigma\!\left(a_i + b_i \log \frac{p}{1 - p}\right)
    \]

    \(\sigma(\cdot)\) is a logistic regression over all texts, whether they would leave there or not, and \(m_i\)
    is the mean loss of the texts with different answers. One text is added to both fits, so that few texts never
    show a loss of zero. In the regression it has the mean confidence and half a different answer; in
    the mean loss it loses a half.

    Args:
        exit_logits: (B, N, C).
        answers: classes (B, N).
        worth: probability that each answer is right, times the weight of the answer (B, N).

    Returns:
        (B, N), zero at the last exit.

    Source: our reading. Platt (1999, "Probabilistic Outputs for Support Vector Machines") fits a logistic
    regression to a score and adds texts in a like way.

    Example:
        >>> from beex_keras.evaluation.reliability import expected_loss
        >>> logits = np.array([[[0, 9], [0, 9]], [[0, 8], [0, 9]], [[0, 1], [9, 0]]])
        >>> found = expected_loss(logits, logits.argmax(axis=2), np.array([[1, 1], [1, 1], [0, 1]]))
        >>> found[2, 0] > 0.5 > found[0, 0] > 0
        True
    """
    expected = np.zeros(answers.shape)
    for exit in range(answers.shape[1] - 1):
        differs = answers[:, exit] != answers[:, -1]
        lost = (worth[:, -1] - worth[:, exit])[differs]
        mean = (lost.sum() + 0.5) / (len(lost) + 1)
        expected[:, exit] = mean * _logistic_regression(_log_odds(exit_logits[:, exit]), differs)
    return expected


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Log-odds of the most probable class: (B, C) → (B,)."""
    log_p = log_softmax(np.asarray(logits, np.float64))
    best = log_p.argmax(axis=1)
    others = np.where(np.arange(log_p.shape[1]) == best[:, np.newaxis], -np.inf, log_p)
    return log_p.max(axis=1) - np.logaddexp.reduce(others, axis=1)


def _logistic_regression(scores: np.ndarray, happens: np.ndarray) -> np.ndarray:
    """Fits the probability of an event to scores (B,), and returns it at these scores (B,)."""
    centred = scores - scores.mean()
    features = np.stack([np.ones(len(scores) + 1), np.append(centred, 0.0)], axis=1)
    targets, prior = np.append(happens, 0.5), np.array([0.0, _SLOPE_PRIOR])

    def objective(line: np.ndarray) -> float:
        odds = features @ line
        return float((targets * odds - np.logaddexp(0, odds)).sum() - (prior * line**2).sum() / 2)

    def derivatives(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = _sigmoid(features @ line)
        curvature = (features.T * (p * (1 - p))) @ features + np.diag(prior)
        return features.T @ (targets - p) - prior * line, curvature

    line = _maximize(objective, derivatives, np.zeros(2), _TOLERANCE * len(targets))
    return _sigmoid(features[:-1] @ line)


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -odds))


def _maximize(
    objective: Callable[[np.ndarray], float],
    derivatives: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Finds the maximum (n,) of a concave function by Newton's steps, each halved until it helps.

    `derivatives` gives the gradient (n,) and the negative Hessian (n, n). The search ends where a step
    promises a gain below `tolerance`.
    """
    found, best = start, objective(start)
    for _ in range(_MAX_STEPS):
        gradient, curvature = derivatives(found)
        step = np.linalg.solve(curvature, gradient)
        if step @ gradient < tolerance:
            break
        while (value := objective(found + step)) < best:
            step = step / 2
        found, best = found + step, value
    return found
