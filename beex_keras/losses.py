"""The loss that trains all exits at once."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.exits import FractionalEntropy

WEIGHTS = ("uniform", "linear", "routed", "last")

_NEVER = 1e9
"""A change by which no exit is taken."""


@tf.keras.utils.register_keras_serializable("beex_keras")
class SoftRoutingLoss(tf.keras.losses.Loss):
    r"""The weighted sum of the exits' cross-entropies: \(\sum_i w_i L_i\) with \(\sum_i w_i = 1\).

    For a regression, whose exits have one logit \(z_i\), \(L_i = (z_i - y)^2\) with the standardized target
    \(y\).

    - ``"uniform"``: \(w_i = 1/N\), the paper's statement taken literally (default).
    - ``"linear"``: \(w_i = i / \sum_j j\); later exits count more.
    - ``"routed"`` (our reading): per sample, the differentiable probability of being routed to exit i,
      mixed with a uniform floor so that no exit starves: \(w_i = \frac{f}{N} + (1 - f)\, g_i \prod_{j<i} (1
      - g_j)\), where \(g_i = \sigma((\delta - r_i) / t)\) softens the rule \(r_i < \delta\) of
      `FractionalEntropy` and \(g_N = 1\). For a regression \(r_i = |z_i - z_{i-1}|\) and \(g_1 = 0\).
    - ``"last"``: \(w_N = 1\), an ordinary classifier without trained exits, for comparison.

    Shapes: labels (B,) as whole numbers, or standardized targets; `exit_logits` (B, N, C) → (B,) before
    reduction.

    Args:
        weights: one of the names above.
        delta: threshold \(\delta\) of "routed".
        temperature: temperature \(t\) of "routed".
        floor: share \(f\) of the uniform weights in "routed", in [0, 1].
        label_smoothing: share of the target that is spread evenly over the classes, in [0, 1); a regression
            has none.

    Raises:
        BeexError: an unknown kind of weights or a number out of range.

    Example:
        >>> exit_logits = tf.constant([[[0.0, 1.0], [0.0, 4.0]]])
        >>> loss = beex.SoftRoutingLoss("linear")
        >>> loss.exit_weights(exit_logits, 2).numpy().round(2)
        array([[0.33, 0.67]], dtype=float32)
        >>> round(float(loss([1], exit_logits)), 3)
        0.117
    """

    def __init__(
        self,
        weights: str = "uniform",
        delta: float = 0.5,
        temperature: float = 0.1,
        floor: float = 0.2,
        label_smoothing: float = 0.0,
        name: str = "soft_routing_loss",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if weights not in WEIGHTS:
            known = ", ".join(WEIGHTS)
            raise BeexError(f"Unknown loss weights '{weights}'; choose one of {known}.")
        if temperature <= 0 or not 0 <= floor <= 1 or not 0 <= label_smoothing < 1:
            needs = "temperature > 0, floor in [0, 1] and label_smoothing in [0, 1)"
            raise BeexError(f"The loss needs {needs}.")
        self.weights, self.label_smoothing = weights, label_smoothing
        self.delta, self.temperature, self.floor = delta, temperature, floor

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        exits, classes = y_pred.shape[1], y_pred.shape[2]
        if classes == 1:
            target = tf.reshape(tf.cast(y_true, y_pred.dtype), (-1, 1))
            losses = tf.math.squared_difference(y_pred[:, :, 0], target)
        else:
            target = tf.one_hot(tf.reshape(tf.cast(y_true, tf.int32), (-1, 1)), classes)
            target = target * (1.0 - self.label_smoothing) + self.label_smoothing / classes
            losses = -tf.reduce_sum(target * tf.nn.log_softmax(y_pred), axis=-1)
        return tf.reduce_sum(losses * self.exit_weights(y_pred, exits), axis=1)

    def exit_weights(self, exit_logits: tf.Tensor, exits: int) -> tf.Tensor:
        r"""\(w_i\), (B, N) or (1, N), each row summing to 1."""
        if self.weights == "uniform":
            return tf.fill((1, exits), 1.0 / exits)
        if self.weights == "last":
            return tf.one_hot([exits - 1], exits)
        if self.weights == "linear":
            ranks = tf.range(1.0, exits + 1.0)[tf.newaxis]
            return ranks / tf.reduce_sum(ranks)
        if exit_logits.shape[2] == 1:
            changes = tf.abs(exit_logits[:, 1:, 0] - exit_logits[:, :-1, 0])
            reductions = tf.pad(changes, [[0, 0], [1, 0]], constant_values=_NEVER)
        else:
            reductions = FractionalEntropy(self.delta).scores(exit_logits)
        gates = tf.sigmoid((self.delta - reductions) / self.temperature)
        stays = tf.math.cumprod(1.0 - gates[:, :-1], axis=1)
        arrives = tf.concat([tf.ones_like(gates[:, :1]), stays], axis=1)
        leaves = tf.concat([gates[:, :-1], tf.ones_like(gates[:, :1])], axis=1)
        return self.floor / exits + (1.0 - self.floor) * arrives * leaves

    def get_config(self) -> dict[str, Any]:
        names = ("weights", "delta", "temperature", "floor", "label_smoothing")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
