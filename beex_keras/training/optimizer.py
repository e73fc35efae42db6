"""AdamW with warm-up and cosine decay."""

import tensorflow as tf

from beex_keras.models import BEExformerConfig
from beex_keras.training.config import PretrainingConfig, TrainingConfig

# Adam's second moment forgets in 50 steps, not in its usual 1,000: the one gradient of a rare word,
# divided by the root of a small average, would otherwise move its embedding by 30 times the rate.
_SECOND_MOMENT = 0.98

_NOT_DECAYED = ("alpha", "scale", "bias", "gamma", "beta")


def make_optimizer(
    config: TrainingConfig | PretrainingConfig, total_steps: int, model_config: BEExformerConfig
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
    optimizer = tf.keras.optimizers.AdamW(
        rate,
        weight_decay=config.weight_decay,
        beta_2=_SECOND_MOMENT,
        global_clipnorm=config.clip_norm,
    )
    latent = []
    if model_config.weight_bits == 1:
        latent.append("matmul/kernel")
    if model_config.embedding_bits == 1:
        latent.append("token/table")
    optimizer.exclude_from_weight_decay(var_names=[*_NOT_DECAYED, *latent])
    return optimizer
