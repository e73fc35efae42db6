"""How much accuracy a text is expected to lose by leaving at an exit."""

import numpy as np

from beex_keras.evaluation.newton import maximum
from beex_keras.numpy_ops import log_softmax

_SMALL = 1e-12
_PRIOR = 0.01
"""The inverse variance of the slope, which would otherwise have no bound where a line separates the texts."""


def expected_loss(exit_logits: np.ndarray, answers: np.ndarray, worth: np.ndarray) -> np.ndarray:
    r"""Returns how much of its accuracy each text loses at each exit, as far as that exit's confidence tells it.

    A text loses only if the exit's answer differs from that of the last exit. Of a few hundred answers only
    a few do, so a mean over the texts above a threshold follows single ones. All texts together tell how
    probable a different answer is if exit \(i\) gives its own the probability \(p\), and what one costs:

    \[
    L_i(p) = m_i \, \sigma\!\left(a_i + b_i \log \frac{p}{1 - p}\right)
    \]

    \(\sigma(\cdot)\) is a logistic regression over all texts, whether they would leave there or not, and \(m_i\)
    the mean loss of those with different answers. One text is added to both. In the regression it is as sure as the
    mean, and a half of it has a different answer; in the mean loss it loses a half. So few texts never say that
    nothing is lost.

    Args:
        exit_logits: (B, N, C).
        answers: classes (B, N).
        worth: how probable it is that each answer is right (B, N), weighted by what it counts.

    Returns:
        (B, N), zero at the last exit.

    Source: our reading. Platt (1999, "Probabilistic Outputs for Support Vector Machines") fits a logistic
    regression to a score and adds texts in a like way.

    Example:
        >>> from beex_keras.evaluation.exit_loss import expected_loss
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
        expected[:, exit] = mean * _probability(_log_odds(exit_logits[:, exit]), differs)
    return expected


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Of the most probable class: (B, C) → (B,)."""
    own = log_softmax(np.asarray(logits, np.float64))
    most = own.argmax(axis=1)
    others = np.where(np.arange(own.shape[1]) == most[:, np.newaxis], -np.inf, own)
    return own.max(axis=1) - np.logaddexp.reduce(others, axis=1)


def _probability(scores: np.ndarray, happens: np.ndarray) -> np.ndarray:
    """A logistic regression of what happens on scores (B,), at these scores."""
    centred = scores - scores.mean()
    features = np.stack([np.ones(len(scores) + 1), np.append(centred, 0.0)], axis=1)
    told, prior = np.append(happens, 0.5), np.array([0.0, _PRIOR])

    def objective(line: np.ndarray) -> float:
        odds = features @ line
        return float((told * odds - np.logaddexp(0, odds)).sum() - (prior * line**2).sum() / 2)

    def derivatives(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = _sigmoid(features @ line)
        curvature = (features.T * (p * (1 - p))) @ features + np.diag(prior)
        return features.T @ (told - p) - prior * line, curvature

    line = maximum(objective, derivatives, np.zeros(2), _SMALL * len(told))
    return _sigmoid(features[:-1] @ line)


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -odds))
