r"""Pearson's correlation, and how much each sample bears on it."""

import numpy as np


def correlation(first: np.ndarray, second: np.ndarray) -> tuple[float, np.ndarray]:
    r"""Pearson's \(r\) of two columns (B,), and each sample's influence on it (B,).

    \[
    r = \mathrm{mean}(a b), \qquad \psi = a b - \tfrac{r}{2} (a^2 + b^2)
    \]

    with both columns standardized to \(a\) and \(b\). The standard error of \(r\), and likewise of the
    difference of two such, is \(\operatorname{sd}(\psi) / \sqrt{B}\). Both are 0 if a column is constant.

    Source: the delta method.

    Example:
        >>> from beex_keras.evaluation.correlation import correlation
        >>> r, influence = correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
        >>> round(r, 6), influence.round(6).tolist()
        (1.0, [0.0, 0.0, 0.0])
    """
    a, b = (np.asarray(column, np.float64) for column in (first, second))
    a, b = a - a.mean(), b - b.mean()
    spread = np.sqrt(np.mean(a * a) * np.mean(b * b))
    if not spread > 0:
        return 0.0, np.zeros(len(a))
    a, b = a / np.sqrt(np.mean(a * a)), b / np.sqrt(np.mean(b * b))
    r = float(np.clip(np.mean(a * b), -1, 1))
    return r, a * b - r / 2 * (a * a + b * b)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 of values (B,); equal ones share the mean of theirs.

    Example:
        >>> from beex_keras.evaluation.correlation import ranks
        >>> ranks(np.array([0.5, 0.1, 0.5])).tolist()
        [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]
