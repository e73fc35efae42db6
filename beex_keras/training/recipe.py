"""How a model is trained, as data. Nothing here needs TensorFlow."""

import dataclasses
from typing import Any, Literal

from beex_keras import fields
from beex_keras.errors import BeexError


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    r"""The settings of a training; they are checked when made, and then immutable.

    Attributes:
        epochs: number of passes over the training split, which `train` chooses by the number of texts if
            none is given; see `beex_keras.training.settings.epochs_of`. A twin that teaches has a given number,
            too.
        batch_size: number of samples in a step.
        learning_rate: peak of AdamW's learning rate.
        warmup: share of all steps in which the learning rate rises linearly; it then decays as a cosine.
        weight_decay: AdamW's weight decay, which applies to real matrices; latent weights, scales, biases
            and normalizations have none (it would pull latent weights towards a change of sign).
        clip_norm: the largest global norm of the gradients; larger ones are clipped to it.
        loss: how `SoftRoutingLoss` weights the exits.
        label_smoothing: label smoothing of `SoftRoutingLoss`, in [0, 1); a regression has none.
        policy: name of the exit policy to calibrate, see `beex_keras.exits.POLICIES`; `train` takes that of
            `beex_keras.exits.default` if none is given.
        tolerance: accuracy that calibration may give up for speed, where 0.01 is one point.
        margin: number of standard errors that calibration adds to the loss of accuracy, see
            `beex_keras.evaluation.calibrate`; an earlier epoch is kept only if its accuracy is better
            by as many standard errors, since the learning rate has fallen by the later ones.
        patience: number of epochs without a better calibrated accuracy after which training stops; 0 never
            stops it.
        anneal: share of all steps over which a model that starts from real weights becomes binary, see
            `beex_keras.training.annealing`; 0 makes it binary before the first step.
        head_rate: factor on the learning rate of the exits.
        layer_decay: learning rate of a block divided by that of the next block.
        hidden_weight: \(\kappa\), the weight in the loss of the difference between the blocks' outputs and
            the teacher's, see `beex_keras.training.step`.
        soft_targets: share of the teacher's probabilities in the targets, in [0, 1). Without a teacher,
            the earlier exits learn from the model's last exit with this share. A teacher of another
            shape teaches nothing but its probabilities, so 0 then means 0.5.
        replaced_tokens: \(r\), the highest probability with which a training with a teacher replaces a
            token by another one, in [0, 1), see `beex_keras.training.step.replace_tokens`.
        precision: type of the matrix products in training: "float32", or "bfloat16", which is faster on
            processors that have it; everything else stays float32. A call of `train` that does not name it has
            `beex_keras.training.matrix_dtype.default()`, or what the unfinished run has in its folder.
        pieces: whether the learned vocabulary has pieces of words beside whole words.
        seed: seed of the random numbers for initialization, dropout and shuffling.

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
    tolerance: float = 0.003
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
        if self.seed >= 2**32:
            raise BeexError(f"seed={self.seed} is too large; the largest is {2**32 - 1}.")
        fields.check_positive(self, "learning_rate", "clip_norm", "head_rate", "layer_decay")
        fields.check_positive(self, "hidden_weight")
        fields.check_share(self, "warmup", "weight_decay", "label_smoothing", "tolerance")
        fields.check_share(self, "anneal", "soft_targets", "replaced_tokens")
        fields.check_not_negative(self, "margin")
        fields.check_flags(pieces=self.pieces)

    @classmethod
    def warm(cls, is_binary: bool, **overrides: Any) -> "TrainingConfig":
        """Returns the defaults for a start from an encoder, with some values replaced.

        The exits start from random weights, so they have a higher learning rate. A binary model is
        binarized over the first half of the steps. A float32 model keeps what it knows, because its
        learning rate is a tenth, and less in the lower blocks.
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
    """Options of a run that do not change its result; they are checked when made.

    Attributes:
        wait_seconds: time in which the workers of a cluster have to find each other.
        checkpoint_seconds: time between two checkpoints within an epoch.
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
        fields.check_flags(tensorboard=self.tensorboard)
