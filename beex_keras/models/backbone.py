"""The encoder: embedding and blocks, without exits."""

import inspect
from typing import Any

from beex_keras.backend import tf
from beex_keras.layers import BEExformerBlock, Embedding, PaddingMask
from beex_keras.models.config import BEExformerConfig


@tf.keras.utils.register_keras_serializable("beex_keras")
class BEExformer(tf.keras.Model):
    """Token ids int32 (B, T) → a list of the N blocks' outputs, each (B, T, D).

    Padding (id 0) never changes the output at a real token. The parts
    (`padding_mask`, `embedding`, `blocks`) can be called one by one, which is how an inference that
    stops at an exit runs them.

    Args:
        config: a `BEExformerConfig`, or the dictionary of one.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=2)
        >>> blocks = beex.BEExformer(config)(np.array([[2, 7, 8, 3]]))
        >>> [block.shape.as_list() for block in blocks]
        [[1, 4, 64], [1, 4, 64]]
    """

    def __init__(self, config: BEExformerConfig | dict[str, Any], **kwargs: Any) -> None:
        # === Configuration ===
        if not isinstance(config, BEExformerConfig):
            config = BEExformerConfig.from_dict(config)

        # === Layers ===
        padding_mask = PaddingMask(name="padding_mask")
        embedding = Embedding(**_arguments(Embedding, config), name="embedding")
        blocks = [
            BEExformerBlock(**_arguments(BEExformerBlock, config), name=f"block_{number}")
            for number in range(1, config.num_blocks + 1)
        ]

        # === Functional model ===
        token_ids = tf.keras.Input((None,), dtype=tf.int32, name="token_ids")
        mask = padding_mask(token_ids)
        x = embedding(token_ids)
        outputs = []
        for block in blocks:
            x = block(x, padding_mask=mask)
            outputs.append(x)
        super().__init__(inputs=token_ids, outputs=outputs, **kwargs)

        self.config = config
        self.padding_mask = padding_mask
        self.embedding = embedding
        self.blocks = blocks

    def _infer_output_signature(self, inputs: Any, *args: Any) -> Any:
        """Shapes and types of the outputs, for Keras, where a larger model calls this one.

        Keras would trace all blocks a second time to find what calling them one by one has told
        already.
        """
        if inputs.type_spec != self.inputs[0].type_spec:
            return super()._infer_output_signature(inputs, *args)
        return [type(output)(output.type_spec) for output in self.outputs]

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_dict(), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "BEExformer":
        return cls(**config)


def _arguments(layer: type, config: BEExformerConfig) -> dict[str, Any]:
    """What a layer is made with: its arguments have the names of the configuration's values."""
    names = inspect.signature(layer.__init__).parameters  # type: ignore[misc]
    return {name: getattr(config, name) for name in names if hasattr(config, name)}
