"""What a model of some configuration takes: of a file, and of the engine's memory."""

from collections.abc import Iterable

from beex_keras.export.beex_format.packing import BINARY_PANEL, INT8_PANEL, REAL_PANEL
from beex_keras.export.beex_format.writer import ALIGNMENT, PADDING, round_up
from beex_keras.models import BEExformerConfig

_LEAST_ROWS = 8


def arena_size(config: BEExformerConfig, length: int, int8_weights: bool = False) -> int:
    """Bytes of memory that the engine needs, the same number as `beex_arena_size` in C."""
    rows, width = _LEAST_ROWS, config.width
    hidden = config.hidden_width * (2 if config.network == "ffn" else 1)
    columns = round_up(length, 16)
    words, hidden_words = -(-width // 64), -(-hidden // 64)
    scores = 4 * rows * columns
    if config.activation_bits == 1:
        channels = config.num_heads * round_up(width // config.num_heads, 2)
        parts = [2 * channels * columns, 2 * round_up(length, 2) * width, 8 * length * words]
        attention = [scores, 2 * rows * channels, 2 * rows * columns]
        network = [8 * rows * hidden_words]
    else:
        parts = [4 * width * columns, 4 * length * width]
        if config.weight_bits == 1 or int8_weights:
            parts += [rows * round_up(max(width, hidden), 4), 8 * rows]
        attention, network = [scores], [4 * rows * hidden]
    parts += [4 * length * width, 4 * rows * width, 4 * rows * width]
    parts += [4 * width, 4 * config.num_blocks * config.num_classes, 4 * length]
    return _memory(parts) + max(_memory(attention), _memory(network))


def _memory(parts: Iterable[int]) -> int:
    return sum(round_up(part, ALIGNMENT) for part in parts)


def weights_size(config: BEExformerConfig, length: int, int8_weights: bool = False) -> int:
    """Bytes of a file's weights: the token table and all that follows it up to the labels."""
    width, hidden = config.width, config.hidden_width
    weight_bits, table_bits = config.weight_bits, config.embedding_bits
    if int8_weights:
        weight_bits, table_bits = 8, min(8, table_bits)

    def reals(count: int) -> int:
        return round_up(4 * count, ALIGNMENT)

    def channels(count: int) -> int:
        return reals(round_up(count, PADDING))

    def linear(inputs: int, outputs: int) -> int:
        if weight_bits == 32:
            return reals(inputs * outputs) + channels(outputs)
        if weight_bits == 8:
            weights = round_up(outputs, INT8_PANEL) * round_up(inputs, 4)
        elif config.activation_bits == 1:
            weights = round_up(outputs, BINARY_PANEL) * -(-inputs // 64) * 8
        else:
            weights = -(-outputs // REAL_PANEL) * -(-inputs // 4) * 8
        return round_up(weights, ALIGNMENT) + 2 * channels(outputs)

    row = {1: 8 * -(-width // 64), 8: width, 32: 4 * width}[table_bits]
    embedding = round_up(config.vocabulary_size * row, ALIGNMENT) + reals(length * width)
    embedding += channels(width) if table_bits < 32 else 0
    embedding += reals(config.num_segments * width) if config.num_segments > 1 else 0
    if config.network == "slfn":
        network = 2 * linear(width, hidden) + 2 * linear(hidden, width)
    else:
        network = linear(width, 2 * hidden) + linear(2 * hidden, width)
    head = reals(width * config.num_classes) + channels(config.num_classes)
    block = 4 * linear(width, width) + network + 4 * channels(width) + head
    return embedding + 2 * channels(width) + config.num_blocks * block
