"""How many bits the weights and activations of a model take, and how it learns binary ones."""

import dataclasses
from typing import Any

from beex_keras.errors import BeexError

KINDS = {"float": (32, 32), "weights-only": (1, 32), "w1a8": (1, 8), "fully-binary": (1, 1)}
"""Bits of the blocks' weights and activations, by name: what there is, and all that is allowed."""


@dataclasses.dataclass(frozen=True)
class Precision:
    """The precision of a model, or of one layer; validated when made, immutable after.

    Attributes:
        weights: bits of the matrices of the blocks.
        activations: bits of the activations that these matrices read: 32 for real numbers, 8 for whole
            numbers with one scale for each token, see `quantizers.quantize_tokens`, or 1 for signs.
        embedding: bits of the token table, 1 or 32.
        quantizer: name of the quantizer of weights and activations, from
            `beex_keras.quantizers.QUANTIZERS`.
        latent_scale: the latent weights of the matrices are initialized uniformly in ± this.
        embedding_latent_scale: the latent weights of the token table are initialized uniformly in ± this.

    Raises:
        BeexError: bits that are not supported, or a scale outside (0, 1].

    Example:
        >>> beex.Precision(weights=1, activations=1).name
        'fully-binary'
    """

    weights: int = 1
    activations: int = 32
    embedding: int = 1
    quantizer: str = "polynomial_sign"
    latent_scale: float = 0.1
    embedding_latent_scale: float = 0.1

    def __post_init__(self) -> None:
        if (self.weights, self.activations) not in KINDS.values():
            *kinds, last = (f"{w} and {a} ({name})" for name, (w, a) in KINDS.items())
            given = f"weight_bits={self.weights} with activation_bits={self.activations}"
            raise BeexError(f"{given} is not supported; use {', '.join(kinds)} or {last}.")
        if self.embedding not in (1, 32):
            raise BeexError(f"embedding_bits={self.embedding!r} must be 1 or 32.")
        for name in ("latent_scale", "embedding_latent_scale"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value <= 1:
                raise BeexError(f"{name}={value!r} must lie in (0, 1].")

    @classmethod
    def named(cls, name: str, **others: Any) -> "Precision":
        """The precision of that name in `KINDS`; its token table has the bits of its weights.

        Raises:
            BeexError: no precision has that name.

        Example:
            >>> beex.Precision.named("float").embedding
            32
        """
        if name not in KINDS:
            raise BeexError(f"Unknown bits '{name}'; choose one of {', '.join(KINDS)}.")
        weights, activations = KINDS[name]
        bits = {"weights": weights, "activations": activations, "embedding": weights}
        return cls(**{**bits, **others})

    @property
    def name(self) -> str:
        """Its name in `KINDS`."""
        return next(n for n, bits in KINDS.items() if bits == (self.weights, self.activations))

    @property
    def is_binary(self) -> bool:
        """Whether the matrices of the blocks are binary."""
        return self.weights == 1

    @property
    def is_fully_binary(self) -> bool:
        """Whether the matrices read signs."""
        return self.activations == 1

    @property
    def bit_exact(self) -> bool:
        """Whether every engine gives the same bits; see `layers.fixed_point`."""
        return self.activations < 32

    def bits(self) -> dict[str, int]:
        """The bits, as `BEExformerConfig` names them."""
        return {
            "weight_bits": self.weights,
            "embedding_bits": self.embedding,
            "activation_bits": self.activations,
        }

    def learned_bits(self) -> dict[str, int]:
        """The bits for which a model is trained; 8-bit activations count as real ones, as they need no
        training."""
        return {**self.bits(), "activation_bits": 1 if self.is_fully_binary else 32}


WEIGHTS_ONLY = Precision()
"""The paper's: binary weights and token table, real activations."""
