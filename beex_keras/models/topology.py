"""The weights of a model, by its configuration alone, in the order that a ``.beex`` file has them in.

This is the one list of them. Who counts, writes, reads, checks or copies weights goes through it.
"""

import dataclasses
from collections.abc import Iterator

from beex_keras.models.config import BEExformerConfig

TABLE, REAL, NORM, MATRIX, HEAD = "table", "real", "norm", "matrix", "head"


@dataclasses.dataclass(frozen=True)
class Part:
    """Weights that belong together.

    Attributes:
        name: within the embedding or a block, such as "token", "attention/query", "slfn_norm".
        kind: `TABLE`, rows to look up, binary with one scale a column, or real; `REAL`, rows that
            are always real; `NORM`, gain and bias of a normalization; `MATRIX`, a linear layer,
            binary with one scale an output, or real; `HEAD`, a linear layer that is always real.
        shape: (rows, width), (width,) of a normalization, (inputs, outputs) of a linear layer.
        behind: of a matrix that reads another's outputs through a non-linearity, the other's name.
        activation: that non-linearity: "sigmoid", "tanh" or "gelu".
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    behind: str | None = None
    activation: str | None = None


def embedding(config: BEExformerConfig) -> list[Part]:
    """Tables and normalization in front of the first block."""
    width = config.width
    segments = [Part("segment", REAL, (config.num_segments, width))]
    return [
        Part("token", TABLE, (config.vocabulary_size, width)),
        Part("position", REAL, (config.max_length, width)),
        *(segments if config.num_segments > 1 else []),
        Part("normalization", NORM, (width,)),
    ]


def block(config: BEExformerConfig) -> list[Part]:
    """Matrices and normalizations of each block; all blocks are alike."""
    width = config.width
    attention = [
        Part(f"attention/{name}", MATRIX, (width, width))
        for name in ("query", "key", "value", "output")
    ]
    norms = [Part(name, NORM, (width,)) for name in ("attention_norm", "slfn_norm")]
    return [*attention, norms[0], *_network(config), norms[1]]


def matrices(config: BEExformerConfig) -> list[Part]:
    """The matrices of each block."""
    return [part for part in block(config) if part.kind == MATRIX]


def head(config: BEExformerConfig) -> Part:
    """The exit head behind each block."""
    return Part("exit", HEAD, (config.width, config.num_classes))


def stages(config: BEExformerConfig) -> Iterator[tuple[str, list[Part]]]:
    """All parts in order: of "embedding", "block_1", "exit_1", …, "block_N", "exit_N"."""
    yield "embedding", embedding(config)
    for number in range(1, config.num_blocks + 1):
        yield f"block_{number}", block(config)
        yield f"exit_{number}", [head(config)]


def inner_channels(config: BEExformerConfig) -> int:
    """All channels between two matrices of the network behind attention."""
    return sum(part.shape[1] for part in _network(config) if part.behind is None)


def inner_width(config: BEExformerConfig) -> int:
    """The most channels between two matrices of the network behind attention."""
    return max(part.shape[1] for part in _network(config) if part.behind is None)


def _network(config: BEExformerConfig) -> list[Part]:
    width, hidden = config.width, config.hidden_width
    if config.network == "ffn":
        return [
            Part("ffn/up", MATRIX, (width, 2 * hidden)),
            Part("ffn/down", MATRIX, (2 * hidden, width), "ffn/up", "gelu"),
        ]
    content, gate = config.content_activation, config.gate_width or hidden
    return [
        Part("slfn/gate_in", MATRIX, (width, gate)),
        Part("slfn/content_in", MATRIX, (width, hidden)),
        Part("slfn/gate_out", MATRIX, (gate, width), "slfn/gate_in", "sigmoid"),
        Part("slfn/content_out", MATRIX, (hidden, width), "slfn/content_in", content),
    ]
