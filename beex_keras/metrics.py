"""Keras metrics over `exit_logits` (B, N, C), shown while a model trains."""

from typing import Any

from beex_keras import exits
from beex_keras.backend import tf
from beex_keras.exits import ExitPolicy
from beex_keras.tasks import TargetScaler


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


@tf.keras.utils.register_keras_serializable("beex_keras")
class ExitCorrelation(tf.keras.metrics.Metric):
    r"""Pearson's correlation of targets with the logits of exit `exit` (counted from 1).

    With a `policy` in place of `exit`, it uses the logits of the exit that the policy chooses. It is the
    correlation over all batches, computed from the sums of \(w\), \(wy\), \(wz\), \(wy^2\), \(wz^2\) and
    \(wyz\); 0 while one of both is constant.

    Example:
        >>> correlation = beex.metrics.ExitCorrelation(exit=1)
        >>> _ = correlation.update_state([0.0, 1.0], tf.constant([[[0.5]], [[2.0]]]))
        >>> float(correlation.result())
        1.0
    """

    def __init__(
        self,
        exit: int | None = None,
        policy: ExitPolicy | dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name or ("policy" if exit is None else f"exit_{exit}"), **kwargs)
        self.exit = exit
        self.policy = exits.deserialize(policy) if isinstance(policy, dict) else policy
        self.sums = self.add_weight(name="sums", shape=(6,), initializer="zeros")

    def update_state(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> Any:
        target = tf.reshape(tf.cast(y_true, y_pred.dtype), (-1,))
        logit = _chosen(y_pred, self.policy, self.exit)
        one = tf.ones_like(target)
        weight = (
            one if sample_weight is None else tf.reshape(tf.cast(sample_weight, one.dtype), (-1,))
        )
        parts = tf.stack([one, target, logit, target**2, logit**2, target * logit])
        return self.sums.assign_add(tf.linalg.matvec(parts, weight))

    def reset_state(self) -> None:
        self.sums.assign(tf.zeros_like(self.sums))

    def result(self) -> tf.Tensor:
        count, target, logit, targets, logits, product = tf.unstack(self.sums)
        spread = (count * targets - target**2) * (count * logits - logit**2)
        return tf.math.divide_no_nan(
            count * product - target * logit, tf.sqrt(tf.maximum(spread, 0.0))
        )

    def get_config(self) -> dict[str, Any]:
        policy = None if self.policy is None else exits.serialize(self.policy)
        return {**super().get_config(), "exit": self.exit, "policy": policy}


@tf.keras.utils.register_keras_serializable("beex_keras")
class PolicyError(_PolicyMetric):
    """Mean absolute error, times `scale`, at the exit that `policy` chooses.

    Example:
        >>> error = beex.metrics.PolicyError(beex.FixedDepth(1), scale=10.0)
        >>> _ = error.update_state([0.0, 1.0], tf.constant([[[0.5]], [[2.0]]]))
        >>> float(error.result())
        7.5
    """

    default_name = "error"

    def __init__(
        self,
        policy: ExitPolicy | dict[str, Any],
        scale: float = 1.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(policy, name, **kwargs)
        self.scale = scale

    def _values(self, labels: tf.Tensor, exit_logits: tf.Tensor) -> tf.Tensor:
        target = tf.reshape(tf.cast(labels, exit_logits.dtype), (-1,))
        return self.scale * tf.abs(target - _chosen(exit_logits, self.policy))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


def _chosen(
    exit_logits: tf.Tensor, policy: ExitPolicy | None, exit: int | None = None
) -> tf.Tensor:
    """A regression's logits at the exits that a policy chooses, or at one exit: (B, N, 1) → (B,)."""
    if exit is not None:
        return exit_logits[:, exit - 1, 0]
    assert policy is not None
    return tf.gather(exit_logits[:, :, 0], policy.choose(exit_logits), axis=1, batch_dims=1)


def exit_metrics(
    num_exits: int, policy: ExitPolicy, value_scale: TargetScaler | None = None
) -> list[tf.keras.metrics.Metric]:
    """Returns the accuracy at each exit and with the policy, and the mean depth of the policy.

    For a regression it returns correlations, and the mean absolute error in the user's units.

    Example:
        >>> [metric.name for metric in beex.metrics.exit_metrics(2, beex.Confidence())]
        ['exit_1', 'exit_2', 'policy', 'mean_depth']
    """
    if value_scale is not None:
        correlations = [ExitCorrelation(number) for number in range(1, num_exits + 1)]
        chosen = [ExitCorrelation(policy=policy), PolicyError(policy, value_scale.scale)]
        return [*correlations, *chosen, MeanDepth(policy)]
    per_exit = [ExitAccuracy(number) for number in range(1, num_exits + 1)]
    return [*per_exit, PolicyAccuracy(policy), MeanDepth(policy)]
