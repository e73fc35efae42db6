"""The architecture of a BEExformer, as data. Nothing here needs TensorFlow."""

import dataclasses
from typing import Any, Literal

from beex_keras import fields, tasks
from beex_keras.errors import BeexError
from beex_keras.precision import Precision

PRESETS: dict[str, dict[str, Any]] = {
    "micro": {
        "vocabulary_size": 4000,
        "width": 64,
        "num_heads": 2,
        "hidden_width": 128,
        "num_blocks": 4,
        "max_length": 64,
    },
    "tiny": {"width": 128, "num_heads": 4, "hidden_width": 256, "num_blocks": 4, "max_length": 64},
    "small": {"width": 256, "num_heads": 4, "hidden_width": 512, "num_blocks": 6},
    "minilm": {
        "vocabulary_size": 30522,
        "width": 384,
        "num_heads": 12,
        "hidden_width": 1536,
        "gate_width": 256,
        "num_blocks": 6,
        "content_activation": "gelu",
        "dropout": 0.1,
        "token_dropout": 0.1,
    },
    "base": {"width": 768, "num_heads": 12, "hidden_width": 1536, "num_blocks": 12},
}
"""Named sizes: `micro` for boards with 128 KB of RAM, then upwards to the width of BERT-base.

`minilm` has the shape of MiniLM-L6-H384, from whose weights it can start, and so drops less. MiniLM has no
gate, so that of the preset is narrow. A gate as wide as the content would take two fifths of a block's products."""


@dataclasses.dataclass(frozen=True)
class BEExformerConfig:
    """The architecture of a BEExformer; its values are checked when it is made, and then immutable.

    Attributes:
        vocabulary_size: number of tokens in the vocabulary, which is the number of rows of the token table.
        max_length: the most tokens of a text that the model reads, special tokens included.
        num_segments: 1 for single texts, 2 for pairs of texts.
        separator_id: id of the token [SEP], after which the second segment starts.
        width: D, the number of channels of a token between blocks.
        num_heads: H, the number of attention heads; `width` must be a multiple of it.
        hidden_width: F, the number of hidden channels of the SLFN.
        gate_width: G, the number of hidden channels of the SLFN's gate; None means `hidden_width`.
        num_blocks: N, the number of blocks, each of which has an exit.
        num_classes: C, the number of classes; 1 makes the model a regression, which answers a number.
        weight_bits: bits of the weights in the matrices of a block, 1 or 32.
        activation_bits: bits of the activations that these matrices read: 32, or with `weight_bits` 1 also
            8 (W1A8) or 1 (a fully binary model).
        embedding_bits: bits of the weights in the token table, 1 or 32.
        network: network behind the attention: "slfn", or "ffn" for a plain feed-forward network with as
            many weights.
        gate_activation: activation of the SLFN's gate: None, or "sigmoid" for a gate between 0 and 1.
        content_activation: activation of the SLFN's content branch: "tanh", or "gelu", which lets the SLFN
            start from the feed-forward network of a BERT-style encoder.
        quantizer: name of the function that binarizes, from `beex_keras.quantizers.QUANTIZERS`.
        latent_scale: the latent weights of the blocks are initialized uniformly in ±`latent_scale`.
        embedding_latent_scale: the latent weights of the token table are initialized uniformly in
            ±`embedding_latent_scale`.
        dropout: dropout rate in [0, 1), applied after the embedding and each network and before each exit.
        token_dropout: share of the tokens that training hides, in [0, 1).

    Raises:
        BeexError: a value out of range or values that do not go together.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", num_blocks=2)
        >>> config.width, config.num_blocks
        (64, 2)
        >>> config.replace(activation_bits=1).activation_bits
        1
    """

    vocabulary_size: int = 8000
    max_length: int = 128
    num_segments: int = 1
    separator_id: int = 3
    width: int = 128
    num_heads: int = 4
    hidden_width: int = 256
    gate_width: int | None = None
    num_blocks: int = 4
    num_classes: int = 2
    weight_bits: int = 1
    activation_bits: int = 32
    embedding_bits: int = 1
    network: Literal["slfn", "ffn"] = "slfn"
    gate_activation: Literal["sigmoid"] | None = None
    content_activation: Literal["tanh", "gelu"] = "tanh"
    quantizer: Literal["polynomial_sign", "ste_sign", "swish_sign", "magnitude_aware_sign"] = (
        "polynomial_sign"
    )
    latent_scale: float = 0.1
    embedding_latent_scale: float = 0.1
    dropout: float = 0.2
    token_dropout: float = 0.2

    def __post_init__(self) -> None:
        fields.check_choices(self)
        positive = ("num_segments", "width", "num_heads", "hidden_width", "num_blocks")
        fields.check_whole(self, **dict.fromkeys(positive, 1))
        fields.check_whole(self, vocabulary_size=5, max_length=3, separator_id=0, num_classes=1)
        fields.check_share(self, "dropout", "token_dropout")
        if self.width % self.num_heads:
            raise BeexError(f"width={self.width} must be a multiple of num_heads={self.num_heads}.")
        if self.gate_width is not None:
            fields.check_whole(self, gate_width=1)
        gate = (self.gate_activation, self.gate_width)
        if self.network == "ffn" and gate != (None, None):
            raise BeexError(
                "A network 'ffn' has no gate; leave out gate_activation and gate_width."
            )
        _ = self.precision  # which checks its parts

    @property
    def problem_type(self) -> str:
        """ "classification", or "regression" if the model has one output."""
        return tasks.problem_type(self.num_classes)

    @property
    def precision(self) -> Precision:
        """Bits, quantizer and latent scales as one object, as the layers take them."""
        bits = self.weight_bits, self.activation_bits, self.embedding_bits
        return Precision(*bits, self.quantizer, self.latent_scale, self.embedding_latent_scale)

    @classmethod
    def preset(cls, name: str, bits: str = "weights-only", **overrides: Any) -> "BEExformerConfig":
        """The preset of that name from `PRESETS`, with some fields replaced by `overrides`.

        `bits` is the name of a precision from `beex_keras.precision.KINDS`.

        Raises:
            BeexError: no such preset, an unknown field, or a value that is not allowed.
        """
        if name not in PRESETS:
            raise BeexError(f"Unknown preset '{name}'; choose one of {', '.join(PRESETS)}.")
        values = {**PRESETS[name], **Precision.named(bits).bits()}
        if overrides.get("network") == "ffn":
            values.pop("gate_width", None)
        return cls.from_dict({**values, **overrides})

    def with_bits(self, bits: str) -> "BEExformerConfig":
        """The same architecture in a precision of `KINDS`; errors as `Precision.named`."""
        return self.replace(**Precision.named(bits).bits())

    def with_activations(self, bits: int) -> "BEExformerConfig":
        """Returns a configuration with the same binary weights and activations of 32 or 8 bits.

        Raises:
            BeexError: the weights are real, or were trained for binary activations.
        """
        if not self.precision.is_binary or self.precision.is_fully_binary or bits not in (8, 32):
            only = "Only a model with binary weights and other activations can have 8 or 32 bits"
            raise BeexError(f"{only}, and this one is {self.precision.name}; leave them out.")
        return self.replace(activation_bits=bits)

    def replace(self, **changes: Any) -> "BEExformerConfig":
        """Returns a copy with some values replaced."""
        return self.from_dict({**self.to_dict(), **changes})

    def twin(self) -> "BEExformerConfig":
        """Returns the float32 twin: the same architecture with float32 weights and activations."""
        return self.with_bits("float")

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "BEExformerConfig":
        """The inverse of `to_dict`; missing fields take their defaults.

        Raises:
            BeexError: not a mapping, an unknown field, or a value that is not allowed.
        """
        if not isinstance(values, dict):
            raise BeexError("A model configuration must be a JSON object of named values.")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown, names = sorted(set(values) - known), ", ".join(sorted(known))
        if unknown:
            raise BeexError(f"Unknown configuration field '{unknown[0]}'; known are {names}.")
        return cls(**values)
