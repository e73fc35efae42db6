"""Newton's method for the smooth concave fits of calibration."""

from collections.abc import Callable

import numpy as np

_MOST_STEPS = 50


def maximum(
    objective: Callable[[np.ndarray], float],
    derivatives: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Returns where a concave function has its maximum, by steps that are halved until they help.

    Args:
        objective: the function, of (n,).
        derivatives: its gradient (n,), and its second derivatives with the opposite sign (n, n).
        start: (n,).
        tolerance: of the function; a step that promises less is not taken.

    Example:
        >>> from beex_keras.evaluation.newton import maximum
        >>> maximum(lambda x: -((x[0] - 3) ** 2), lambda x: (6 - 2 * x, np.array([[2.0]])), np.zeros(1), 1e-9)
        array([3.])
    """
    found, best = start, objective(start)
    for _ in range(_MOST_STEPS):
        gradient, curvature = derivatives(found)
        step = np.linalg.solve(curvature, gradient)
        if step @ gradient < tolerance:
            break
        while (value := objective(found + step)) < best:
            step = step / 2
        found, best = found + step, value
    return found
