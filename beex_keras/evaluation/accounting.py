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
changes. The exit rule itself, a few operations a class, and the rounding of fully binary models to
their grid are left out; their power weights count as the softmax's exponential.

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
    """What one layer holds and what it computes for one text; counts add up by `+`.

    Attributes:
        name: such as "block_1/attention/query", "embedding/token", "exit_1".
        binary_parameters, real_parameters: numbers of weights.
        binary_bytes: of the binary parameters, packed.
        twin_parameters: weights of the same layer in the float32 twin.
        binary_macs, mixed_macs, real_macs: binary × binary, real × binary, real × real.
        elementwise: operations other than MACs.
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
        """Everything the model holds, and computes if no exit stops it."""
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
        number, full = self.config.num_blocks, self.full_depth_flops()
        stages, flops = [], 0
        for count in self.stages():
            flops += count.flops
            row = _row(count, "stage")
            if count.name.startswith("exit"):
                row["relative cost"] = flops / full
            stages.append(row)
        return {
            f"Layers ({number} blocks and {number} exits like these)": [
                _row(count, "layer") for count in layers
            ],
            f"Stages of a text of {self.length} tokens": [*stages, _row(self.total(), "stage")],
        }


def count(config: BEExformerConfig, length: int | None = None) -> Counts:
    """Counts every layer of `config` for a text of `length` tokens (`max_length` if None).

    Raises:
        BeexError: `length` is not in 1…`max_length`.
    """
    if length is None:
        length = config.max_length
    if not 1 <= length <= config.max_length:
        raise BeexError(f"length={length} must lie between 1 and max_length={config.max_length}.")
    tables = topology.embedding(config)
    return Counts(
        config,
        length,
        tuple(_COUNTS[p.kind](config, f"embedding/{p.name}", p, length) for p in tables),
        tuple(_block(config, length)),
        _head(config, "exit", topology.head(config), length),
    )


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
    if lengths is None:
        lengths = config.max_length
    lengths = np.broadcast_to(np.asarray(lengths), exits.shape)
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


def _linear(config: BEExformerConfig, name: str, part: Part, length: int) -> Count:
    """A `BinaryLinear` of (T, inputs) → (T, outputs)."""
    inputs, outputs = part.shape
    weights, macs = inputs * outputs, length * inputs * outputs
    if not config.precision.is_binary:
        return _real(name, weights + outputs, length * outputs, macs)
    fully = config.precision.is_fully_binary
    return Count(
        name,
        binary_parameters=weights,
        real_parameters=2 * outputs,
        binary_bytes=-(-weights // 8),
        twin_parameters=weights + outputs,
        binary_macs=macs if fully else 0,
        mixed_macs=0 if fully else macs,
        elementwise=length * (2 * outputs + (inputs if fully else 0)),
    )


def _table(config: BEExformerConfig, name: str, part: Part, length: int) -> Count:
    """The token table."""
    weights = prod(part.shape)
    if config.precision.embedding == 32:
        return _real(name, weights, 0)
    return Count(
        name,
        binary_parameters=weights,
        real_parameters=config.width,
        binary_bytes=-(-weights // 8),
        twin_parameters=weights,
        elementwise=length * config.width,
    )


def _rows(config: BEExformerConfig, name: str, part: Part, length: int) -> Count:
    """Positions or segments, each with its sum."""
    return _real(name, prod(part.shape), length * config.width)


def _norm(config: BEExformerConfig, name: str, part: Part, length: int) -> Count:
    """A normalization, in a block with the residual sum before it."""
    steps = _LAYER_NORM + (not name.startswith("embedding"))
    return _real(name, 2 * config.width, steps * length * config.width)


def _head(config: BEExformerConfig, name: str, part: Part, length: int) -> Count:
    width, classes = part.shape
    pooling = 2 * length * width + width
    return _real(name, width * classes + classes, pooling + classes, width * classes)


def _real(name: str, parameters: int, elementwise: int, macs: int = 0) -> Count:
    """A layer that is real in every mode."""
    return Count(
        name,
        real_parameters=parameters,
        twin_parameters=parameters,
        real_macs=macs,
        elementwise=elementwise,
    )


_COUNTS = {
    topology.TABLE: _table,
    topology.REAL: _rows,
    topology.NORM: _norm,
    topology.MATRIX: _linear,
    topology.HEAD: _head,
}


def _block(config: BEExformerConfig, length: int) -> Iterator[Count]:
    """The parts of a block, and what is computed between them behind the last of either network."""
    size, scores = length * config.width, length * length * config.num_heads
    inner = 0 if config.precision.is_fully_binary else 2 * length * config.hidden_width
    gated = size * (1 + (config.gate_activation is not None))
    # Queries times keys and weights times values: each T² products of D channels over all heads.
    behind = {
        "attention/output": ("attention/scores", size + (1 + _SOFTMAX) * scores, 2 * length * size),
        "slfn/content_out": ("slfn/gating", gated + inner, 0),
        "ffn/down": ("ffn/activation", inner, 0),
    }
    for part in topology.block(config):
        yield _COUNTS[part.kind](config, f"block/{part.name}", part, length)
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
