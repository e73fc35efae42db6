"""The bytes of a file and the engine's memory, counted from a configuration or read from a file."""

from collections.abc import Iterable
from math import prod

from beex_keras.export.beex.format import ALIGNMENT, CHANNEL_MULTIPLE, read_header, round_up
from beex_keras.export.beex.packing import INT8_PANEL, signs_shape
from beex_keras.models import BEExformerConfig, topology

_LEAST_ROWS = 8


def arena_size(
    config: BEExformerConfig, length: int, int8_weights: bool = False, exact: bool = True
) -> int:
    """Returns the bytes of working memory that the engine needs, the same as `beex_arena_size` in C.

    Args:
        length: the number of tokens that the file reads.
        int8_weights: whether the file's weights are int8.
        exact: False for an older file, whose activations of 8 bits were not kept on the grid.

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
        buffers = [2 * channels * columns, 2 * round_up(length, 2) * width]
        attention += [2 * rows * channels, 2 * rows * columns]
    else:
        buffers = [4 * width * columns, 4 * length * width]
    if binary:
        buffers.append(8 * length * words)
        network = [8 * rows * hidden_words]
    if config.activation_bits == 8 or int8_weights:
        buffers += [rows * round_up(max(width, hidden), 4), 8 * rows]
    buffers += [4 * length * width, 4 * rows * width, 4 * rows * width]
    buffers += [4 * width, 4 * config.num_blocks * config.num_classes, 4 * length]
    return _aligned(buffers) + max(_aligned(attention), _aligned(network))


def _aligned(sizes: Iterable[int]) -> int:
    return sum(round_up(size, ALIGNMENT) for size in sizes)


def weights_size(config: BEExformerConfig, length: int, int8_weights: bool = False) -> int:
    """Returns the bytes of a file's weights, with their scales, biases and padding.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro")
        >>> beex.export.beex.weights_size(config, length=64)
        100608
    """
    return sum(weight_sizes(config, length, int8_weights))


def weight_sizes(config: BEExformerConfig, length: int, int8_weights: bool = False) -> list[int]:
    """Returns the bytes of each table, layer and normalization, in the order of the file."""
    stages = topology.stages(config.replace(max_length=length))
    return [_bytes(config, weight, int8_weights) for _, stage in stages for weight in stage]


def _bytes(config: BEExformerConfig, weight: topology.Part, int8_weights: bool) -> int:
    *_, outputs = weight.shape
    channels = 4 * round_up(outputs, CHANNEL_MULTIPLE)
    reals = _aligned([4 * prod(weight.shape)])
    if weight.kind == topology.NORM:
        return 2 * channels
    if weight.kind == topology.REAL:
        return reals
    if weight.kind == topology.HEAD:
        return reals + channels
    if weight.kind == topology.TABLE:
        if config.precision.embedding == 1:
            return _aligned([weight.shape[0] * 8 * -(-outputs // 64)]) + channels
        return _aligned([prod(weight.shape)]) + channels if int8_weights else reals
    inputs, fully = weight.shape[0], config.precision.is_fully_binary
    if config.precision.is_binary:
        return _aligned([8 * prod(signs_shape(inputs, outputs, fully))]) + 2 * channels
    if int8_weights:
        side, depth = INT8_PANEL
        return _aligned([round_up(outputs, side) * round_up(inputs, depth)]) + 2 * channels
    return reals + channels


def file_sizes(data: bytes) -> dict[str, int]:
    """Returns the bytes of a file, of its weights and vocabulary, and of the memory to run it.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.file_sizes(data)["total"] == len(data)
        True
    """
    values = read_header(data)
    return {
        "total": len(data),
        "weights": values["labels"] - values["weights"],
        "vocabulary": values["words_size"] + values["pieces_size"],
        "arena": values["arena_size"],
    }
