r"""Parameters, bytes, multiply-accumulates and FLOPs of an architecture, from its configuration alone.

**Parameters.** Binary ones are stored as ±1 (the latent weights of binarized matrices), all others
are real: scales, biases, normalizations, positions, segments, exit heads.

**Bytes.** One bit a binary parameter, each matrix rounded up to whole bytes, and four bytes a real
one. `float32_bytes` is four bytes for every parameter of the float32 twin, which has no scales.
These are the weights alone; the size of a file is measured on the file.

**MACs** (multiply-accumulates) of one text of T tokens without padding, by what is multiplied:
binary × binary (an XNOR and a popcount), real × binary (an addition or subtraction) and real × real
(attention scores and context, exit heads, and every matrix of the float32 twin).

**FLOPs.** Two a MAC, *whatever its precision*, and one an element for each of

- a linear layer: bias, scale if binary, and sign of the input if fully binary;
- the embedding: position, segment if any, and scale if binary (a look-up is free);
- attention: scaling of the queries; on each score: mask, and maximum, subtraction, exponential, sum
  and division of the softmax;
- the SLFN: sigmoid and tanh (or GELU) of the hidden units unless fully binary, the gate's sigmoid if
  any, and the product of gate and content; or a plain feed-forward network: the GELU of the hidden
  units unless fully binary;
- a residual sum;
- a layer normalization: seven;
- an exit head: masking and sum of the pooling, division, bias.

So FLOPs tell how much of the network runs, not how cheap its arithmetic is: that is what early exit
changes. The exit rule itself, a few operations a class, and the rounding to a grid are left out; power
weights count as the softmax's exponential.

**Full depth** is what a model without early exit runs: embedding, all N blocks, and the last head
alone. A run that stops at exit i pays for the embedding, blocks 1…i and heads 1…i. A run that never
stops early hence costs N − 1 heads more than full depth, and its saving is slightly negative.
"""

import dataclasses
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.models import topology
from beex_keras.models.config import BEExformerConfig
from beex_keras.models.topology import Part

_SOFTMAX = 5
_LAYER_NORM = 7


@dataclasses.dataclass(frozen=True)
class Count:
    """The parameters of one layer and its operations for one text; counts are added with `+`.

    Attributes:
        name: such as "block_1/attention/query", "embedding/token", "exit_1".
        binary_parameters, real_parameters: numbers of binary and of real weights.
        binary_bytes: bytes of the binary parameters, packed.
        twin_parameters: number of weights of the same layer in the float32 twin.
        binary_macs, mixed_macs, real_macs: numbers of MACs that are binary × binary, real × binary and real
            × real.
        elementwise: number of operations other than MACs.
    """

    name: str
    binary_parameters: int = 0
    real_parameters: int = 0
    binary_bytes: int = 0
    twin_parameters: int = 0
    binary_macs: int = 0
    mixed_macs: int = 0
    real_macs: int = 0
    elementwise: int = 0

    @property
    def parameters(self) -> int:
        return self.binary_parameters + self.real_parameters

    @property
    def bytes(self) -> int:
        return self.binary_bytes + 4 * self.real_parameters

    @property
    def float32_bytes(self) -> int:
        return 4 * self.twin_parameters

    @property
    def macs(self) -> int:
        return self.binary_macs + self.mixed_macs + self.real_macs

    @property
    def flops(self) -> int:
        return 2 * self.macs + self.elementwise

    def __add__(self, other: "Count") -> "Count":
        mine, others = dataclasses.astuple(self), dataclasses.astuple(other)
        return Count(self.name, *(a + b for a, b in zip(mine[1:], others[1:], strict=True)))

    def renamed(self, name: str) -> "Count":
        return dataclasses.replace(self, name=name)

    def to_dict(self) -> dict[str, Any]:
        derived = ("parameters", "bytes", "float32_bytes", "macs", "flops")
        return {**dataclasses.asdict(self), **{name: getattr(self, name) for name in derived}}


@dataclasses.dataclass(frozen=True)
class Counts:
    """The counts of a whole architecture, for a text of `length` tokens.

    Attributes:
        config: the architecture.
        length: T, tokens.
        embedding: layers of the embedding.
        block: layers of one block; all blocks are alike.
        head: one exit head; all heads are alike.
    """

    config: BEExformerConfig
    length: int
    embedding: tuple[Count, ...]
    block: tuple[Count, ...]
    head: Count

    def stages(self) -> list[Count]:
        """ "embedding", "block_1", "exit_1", …, "block_N", "exit_N", in the order of execution."""
        block = total(self.block)
        stages = [total(self.embedding, "embedding")]
        for number in range(1, self.config.num_blocks + 1):
            stages += [block.renamed(f"block_{number}"), self.head.renamed(f"exit_{number}")]
        return stages

    def total(self) -> Count:
        """The counts of the whole model, if no exit stops the computation."""
        return total(self.stages(), "total")

    def depth_flops(self) -> np.ndarray:
        """FLOPs of a run that stops at exit i: int64 (N,)."""
        first, step = total(self.embedding).flops, total(self.block).flops + self.head.flops
        return first + step * np.arange(1, self.config.num_blocks + 1, dtype=np.int64)

    def full_depth_flops(self) -> int:
        """FLOPs of the same model without early exit: all blocks and only the last head."""
        blocks = self.config.num_blocks * total(self.block).flops
        return total(self.embedding).flops + blocks + self.head.flops

    def to_dict(self) -> dict[str, Any]:
        """All counts, for JSON."""
        return {
            "length": self.length,
            "embedding": [count.to_dict() for count in self.embedding],
            "block": [count.to_dict() for count in self.block],
            "exit": self.head.to_dict(),
            "stages": [count.to_dict() for count in self.stages()],
            "total": self.total().to_dict(),
            "depth_flops": self.depth_flops().tolist(),
            "full_depth_flops": self.full_depth_flops(),
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Tables by title, each a list of rows: the distinct layers, and the run stage by stage."""
        layers = [*self.embedding, *self.block, self.head.renamed("exit")]
        number, flops = self.config.num_blocks, 0
        stages = [_row(count, "stage") for count in (*self.stages(), self.total())]
        for row in stages[:-1]:
            flops += row["FLOPs"]
            if row["stage"].startswith("exit"):
                row["relative cost"] = flops / self.full_depth_flops()
        title = f"Layers ({number} blocks and {number} exits like these)"
        return {
            title: [_row(count, "layer") for count in layers],
            f"Stages of a text of {self.length} tokens": stages,
        }


def count(config: BEExformerConfig, length: int | None = None) -> Counts:
    """Counts every layer of `config` for a text of `length` tokens (`max_length` if None).

    Raises:
        BeexError: `length` is not in 1…`max_length`.
    """
    length = config.max_length if length is None else length
    if not 1 <= length <= config.max_length:
        raise BeexError(f"length={length} must lie between 1 and max_length={config.max_length}.")
    tables = topology.embedding(config)
    embedding = tuple(_layer(config, f"embedding/{p.name}", p, length) for p in tables)
    head = _layer(config, "exit", topology.head(config), length)
    return Counts(config, length, embedding, tuple(_block(config, length)), head)


def relative_costs(config: BEExformerConfig, length: int | None = None) -> np.ndarray:
    """FLOPs of leaving at exit i relative to full depth, float64 (N,); the last is a hair above 1."""
    counted = count(config, length)
    return counted.depth_flops() / counted.full_depth_flops()


def flops_saved(
    config: BEExformerConfig, exits: np.ndarray, lengths: int | np.ndarray | None = None
) -> float:
    """Share of full depth's FLOPs that a set of texts did not need.

    Args:
        exits: the 0-based exit that each text took, (B,).
        lengths: tokens of every text, or of each (B,); `max_length` if None.

    Raises:
        BeexError: no texts, an exit that the model does not have, or a length that it cannot read.
    """
    exits = np.asarray(exits)
    if not exits.size or exits.min() < 0 or exits.max() >= config.num_blocks:
        raise BeexError(f"exits must be one or more numbers from 0 to {config.num_blocks - 1}.")
    lengths = np.broadcast_to(config.max_length if lengths is None else lengths, exits.shape)
    run, full = 0, 0
    for length in np.unique(lengths):
        counted = count(config, int(length))
        taken = exits[lengths == length]
        run += int(counted.depth_flops()[taken].sum())
        full += counted.full_depth_flops() * len(taken)
    return 1 - run / full


def total(counts: "tuple[Count, ...] | list[Count]", name: str = "") -> Count:
    """The sum of counts, under a name."""
    return sum(counts, start=Count(name))


# === The layers ===


def _layer(config: BEExformerConfig, name: str, part: Part, length: int) -> Count:
    """What a part holds, and what it computes for T tokens."""
    weights, outputs = prod(part.shape), part.shape[-1]
    steps = length * outputs
    if part.kind == topology.REAL:  # each row with its sum
        return _real(name, weights, steps)
    if part.kind == topology.NORM:  # in a block with the residual sum before it
        return _real(name, 2 * outputs, steps * (_LAYER_NORM + (not name.startswith("embedding"))))
    inputs = part.shape[0]
    if part.kind == topology.HEAD:
        pooling = 2 * length * inputs + inputs
        return _real(name, weights + outputs, pooling + outputs, weights)
    if part.kind == topology.TABLE:
        if config.precision.embedding == 32:
            return _real(name, weights, 0)
        return Count(name, weights, outputs, -(-weights // 8), weights, elementwise=steps)
    if not config.precision.is_binary:
        return _real(name, weights + outputs, steps, length * weights)
    own = name, weights, 2 * outputs, -(-weights // 8), weights + outputs
    if config.precision.is_fully_binary:
        signs = length * inputs
        return Count(*own, binary_macs=length * weights, elementwise=2 * steps + signs)
    return Count(*own, mixed_macs=length * weights, elementwise=2 * steps)


def _real(name: str, parameters: int, elementwise: int, macs: int = 0) -> Count:
    """A layer that is real in every mode."""
    own = {"real_parameters": parameters, "twin_parameters": parameters}
    return Count(name, **own, real_macs=macs, elementwise=elementwise)


def _block(config: BEExformerConfig, length: int) -> Iterator[Count]:
    """The parts of a block, and what is computed between them behind the last of either network."""
    size, scores = length * config.width, length * length * config.num_heads
    inner = 0 if config.precision.is_fully_binary else length * topology.inner_channels(config)
    gated = size * (1 + (config.gate_activation is not None))
    # Queries times keys and weights times values: each T² products of D channels over all heads.
    behind = {
        "attention/output": ("attention/scores", size + (1 + _SOFTMAX) * scores, 2 * length * size),
        "slfn/content_out": ("slfn/gating", gated + inner, 0),
        "ffn/down": ("ffn/activation", inner, 0),
    }
    for part in topology.block(config):
        yield _layer(config, f"block/{part.name}", part, length)
        if part.name in behind:
            name, elementwise, macs = behind[part.name]
            yield _real(f"block/{name}", 0, elementwise, macs)


def _row(count: Count, label: str) -> dict[str, Any]:
    return {
        label: count.name,
        "binary weights": count.binary_parameters,
        "real weights": count.real_parameters,
        "bytes": count.bytes,
        "float32 bytes": count.float32_bytes,
        "binary MACs": count.binary_macs,
        "mixed MACs": count.mixed_macs,
        "real MACs": count.real_macs,
        "FLOPs": count.flops,
    }
