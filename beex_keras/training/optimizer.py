"""AdamW with warm-up, cosine decay and rates that differ from layer to layer."""

import re
from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig
from beex_keras.training.config import TrainingConfig

# Adam's second moment forgets in 50 steps, not in its usual 1,000: the one gradient of a rare word,
# divided by the root of a small average, would otherwise move its embedding by 30 times the rate.
_SECOND_MOMENT = 0.98

_NOT_DECAYED = ("alpha", "scale", "bias", "gamma", "beta")


def make_optimizer(
    config: TrainingConfig, total_steps: int, model_config: BEExformerConfig
) -> tf.keras.optimizers.Optimizer:
    """The optimizer of the recipe for `total_steps` steps.

    Latent weights do not decay: it would pull them towards zero, where they flip. In a float32 twin
    the same matrices decay as usual.
    """
    warmup_steps = max(1, round(config.warmup * total_steps))
    rate = tf.keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=config.learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=max(1, total_steps - warmup_steps),
    )
    optimizer = LayerwiseAdamW(
        rate,
        weight_decay=config.weight_decay,
        beta_2=_SECOND_MOMENT,
        global_clipnorm=config.clip_norm,
        exit_lr_multiplier=config.exit_lr_multiplier,
        layer_decay=config.layer_decay,
        num_blocks=model_config.num_blocks,
    )
    bits = {"matmul/kernel": model_config.weight_bits, "token/table": model_config.embedding_bits}
    latent = [name for name, number in bits.items() if number == 1]
    optimizer.exclude_from_weight_decay(var_names=[*_NOT_DECAYED, *latent])
    return optimizer


@tf.keras.utils.register_keras_serializable("beex_keras")
class LayerwiseAdamW(tf.keras.optimizers.AdamW):
    r"""AdamW whose rate is multiplied by a factor of the layer: \(\eta_t \, f\).

    Exits begin at random where a warm-started encoder only needs a touch, so their factor is
    `exit_lr_multiplier`. The last block has the factor 1, each one before it `layer_decay` times that of the
    next, the embedding that of a block before the first.

    Raises:
        BeexError: `amsgrad` is set.

    Source: layer-wise decay is that of ULMFiT (Howard & Ruder, ACL 2018).
    """

    def __init__(
        self,
        *args: Any,
        exit_lr_multiplier: float = 1.0,
        layer_decay: float = 1.0,
        num_blocks: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.amsgrad:
            raise BeexError("LayerwiseAdamW has no amsgrad; leave it out.")
        self.exit_lr_multiplier, self.layer_decay, self.num_blocks = (
            exit_lr_multiplier,
            layer_decay,
            num_blocks,
        )

    def factor(self, name: str) -> float:
        """f of the variable of that name."""
        if re.search(r"(^|/)exit_\d+/", name):
            return self.exit_lr_multiplier
        block = re.search(r"(^|/)block_(\d+)/", name)
        below = self.num_blocks - int(block.group(2)) if block else self.num_blocks
        return self.layer_decay**below

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        if isinstance(gradient, tf.IndexedSlices):  # Adam moves the other rows too
            values, rows = gradient.values, gradient.indices
            gradient = tf.math.unsorted_segment_sum(values, rows, variable.shape[0])
        index = self._index_dict[self._var_key(variable)]
        step = tf.cast(self.iterations + 1, variable.dtype)
        # Keras writes the update as a dozen operations, each of which runs over all of a matrix's
        # values; this one does the same in one pass.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(self.learning_rate, variable.dtype) * self.factor(variable.name),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def get_config(self) -> dict[str, Any]:
        own = ("exit_lr_multiplier", "layer_decay", "num_blocks")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
