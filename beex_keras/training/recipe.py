"""How a model is trained, as data. Nothing here needs TensorFlow."""

import dataclasses
from typing import Any, Literal

from beex_keras import fields


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    r"""The recipe's settings; validated when made, immutable after.

    Attributes:
        epochs: passes over the training split; where a call of `train` does not give it, it follows from
            the number of training texts, see `beex_keras.training.settings.epochs_of`.
        batch_size: samples a step.
        learning_rate: peak of AdamW's rate.
        warmup: share of all steps in which the rate rises linearly; it then decays as a cosine.
        weight_decay: AdamW's, on real-valued matrices; latent weights, scales, biases and
            normalizations are left out (decay would pull latent weights towards a flip).
        clip_norm: global norm to which gradients are clipped.
        loss: weights of `SoftRoutingLoss`.
        label_smoothing: of `SoftRoutingLoss`, for classes.
        policy: name of the exit policy to calibrate, see `beex_keras.exits.POLICIES`; where a call of
            `train` does not give it, that of `beex_keras.exits.default`.
        tolerance: accuracy that calibration may give up for speed; the default is half a point,
            well within the noise of a validation split of a thousand texts.
        margin: standard errors of the accuracy lost that calibration allows for, see
            `beex_keras.evaluation.calibrate`; and of the accuracy, by which an epoch must be better
            than a later one to be kept instead, since the learning rate has fallen until then.
        patience: stop after this many epochs without a better calibrated accuracy; 0 never stops.
        anneal: share of all steps in which a model that starts from real weights turns binary, see
            `beex_keras.training.annealing`; 0 makes it binary before the first step.
        head_rate: factor of the exits' learning rate.
        layer_decay: factor of a block's learning rate to that of the block behind it.
        hidden_weight: \(\kappa\), what the error of the blocks' outputs counts, of a training with a
            teacher, see `beex_keras.training.step`.
        soft_targets: share of the teacher's probabilities in the targets, in [0, 1); without a
            teacher, of the model's own last exit in those of the exits before it. Of a teacher of
            another shape, from which nothing else can be learned, 0 stands for a half.
        replaced_tokens: \(r\), the highest probability with which a training with a teacher replaces a
            token, in [0, 1), see `beex_keras.training.step.replace_tokens`.
        precision: "float32", or "bfloat16" for the products of the matrices while training, for
            processors that have it; everything else stays float32.
        pieces: learn a vocabulary of words and pieces of words, or of whole words alone.
        seed: of initialization, dropout and shuffling.

    Raises:
        BeexError: a value out of range.

    Example:
        >>> beex.TrainingConfig(epochs=3).learning_rate
        0.001
        >>> beex.TrainingConfig.warm(is_binary=True).anneal
        0.5
    """

    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    loss: Literal["uniform", "linear", "routed", "last"] = "uniform"
    label_smoothing: float = 0.1
    policy: Literal[
        "fractional_entropy", "entropy", "confidence", "patience", "fixed_depth", "change"
    ] = "confidence"
    tolerance: float = 0.005
    margin: float = 1.0
    patience: int = 0
    anneal: float = 0.0
    head_rate: float = 1.0
    layer_decay: float = 1.0
    hidden_weight: float = 4.0
    soft_targets: float = 0.0
    replaced_tokens: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    pieces: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        fields.check_choices(self)
        fields.check_whole(self, epochs=1, batch_size=1, patience=0, seed=0)
        fields.check_positive(self, "learning_rate", "clip_norm", "head_rate", "layer_decay")
        fields.check_positive(self, "hidden_weight")
        fields.check_share(self, "warmup", "weight_decay", "label_smoothing", "tolerance")
        fields.check_share(self, "anneal", "soft_targets", "replaced_tokens")
        fields.check_not_negative(self, "margin")

    @classmethod
    def warm(cls, is_binary: bool, **overrides: Any) -> "TrainingConfig":
        """The defaults for a start from a donor, with some values replaced.

        Exits, which begin at random, learn faster than the rest; a binary model turns so over the
        first half of the steps, and a float32 one keeps what it knows by a tenth of the rate, and
        less below.
        """
        if is_binary:
            defaults: dict[str, Any] = {"anneal": 0.5, "head_rate": 2.0}
        else:
            defaults = {"learning_rate": 1e-4, "head_rate": 10.0, "layer_decay": 0.9}
        return cls(**{"epochs": 2, "loss": "linear", **defaults, **overrides})

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How a training is run, which is no part of what it gives; validated when made.

    Attributes:
        wait_seconds: that the workers of a cluster have to find each other.
        checkpoint_seconds: time between checkpoints within an epoch.
        tensorboard: whether to write logs for TensorBoard to the run folder.

    Raises:
        BeexError: a value out of range.

    Example:
        >>> beex.training.RunOptions(tensorboard=True).checkpoint_seconds
        60.0
    """

    wait_seconds: float = 300.0
    checkpoint_seconds: float = 60.0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        fields.check_not_negative(self, "wait_seconds", "checkpoint_seconds")
