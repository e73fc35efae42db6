"""How a model is trained, as data."""

import dataclasses
from typing import Any

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.losses import WEIGHTS

PRECISIONS = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The recipe's settings; validated when made, immutable after.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples a step.
        learning_rate: peak of AdamW's rate.
        warmup: share of all steps in which the rate rises linearly; it then decays as a cosine.
        weight_decay: AdamW's, on real-valued matrices; latent weights, scales, biases and
            normalizations are left out (decay would pull latent weights towards a flip).
        clip_norm: global norm to which gradients are clipped.
        loss: weights of `SoftRoutingLoss`.
        label_smoothing: of `SoftRoutingLoss`.
        policy: name of the exit policy to calibrate, see `beex_keras.exits.POLICIES`.
        tolerance: accuracy that calibration may give up for speed; the default is half a point,
            well within the noise of a validation split of a thousand texts.
        patience: stop after this many epochs without a better calibrated accuracy; 0 never stops.
        anneal: share of all steps in which a model that starts from real weights turns binary, see
            `beex_keras.training.annealing`; 0 makes it binary before the first step.
        head_rate: factor of the exits' learning rate.
        layer_decay: factor of a block's learning rate to that of the block behind it.
        precision: "float32", or "bfloat16" for the products of the matrices while training, about
            twice as fast on processors that have it; everything else stays float32.
        pieces: learn a vocabulary of words and pieces of words, or of whole words alone.
        seed: of initialization, dropout and shuffling.

    Raises:
        BeexError: a value out of range.
    """

    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    loss: str = "uniform"
    label_smoothing: float = 0.1
    policy: str = exits.DEFAULT
    tolerance: float = 0.005
    patience: int = 0
    anneal: float = 0.0
    head_rate: float = 1.0
    layer_decay: float = 1.0
    precision: str = "float32"
    pieces: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, minimum in {"epochs": 1, "batch_size": 1, "patience": 0, "seed": 0}.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                raise BeexError(f"{name}={value!r} must be a whole number of at least {minimum}.")
        for name in ("learning_rate", "clip_norm", "head_rate", "layer_decay"):
            if not getattr(self, name) > 0:
                raise BeexError(f"{name}={getattr(self, name)!r} must be greater than 0.")
        for name in ("warmup", "weight_decay", "label_smoothing", "tolerance", "anneal"):
            if not 0 <= getattr(self, name) < 1:
                raise BeexError(f"{name}={getattr(self, name)!r} must lie in [0, 1).")
        if self.precision not in PRECISIONS:
            raise BeexError(
                f"Unknown precision '{self.precision}'; choose one of {', '.join(PRECISIONS)}."
            )
        if self.loss not in WEIGHTS:
            raise BeexError(f"Unknown loss '{self.loss}'; choose one of {', '.join(WEIGHTS)}.")
        exits.get(self.policy)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
