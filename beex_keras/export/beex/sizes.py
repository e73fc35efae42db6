"""What a model of some configuration takes: of a file, and of the engine's memory."""

from collections.abc import Iterable
from math import prod

from beex_keras.export.beex.packing import INT8_PANEL, packed_shape
from beex_keras.export.beex.parts import ALIGNMENT, PADDING, round_up
from beex_keras.models import BEExformerConfig, topology

_LEAST_ROWS = 8


def arena_size(
    config: BEExformerConfig, length: int, int8_weights: bool = False, exact: bool = True
) -> int:
    """Bytes of memory that the engine needs, the same number as `beex_arena_size` in C.

    Without `exact` they are those for an older file with 8-bit activations.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro")
        >>> beex.export.beex.arena_size(config, length=64)
        57920
    """
    rows, width, hidden = _LEAST_ROWS, config.width, topology.inner_width(config)
    columns = round_up(length, 16)
    words, hidden_words = -(-width // 64), -(-hidden // 64)
    attention, network = [4 * rows * columns], [4 * rows * hidden]
    binary = config.precision.is_fully_binary
    if binary or (config.activation_bits == 8 and exact):
        channels = config.num_heads * round_up(width // config.num_heads, 2)
        parts = [2 * channels * columns, 2 * round_up(length, 2) * width]
        attention += [2 * rows * channels, 2 * rows * columns]
    else:
        parts = [4 * width * columns, 4 * length * width]
    if binary:
        parts.append(8 * length * words)
        network = [8 * rows * hidden_words]
    if config.activation_bits == 8 or int8_weights:
        parts += [rows * round_up(max(width, hidden), 4), 8 * rows]
    parts += [4 * length * width, 4 * rows * width, 4 * rows * width]
    parts += [4 * width, 4 * config.num_blocks * config.num_classes, 4 * length]
    return _memory(parts) + max(_memory(attention), _memory(network))


def _memory(parts: Iterable[int]) -> int:
    return sum(round_up(part, ALIGNMENT) for part in parts)


def weights_size(config: BEExformerConfig, length: int, int8_weights: bool = False) -> int:
    """Bytes of a file's weights: the token table and all that follows it up to the labels.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro")
        >>> beex.export.beex.weights_size(config, length=64)
        100608
    """
    return sum(parts_sizes(config, length, int8_weights))


def parts_sizes(config: BEExformerConfig, length: int, int8_weights: bool = False) -> list[int]:
    """Bytes of each part of the weights, in the order of the file."""
    shapes = config.replace(max_length=length)
    parts = [part for _, stage in topology.stages(shapes) for part in stage]
    return [_bytes(config, part, int8_weights) for part in parts]


def _bytes(config: BEExformerConfig, part: topology.Part, int8_weights: bool) -> int:
    *_, outputs = part.shape
    channels = _memory([4 * round_up(outputs, PADDING)])
    reals = _memory([4 * prod(part.shape)])
    if part.kind == topology.NORM:
        return 2 * channels
    if part.kind == topology.REAL:
        return reals
    if part.kind == topology.HEAD:
        return reals + channels
    if part.kind == topology.TABLE:
        if config.precision.embedding == 1:
            return _memory([part.shape[0] * 8 * -(-outputs // 64)]) + channels
        return _memory([prod(part.shape)]) + channels if int8_weights else reals
    inputs, fully = part.shape[0], config.precision.is_fully_binary
    if config.precision.is_binary:
        return _memory([8 * prod(packed_shape(inputs, outputs, fully))]) + 2 * channels
    if int8_weights:
        weights = round_up(outputs, INT8_PANEL) * round_up(inputs, 4)
        return _memory([weights]) + 2 * channels
    return reals + channels
