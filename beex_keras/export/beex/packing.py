"""Matrices as the engine's kernels read them: a panel of outputs after the other.

Signs are packed as bits, true where a weight is −1.
"""

import numpy as np

BINARY_PANEL = 8
REAL_PANEL = 16
INT8_PANEL = 16


def pack_words(bits: np.ndarray) -> np.ndarray:
    """bool (rows, n) → uint64 (rows, ⌈n/64⌉), bit i of word w from column 64 w + i."""
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 64)))
    packed = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8")


def pack_binary(negative: np.ndarray) -> np.ndarray:
    """bool (inputs, outputs) → uint64 (panels, words, 8): word by word, 8 outputs side by side."""
    words = pack_words(np.pad(negative.T, ((0, -negative.shape[1] % BINARY_PANEL), (0, 0))))
    return words.reshape(-1, BINARY_PANEL, words.shape[1]).transpose(0, 2, 1)


def pack_real(negative: np.ndarray) -> np.ndarray:
    """bool (inputs, outputs) → uint64 (panels, groups): 16 outputs of 4 inputs each in a word."""
    inputs, outputs = negative.shape
    padded = np.pad(negative.T, ((0, -outputs % REAL_PANEL), (0, -inputs % 4)))
    groups = padded.reshape(-1, REAL_PANEL, padded.shape[1] // 4, 4).transpose(0, 2, 1, 3)
    return pack_words(groups.reshape(-1, 4 * REAL_PANEL)).reshape(len(padded) // REAL_PANEL, -1)


def quantize_columns(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) → int8 within ±127, and the float32 scale of each column that it is times."""
    scale = np.abs(matrix).max(axis=0).astype(np.float32) / np.float32(127)
    steps = np.divide(matrix, scale, out=np.zeros_like(matrix), where=scale > 0)
    return np.clip(np.rint(steps), -127, 127).astype(np.int8), scale


def pack_int8(weights: np.ndarray) -> np.ndarray:
    """int8 (inputs, outputs) → (panels, groups, 16, 4): 4 inputs of each of 16 outputs in a group."""
    inputs, outputs = weights.shape
    padded = np.pad(weights.T, ((0, -outputs % INT8_PANEL), (0, -inputs % 4)))
    return padded.reshape(-1, INT8_PANEL, padded.shape[1] // 4, 4).transpose(0, 2, 1, 3)


def unpack_words(words: np.ndarray, columns: int) -> np.ndarray:
    """The inverse of `pack_words`."""
    rows = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(rows, axis=1, bitorder="little").astype(bool)[:, :columns]


def unpack_binary(words: np.ndarray, inputs: int, outputs: int) -> np.ndarray:
    """The inverse of `pack_binary`."""
    rows = words.transpose(0, 2, 1).reshape(-1, words.shape[1])
    return unpack_words(rows, inputs)[:outputs].T


def unpack_real(words: np.ndarray, inputs: int, outputs: int) -> np.ndarray:
    """The inverse of `pack_real`."""
    bits = unpack_words(words.reshape(-1, 1), 4 * REAL_PANEL)
    panels = bits.reshape(*words.shape, REAL_PANEL, 4).transpose(0, 2, 1, 3)
    return panels.reshape(len(words) * REAL_PANEL, -1)[:outputs, :inputs].T


def packed_shape(inputs: int, outputs: int, is_fully_binary: bool) -> tuple[int, ...]:
    """The shape of what `pack_binary`, or else `pack_real`, gives."""
    if is_fully_binary:
        return -(-outputs // BINARY_PANEL), -(-inputs // 64), BINARY_PANEL
    return -(-outputs // REAL_PANEL), -(-inputs // 4)
