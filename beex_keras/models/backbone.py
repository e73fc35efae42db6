"""The encoder: embedding and blocks, without exits."""

import inspect
from typing import Any

from beex_keras.backend import tf
from beex_keras.layers import BEExformerBlock, Embedding, PaddingMask
from beex_keras.layers.binarization import Binarizer
from beex_keras.models.config import BEExformerConfig


@tf.keras.utils.register_keras_serializable("beex_keras")
class BEExformer(tf.keras.Model):
    """Token ids int32 (B, T) → a list of the N blocks' outputs, each (B, T, D).

    Padding (id 0) never changes the output at a real token. The parts
    (`padding_mask`, `embedding`, `blocks`) can be called one by one, which is how an inference that
    stops at an exit runs them.

    Args:
        config: a `BEExformerConfig`, or the dictionary of one.
        matmul_dtype: dtype of the blocks' matrix products in training, as in `BinaryLinear`. It belongs to the
            machine that trains, so files do not keep it.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=2)
        >>> blocks = beex.BEExformer(config)(np.array([[2, 7, 8, 3]]))
        >>> [block.shape.as_list() for block in blocks]
        [[1, 4, 64], [1, 4, 64]]
    """

    def __init__(
        self,
        config: BEExformerConfig | dict[str, Any],
        matmul_dtype: str = "float32",
        **kwargs: Any,
    ) -> None:
        # === Configuration ===
        if not isinstance(config, BEExformerConfig):
            config = BEExformerConfig.from_dict(config)

        # === Layers ===
        padding_mask = PaddingMask(name="padding_mask")
        embedding = Embedding(**_arguments(Embedding, config), name="embedding")
        arguments = {**_arguments(BEExformerBlock, config), "matmul_dtype": matmul_dtype}
        blocks = [
            BEExformerBlock(**arguments, name=f"block_{number}")
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
        self.matmul_dtype = matmul_dtype
        self.padding_mask = padding_mask
        self.embedding = embedding
        self.blocks = blocks

    def binarizers(self) -> dict[str, dict[str, Binarizer]]:
        """What turns weights and activations binary, in the order in which a training anneals them.

        The keys are "weights", "embedding" and "activations", each with the binarizers by the names of their
        matrices, such as "block_1/attention/query" and "embedding/token". Real parts have none.

        Example:
            >>> config = beex.BEExformerConfig.preset("micro", num_blocks=2)
            >>> binarizers = beex.BEExformer(config).binarizers()
            >>> {part: len(named) for part, named in binarizers.items()}
            {'weights': 16, 'embedding': 1, 'activations': 0}
        """
        matmuls = {
            f"{block.name}/{name}": linear.matmul
            for block in self.blocks
            for name, linear in block.linears().items()
        }
        found = {
            "weights": {name: matmul.kernel_quantizer for name, matmul in matmuls.items()},
            "embedding": {"embedding/token": self.embedding.token.table_quantizer},
            "activations": {name: matmul.input_quantizer for name, matmul in matmuls.items()},
        }
        return {
            part: {name: one for name, one in named.items() if one is not None}
            for part, named in found.items()
        }

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
