r"""Exit policies: the rules that stop a text's computation at an exit.

A policy gives each exit a score and compares it with a threshold. The score of exit i may depend on
earlier exits through a small state. So the same rule runs over all exits at once
(`ExitPolicy.choose`), step by step in a graph, and in the C engine. NumPy computes arrays, and
TensorFlow computes tensors.

Notation: \(p\) the softmax of an exit's logits, \(H_i = -\sum p \ln p\) the entropy at exit i.
"""

import inspect
from typing import Any, ClassVar

import numpy as np

from beex_keras import numpy_ops
from beex_keras.errors import BeexError

Values = Any
"""A NumPy array, or nested lists, or a TensorFlow tensor."""

State = tuple[Values, ...]


def _ops(values: Values) -> Any:
    if isinstance(values, np.ndarray | np.generic | list | tuple):
        return numpy_ops
    from beex_keras import tensor_ops

    return tensor_ops


def entropy(logits: Values) -> Values:
    r"""\(H = -\sum_c p_c \ln p_c\) in nats: (..., C) → (...).

    Example:
        >>> float(beex.exits.entropy([0.0, 0.0])) == np.float32(np.log(2))
        True
    """
    ops = _ops(logits)
    log_p = ops.log_softmax(ops.convert(logits))
    return -ops.sum_last(ops.exp(log_p) * log_p)


_MOST = float(np.finfo(np.float32).max)
"""The largest threshold: files hold it in float32."""


class ExitPolicy:
    """Base of all policies; a subclass defines `score` and, if it needs one, a state.

    Attributes:
        name: the policy's name in configurations and on the command line.
        parameter: the name of the threshold in the constructor.
        threshold: the number that calibration chooses.
        below: an exit is taken at score < threshold if true, at score ≥ threshold if false.
        integer_threshold: whether the threshold is a whole number of at least 1.
        min_exit: the first exit that the policy can take, counted from 1.
        problem_types: the problem types whose logits the policy can read.

    Raises:
        BeexError: the threshold is not finite, or not a whole number although the policy needs one.

    Example:
        >>> policy = beex.exits.get("confidence").with_threshold(0.8)
        >>> policy.should_exit(np.array([0.7, 0.9], np.float32))
        array([False,  True])
    """

    name: ClassVar[str]
    parameter: ClassVar[str]
    below: bool = True
    integer_threshold: ClassVar[bool] = False
    min_exit: ClassVar[int] = 1
    problem_types: ClassVar[tuple[str, ...]] = ("classification",)

    def __init__(self, threshold: float) -> None:
        if isinstance(threshold, np.generic):
            threshold = threshold.item()
        if not isinstance(threshold, int | float) or not abs(threshold) <= _MOST:
            raise BeexError(f"{self.parameter}={threshold!r} must be a finite number.")
        if self.integer_threshold and (threshold != int(threshold) or threshold < 1):
            raise BeexError(f"{self.parameter}={threshold!r} must be a whole number of at least 1.")
        self.threshold = int(threshold) if self.integer_threshold else threshold

    def initial_state(self, logits: Values) -> State:
        """The state before the first exit; `logits` (B, C) gives only the shape."""
        return ()

    def score(self, index: int, logits: Values, state: State) -> tuple[Values, State]:
        """The score of exit `index` (0-based), (B, C) → (B,), and the state for the next exit."""
        raise NotImplementedError

    def should_exit(self, score: Values, threshold: Values | None = None) -> Values:
        """Whether a text with this score leaves: (B,) → bool (B,).

        `threshold` may be a tensor; the policy's own is used if None.
        """
        threshold = _ops(score).cast(self.threshold if threshold is None else threshold, score)
        return score < threshold if self.below else score >= threshold

    def max_exit(self, num_exits: int) -> int:
        """The last exit that the policy can take in a model with `num_exits` exits, counted from 1."""
        return num_exits

    def scores(self, exit_logits: Values) -> Values:
        """The scores of all exits, (B, N, C) → (B, N)."""
        ops = _ops(exit_logits)
        exit_logits = ops.convert(exit_logits)
        state = self.initial_state(exit_logits[:, 0])
        scores = []
        for index in range(exit_logits.shape[1]):
            score, state = self.score(index, exit_logits[:, index], state)
            scores.append(score)
        return ops.stack(scores, axis=1)

    def exit_index(self, scores: Values, threshold: Values | None = None) -> Values:
        """The first exit where a text should leave, or the last one: scores (B, N) → int32 (B,), from 0.

        `threshold` may be a tensor; the policy's own is used if None.
        """
        leaves = self.should_exit(scores, threshold)
        return _ops(leaves).first_or_last(leaves)

    def choose(self, exit_logits: Values) -> Values:
        """The exit that each text takes: logits (B, N, C) → int32 (B,), counted from 0."""
        return self.exit_index(self.scores(exit_logits))

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

    Raises:
        BeexError: the threshold is not finite, or there is no such direction.

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.FractionalEntropy(0.2).choose(exit_logits)
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

    def initial_state(self, logits: Values) -> State:
        ops = _ops(logits)
        return (ops.fill(logits, ops.log(float(logits.shape[-1]))),)

    def score(self, index: int, logits: Values, state: State) -> tuple[Values, State]:
        (before,), ops = state, _ops(logits)
        now = entropy(logits)
        left = before > self._NOTHING_LEFT
        fraction = (before - now) / ops.where(left, before, ops.fill(logits, 1.0))
        certain = ops.fill(logits, -1e9 if self.below else 1e9)
        return ops.where(left, fraction, certain), (now,)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "direction": self.direction}


class Entropy(ExitPolicy):
    r"""Stop at the first exit with \(H_i < \tau\) nats. Source: DeeBERT (Xin et al., ACL 2020).

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.Entropy(0.3).choose(exit_logits)
        array([1], dtype=int32)
    """

    name, parameter = "entropy", "tau"

    def __init__(self, tau: float = 0.3) -> None:
        super().__init__(tau)

    def score(self, index: int, logits: Values, state: State) -> tuple[Values, State]:
        return entropy(logits), state


class Confidence(ExitPolicy):
    r"""Stop at the first exit whose most probable class has \(\max_c p_c \geq p\).

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.Confidence(0.9).choose(exit_logits)
        array([1], dtype=int32)
    """

    name, parameter, below = "confidence", "p", False

    def __init__(self, p: float = 0.9) -> None:
        super().__init__(p)

    def score(self, index: int, logits: Values, state: State) -> tuple[Values, State]:
        ops = _ops(logits)
        return ops.max_last(ops.softmax(logits)), state


class Patience(ExitPolicy):
    """Stop when the prediction was the same for `k` exits after it first appeared.

    `k` = 1 stops at the first exit that repeats its predecessor. Source: PABEE (Zhou et al.,
    NeurIPS 2020). A regression, which has one logit, leaves at exit `k` + 1.

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.Patience(2).choose(exit_logits)
        array([2], dtype=int32)
    """

    name, parameter, below, integer_threshold = "patience", "k", False, True
    problem_types = ("classification", "regression")

    def __init__(self, k: int = 1) -> None:
        super().__init__(k)

    def initial_state(self, logits: Values) -> State:
        ops = _ops(logits)
        return ops.fill(logits, -1), ops.fill(logits, 0.0)

    def score(self, index: int, logits: Values, state: State) -> tuple[Values, State]:
        label_before, repeats = state
        ops = _ops(logits)
        label = ops.argmax_last(logits)
        repeats = ops.where(label == label_before, repeats + 1.0, ops.fill(logits, 0.0))
        return repeats, (label, repeats)


class FixedDepth(ExitPolicy):
    """Stop at exit `n` (counted from 1), whatever the logits say.

    Example:
        >>> exit_logits = [[[0.0, 1.0], [0.0, 4.0], [0.0, 4.1]]]
        >>> beex.FixedDepth(1).choose(exit_logits)
        array([0], dtype=int32)
    """

    name, parameter, below, integer_threshold = "fixed_depth", "n", False, True
    problem_types = ("classification", "regression")

    def __init__(self, n: int = 1) -> None:
        super().__init__(n)

    def score(self, index: int, logits: Values, state: State) -> tuple[Values, State]:
        return _ops(logits).fill(logits, float(index + 1)), state

    def max_exit(self, num_exits: int) -> int:
        return min(int(self.threshold), num_exits)


class Change(ExitPolicy):
    r"""For regressions: stop where the answer changed little at this exit and the ones before it.

    \[ s_i = |z_i - z_{i-1}| + \tfrac{1}{2} s_{i-1} < \varepsilon, \qquad s_1 = 4 \]

    \(z_i\) is the logit of exit i, which is the answer in standard deviations of the training targets. A change
    counts half as much with each exit after it, so two exits that agree by chance are not enough. The first
    exit has no change yet: \(s_1 = 4\) stands for an answer that may still become any other, and the policy
    takes this exit only if the model has no other. The rule is our reading: it does for numbers what
    patience does for classes.

    Example:
        >>> exit_logits = [[[0.2], [0.9], [0.95]]]
        >>> beex.Change(2.0).choose(exit_logits)  # the scores are never, 2.7 and 1.4
        array([2], dtype=int32)
    """

    name, parameter, min_exit, problem_types = "change", "epsilon", 2, ("regression",)
    _FIRST, _NEVER = 4.0, 1e9

    def __init__(self, epsilon: float = 1.0) -> None:
        super().__init__(epsilon)

    def score(self, index: int, logits: Values, state: State) -> tuple[Values, State]:
        ops = _ops(logits)
        now = ops.max_last(logits)  # drops the last dimension, which is 1
        if not state:
            return ops.fill(logits, self._NEVER), (now,)
        before, *changed = state
        score = ops.abs(now - before) + 0.5 * (changed[0] if changed else self._FIRST)
        return score, (now, score)


POLICIES: dict[str, type[ExitPolicy]] = {
    policy.name: policy
    for policy in (FractionalEntropy, Entropy, Confidence, Patience, FixedDepth, Change)
}

DEFAULT = "confidence"
"""The policy of the recipe: the one that saves the most at equal score (docs/results.md)."""


def default(problem_type: str) -> str:
    """The name of the default policy of a problem type.

    Example:
        >>> beex.exits.default("regression")
        'change'
    """
    return Change.name if problem_type == "regression" else DEFAULT


def check(policy: ExitPolicy, problem_type: str) -> None:
    """Checks that a policy can read the logits of a model of this problem type.

    Raises:
        BeexError: `policy` is not an `ExitPolicy`, or cannot read such logits.

    Example:
        >>> beex.exits.check(beex.Confidence(), "classification")
    """
    if not isinstance(policy, ExitPolicy):
        given = f"The policy {policy!r} is no exit policy"
        raise BeexError(f"{given}; give one, such as beex_keras.Confidence(0.9).")
    if problem_type in policy.problem_types:
        return
    fit = ", ".join(n for n, kind in POLICIES.items() if problem_type in kind.problem_types)
    why = "reads the change of a number, and this model answers a class"
    if problem_type == "regression":
        why = "reads the probabilities of classes, and this model answers a number"
    raise BeexError(f"The exit policy '{policy.name}' {why}; choose {fit}.")


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
        known = inspect.signature(POLICIES[name]).parameters
        wrong = ", ".join(sorted(set(arguments) - set(known)))
        fix = f"it takes {', '.join(known)}"
        raise BeexError(f"The exit policy '{name}' does not take {wrong}; {fix}.") from None


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
