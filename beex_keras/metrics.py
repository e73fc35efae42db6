"""Keras metrics over `exit_logits` (B, N, C), shown while a model trains."""

from typing import Any

from beex_keras import exits
from beex_keras.backend import tf
from beex_keras.exits import ExitPolicy


def _correct(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1.0 where (B, C) logits are largest at the label, else 0.0: (B,)."""
    labels = tf.reshape(tf.cast(labels, tf.int32), (-1,))
    return tf.cast(tf.equal(labels, tf.argmax(logits, axis=-1, output_type=tf.int32)), tf.float32)


@tf.keras.utils.register_keras_serializable("beex_keras")
class ExitAccuracy(tf.keras.metrics.Mean):
    """Share of samples that exit `exit` (counted from 1) classifies correctly.

    Example:
        >>> accuracy = beex.metrics.ExitAccuracy(exit=1)
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> _ = accuracy.update_state([1, 1], logits)
        >>> float(accuracy.result())
        0.5
    """

    def __init__(self, exit: int, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or f"exit_{exit}", **kwargs)
        self.exit = exit

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> Any:
        return super().update_state(_correct(y_true, y_pred[:, self.exit - 1]), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "exit": self.exit}


class _PolicyMetric(tf.keras.metrics.Mean):
    """A mean over what a policy chooses."""

    default_name: str

    def __init__(
        self, policy: ExitPolicy | dict[str, Any], name: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name=name or self.default_name, **kwargs)
        self.policy = exits.deserialize(policy) if isinstance(policy, dict) else policy

    def _values(self, labels: tf.Tensor, exit_logits: tf.Tensor) -> tf.Tensor:
        """What the mean is over: (B,)."""
        raise NotImplementedError

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> Any:
        return super().update_state(self._values(y_true, y_pred), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "policy": exits.serialize(self.policy)}


@tf.keras.utils.register_keras_serializable("beex_keras")
class PolicyAccuracy(_PolicyMetric):
    """Share of samples classified correctly at the exit that `policy` chooses for them.

    Example:
        >>> accuracy = beex.metrics.PolicyAccuracy(beex.FixedDepth(2))
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> _ = accuracy.update_state([1, 1], logits)
        >>> float(accuracy.result())
        1.0
    """

    default_name = "policy"

    def _values(self, labels: tf.Tensor, exit_logits: tf.Tensor) -> tf.Tensor:
        chosen = self.policy.choose(exit_logits)
        return _correct(labels, tf.gather(exit_logits, chosen, axis=1, batch_dims=1))


@tf.keras.utils.register_keras_serializable("beex_keras")
class MeanDepth(_PolicyMetric):
    """Mean number of blocks that `policy` executes, from 1 to N.

    Example:
        >>> depth = beex.metrics.MeanDepth(beex.Confidence(0.8))
        >>> logits = np.array([[[0.0, 3.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 2.0]]], np.float32)
        >>> _ = depth.update_state([1, 1], logits)
        >>> float(depth.result())
        1.5
    """

    default_name = "mean_depth"

    def _values(self, labels: tf.Tensor, exit_logits: tf.Tensor) -> tf.Tensor:
        return tf.cast(self.policy.choose(exit_logits) + 1, tf.float32)


def exit_metrics(num_exits: int, policy: ExitPolicy) -> list[tf.keras.metrics.Metric]:
    """Accuracy at each exit and of the policy's choice, and the policy's mean depth.

    Example:
        >>> [metric.name for metric in beex.metrics.exit_metrics(2, beex.Confidence())]
        ['exit_1', 'exit_2', 'policy', 'mean_depth']
    """
    per_exit = [ExitAccuracy(number) for number in range(1, num_exits + 1)]
    return [*per_exit, PolicyAccuracy(policy), MeanDepth(policy)]
