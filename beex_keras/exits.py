r"""Exit policies: when does another block no longer pay?

A policy gives each exit a score and compares it with a threshold. The score of exit i may depend on
the exits before it through a small state, so that one rule serves three ways: over all exits at
once (`ExitPolicy.choose`), step by step in a graph that stops, and in the C engine.

Notation: \(p\) the softmax of an exit's logits, \(H_i = -\sum p \ln p\) the entropy at exit i.
"""

from typing import Any, ClassVar

import numpy as np

from beex_keras.backend import tf
from beex_keras.errors import BeexError

State = tuple[tf.Tensor, ...]


def entropy(logits: tf.Tensor) -> tf.Tensor:
    r"""\(H = -\sum_c p_c \ln p_c\) in nats: (..., C) → (...).

    Example:
        >>> float(beex.exits.entropy([0.0, 0.0])) == np.float32(np.log(2))
        True
    """
    log_p = tf.nn.log_softmax(logits)
    return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)


def first_exit(scores: np.ndarray, threshold: float, below: bool) -> np.ndarray:
    """Scores (B, N) → int32 (B,), the first exit whose score stops, or else the last exit.

    Example:
        >>> scores = np.array([[0.6, 0.95, 0.99], [0.6, 0.7, 0.8]], np.float32)
        >>> beex.exits.first_exit(scores, 0.9, below=False)
        array([1, 2], dtype=int32)
    """
    stops = scores < np.float32(threshold) if below else scores >= np.float32(threshold)
    stops[:, -1] = True
    return stops.argmax(axis=1).astype(np.int32)


class ExitPolicy:
    """Base of all policies; a subclass defines `score` and, if it needs one, a state.

    Attributes:
        name: what configurations and the command line call it.
        parameter: the threshold's name in the constructor.
        threshold: the number that calibration chooses.
        below: an exit is taken at score < threshold if true, at score ≥ threshold if false.
        counts: whether the score and so the threshold is a whole number of at least 1.

    Example:
        >>> policy = beex.exits.get("confidence").with_threshold(0.8)
        >>> policy.stops(tf.constant([0.7, 0.9])).numpy()
        array([False,  True])
    """

    name: ClassVar[str]
    parameter: ClassVar[str]
    below: bool = True
    counts: ClassVar[bool] = False

    def __init__(self, threshold: float) -> None:
        if not isinstance(threshold, int | float) or not np.isfinite(threshold):
            raise BeexError(f"{self.parameter}={threshold!r} must be a finite number.")
        if self.counts and (threshold != int(threshold) or threshold < 1):
            raise BeexError(f"{self.parameter}={threshold!r} must be a whole number of at least 1.")
        self.threshold = threshold

    def initial_state(self, logits: tf.Tensor) -> State:
        """The state before the first exit; `logits` (B, C) gives only the shape."""
        return ()

    def score(self, index: int, logits: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """The score of exit `index` (0-based), (B, C) → (B,), and the state for the next exit."""
        raise NotImplementedError

    def stops(self, score: tf.Tensor, threshold: tf.Tensor | None = None) -> tf.Tensor:
        """Whether an exit with this score is taken: (B,) → bool (B,).

        A tensor may take the place of the policy's own threshold.
        """
        threshold = tf.cast(self.threshold if threshold is None else threshold, score.dtype)
        return score < threshold if self.below else score >= threshold

    def deepest(self, num_exits: int) -> int:
        """The last exit, counted from 1, that this policy can take of a model with `num_exits`."""
        return num_exits

    def scores(self, exit_logits: tf.Tensor) -> tf.Tensor:
        """The scores of all exits, (B, N, C) → (B, N)."""
        exit_logits = tf.convert_to_tensor(exit_logits)
        state = self.initial_state(exit_logits[:, 0])
        scores = []
        for index in range(exit_logits.shape[1]):
            score, state = self.score(index, exit_logits[:, index], state)
            scores.append(score)
        return tf.stack(scores, axis=1)

    def choose(self, exit_logits: tf.Tensor) -> tf.Tensor:
        """The 0-based exit taken by each row, (B, N, C) → int32 (B,); the last if none stops."""
        stops = tf.cast(self.stops(self.scores(exit_logits)), tf.int32)
        last = tf.one_hot(stops.shape[1] - 1, stops.shape[1], dtype=tf.int32)
        return tf.argmax(tf.maximum(stops, last), axis=1, output_type=tf.int32)

    def with_threshold(self, threshold: float) -> "ExitPolicy":
        """The same policy with another threshold."""
        return type(self)(**{**self.get_config(), self.parameter: threshold})

    def get_config(self) -> dict[str, Any]:
        return {self.parameter: self.threshold}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExitPolicy) and serialize(self) == serialize(other)

    def __hash__(self) -> int:
        return hash(tuple(serialize(self).items()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({values})"


class FractionalEntropy(ExitPolicy):
    r"""The paper's rule: stop at the first exit where the entropy falls by too small a fraction.

    \[ r_i = \frac{H_{i-1} - H_i}{H_{i-1}}, \qquad H_0 = \ln C, \qquad
       \text{exit at the first } i \text{ with } r_i < \delta \]

    An exit after an entropy of nearly zero (below 1e-6 nat) is always taken: nothing is left to
    reduce. Source: the fractional reduction is the paper's; the direction and \(H_0\) are our
    reading.

    Args:
        delta: threshold \(\delta\); at most 1 is meaningful, above 1 every sample leaves at exit 1.
        direction: "below" as above, or "above" for the opposite, \(r_i \geq \delta\).

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.FractionalEntropy(0.2).choose(exit_logits).numpy()
        array([0], dtype=int32)
    """

    name, parameter = "fractional_entropy", "delta"
    _NOTHING_LEFT = 1e-6

    def __init__(self, delta: float = 0.5, direction: str = "below") -> None:
        super().__init__(delta)
        if direction not in ("below", "above"):
            raise BeexError(f"direction={direction!r} must be 'below' or 'above'.")
        self.direction = direction
        self.below = direction == "below"

    def initial_state(self, logits: tf.Tensor) -> State:
        return (tf.fill(tf.shape(logits)[:1], tf.math.log(float(logits.shape[-1]))),)

    def score(self, index: int, logits: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        (before,) = state
        now = entropy(logits)
        left = before > self._NOTHING_LEFT
        fraction = (before - now) / tf.where(left, before, tf.ones_like(before))
        certain = tf.fill(tf.shape(now), np.float32(-1e9 if self.below else 1e9))
        return tf.where(left, fraction, certain), (now,)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "direction": self.direction}


class Entropy(ExitPolicy):
    r"""Stop at the first exit with \(H_i < \tau\) nats. Source: DeeBERT (Xin et al., ACL 2020).

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.Entropy(0.3).choose(exit_logits).numpy()
        array([1], dtype=int32)
    """

    name, parameter = "entropy", "tau"

    def __init__(self, tau: float = 0.3) -> None:
        super().__init__(tau)

    def score(self, index: int, logits: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        return entropy(logits), state


class Confidence(ExitPolicy):
    r"""Stop at the first exit whose most probable class has \(\max_c p_c \geq p\).

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.Confidence(0.9).choose(exit_logits).numpy()
        array([1], dtype=int32)
    """

    name, parameter, below = "confidence", "p", False

    def __init__(self, p: float = 0.9) -> None:
        super().__init__(p)

    def score(self, index: int, logits: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        return tf.reduce_max(tf.nn.softmax(logits), axis=-1), state


class Patience(ExitPolicy):
    """Stop when the prediction was the same for `k` exits after it first appeared.

    `k` = 1 stops at the first exit that repeats its predecessor. Source: PABEE (Zhou et al.,
    NeurIPS 2020).

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.Patience(2).choose(exit_logits).numpy()
        array([2], dtype=int32)
    """

    name, parameter, below, counts = "patience", "k", False, True

    def __init__(self, k: int = 1) -> None:
        super().__init__(k)

    def initial_state(self, logits: tf.Tensor) -> State:
        batch = tf.shape(logits)[:1]
        return tf.fill(batch, -1), tf.fill(batch, 0.0)

    def score(self, index: int, logits: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        label_before, repeats = state
        label = tf.argmax(logits, axis=-1, output_type=tf.int32)
        repeats = tf.where(tf.equal(label, label_before), repeats + 1.0, tf.zeros_like(repeats))
        return repeats, (label, repeats)


class FixedDepth(ExitPolicy):
    """Stop at exit `n` (counted from 1), whatever the logits say.

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.FixedDepth(1).choose(exit_logits).numpy()
        array([0], dtype=int32)
    """

    name, parameter, below, counts = "fixed_depth", "n", False, True

    def __init__(self, n: int = 1) -> None:
        super().__init__(n)

    def score(self, index: int, logits: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        return tf.fill(tf.shape(logits)[:1], float(index + 1)), state

    def deepest(self, num_exits: int) -> int:
        return min(int(self.threshold), num_exits)


POLICIES: dict[str, type[ExitPolicy]] = {
    policy.name: policy for policy in (FractionalEntropy, Entropy, Confidence, Patience, FixedDepth)
}

DEFAULT = "confidence"
"""The policy of the recipe: the one that saves the most at equal score (docs/results.md)."""


def get(name: str, **arguments: Any) -> ExitPolicy:
    """The policy of that name.

    Raises:
        BeexError: no such policy, or arguments it does not take.

    Example:
        >>> beex.exits.get("entropy").with_threshold(0.3)
        Entropy(tau=0.3)
    """
    if name not in POLICIES:
        raise BeexError(f"Unknown exit policy '{name}'; choose one of {', '.join(POLICIES)}.")
    try:
        return POLICIES[name](**arguments)
    except TypeError:
        raise BeexError(f"Exit policy '{name}' does not take {sorted(arguments)}.") from None


def serialize(policy: ExitPolicy) -> dict[str, Any]:
    """A dictionary for JSON: ``{"name": "fractional_entropy", "delta": 0.5, ...}``.

    Example:
        >>> beex.exits.serialize(beex.Confidence(0.9))
        {'name': 'confidence', 'p': 0.9}
    """
    return {"name": policy.name, **policy.get_config()}


def deserialize(values: dict[str, Any]) -> ExitPolicy:
    """The inverse of `serialize`.

    Raises:
        BeexError: not a serialized policy.

    Example:
        >>> beex.exits.deserialize({"name": "confidence", "p": 0.9})
        Confidence(p=0.9)
    """
    if not isinstance(values, dict) or "name" not in values:
        raise BeexError("An exit policy must be a JSON object with a 'name'.")
    return get(**values)
