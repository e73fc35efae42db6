"""The encoder with a head that predicts hidden tokens, for pre-training."""

from typing import Any

import tensorflow as tf

from beex_keras.layers import MaskedTokenHead
from beex_keras.models.backbone import BEExformer
from beex_keras.models.classifier import StackExits
from beex_keras.models.config import BEExformerConfig


class MaskedLanguageModel(tf.keras.Model):
    """Token ids int32 (B, T) and places int32 (m,) → logits of all V tokens there, (m, N, V).

    A place is an index into the flattened ids, row · T + column. Only there are logits computed, one
    set for each of the N blocks that predict, all by the same `MaskedTokenHead`.

    Args:
        config: of the encoder.
        all_blocks: whether every block predicts, or the last one alone (N = 1).

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=2)
        >>> model = beex.models.MaskedLanguageModel(config)
        >>> model([np.array([[2, 7, 4, 3]]), np.array([2])]).shape.as_list()
        [1, 1, 4000]
    """

    def __init__(self, config: BEExformerConfig, all_blocks: bool = False) -> None:
        # === Layers ===
        backbone = BEExformer(config, name="backbone")
        head = MaskedTokenHead(backbone.embedding.token, name="masked_tokens")
        take = TakePlaces(name="take_places")

        # === Functional model ===
        token_ids = tf.keras.Input((None,), dtype=tf.int32, name="token_ids")
        places = tf.keras.Input((), dtype=tf.int32, name="places")
        outputs = backbone(token_ids)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        predicting = outputs if all_blocks else outputs[-1:]
        logits = [head(take([x, places])) for x in predicting]
        super().__init__([token_ids, places], StackExits(name="token_logits")(logits))

        self.config = config
        self.all_blocks = all_blocks
        self.backbone = backbone
        self.head = head

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_dict(), "all_blocks": self.all_blocks}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "MaskedLanguageModel":
        return cls(BEExformerConfig.from_dict(config["config"]), config["all_blocks"])


class TakePlaces(tf.keras.layers.Layer):
    """(B, T, D) and places (m,) in the flattened rows → (m, D)."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        x, places = inputs
        return tf.gather(tf.reshape(x, (-1, x.shape[-1])), places)
