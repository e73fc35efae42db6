"""The packed data of a ``.beex`` file: matrices in panels of outputs, and dictionaries of tokens.

The kernels read one panel after the other. Signs are stored as bits; a set bit is a weight of −1.
"""

import struct
from itertools import takewhile

import numpy as np

from beex_keras.errors import BeexError

_BINARY_PANEL = (8, 64)
_REAL_PANEL = (16, 4)
INT8_PANEL = (16, 4)
"""Outputs of a panel, and inputs of each of its groups, by the activations that signs meet and by int8."""

_WORDS_PER_BLOCK = 16
_MAX_WORD_BYTES = 255

# === Matrices ===


def pack_bits(bits: np.ndarray) -> np.ndarray:
    """bool (…, n) → uint64 (…, ⌈n/64⌉), bit i of word w from element 64 w + i."""
    padded = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, -bits.shape[-1] % 64)])
    packed = np.packbits(padded, axis=-1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8")


def unpack_bits(words: np.ndarray, count: int) -> np.ndarray:
    """The inverse of `pack_bits`, to bool (…, count)."""
    rows = np.ascontiguousarray(words, "<u8").view(np.uint8)
    return np.unpackbits(rows, axis=-1, bitorder="little").astype(bool)[..., :count]


def pack_signs(negative: np.ndarray, is_fully_binary: bool) -> np.ndarray:
    """bool (inputs, outputs) → uint64 (panels, groups, words of a group)."""
    panels = _to_panels(negative, _BINARY_PANEL if is_fully_binary else _REAL_PANEL)
    return pack_bits(panels.reshape(*panels.shape[:2], -1))


def unpack_signs(words: np.ndarray, inputs: int, outputs: int, is_fully_binary: bool) -> np.ndarray:
    """The inverse of `pack_signs`."""
    panel = _BINARY_PANEL if is_fully_binary else _REAL_PANEL
    panels = unpack_bits(words, panel[0] * panel[1]).reshape(*words.shape[:2], *panel)
    rows = panels.transpose(0, 2, 1, 3).reshape(len(words) * panel[0], -1)
    return rows[:outputs, :inputs].T


def signs_shape(inputs: int, outputs: int, is_fully_binary: bool) -> tuple[int, int, int]:
    """The shape that `pack_signs` returns."""
    side, depth = _BINARY_PANEL if is_fully_binary else _REAL_PANEL
    return -(-outputs // side), -(-inputs // depth), side * depth // 64


def pack_int8(weights: np.ndarray) -> np.ndarray:
    """int8 (inputs, outputs) → (panels, groups, 16, 4): a group has 4 inputs of each of 16 outputs."""
    return _to_panels(weights, INT8_PANEL)


def _to_panels(matrix: np.ndarray, panel: tuple[int, int]) -> np.ndarray:
    """(inputs, outputs) → (panels, groups, outputs of a panel, inputs of a group), padded with 0."""
    side, depth = panel
    inputs, outputs = matrix.shape
    padded = np.pad(matrix.T, ((0, -outputs % side), (0, -inputs % depth)))
    groups = padded.shape[1] // depth
    return padded.reshape(-1, side, groups, depth).transpose(0, 2, 1, 3)


def quantize_columns(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantizes a matrix to int8 within ±127, and returns it with a float32 scale for each column."""
    scale = np.abs(matrix).max(axis=0).astype(np.float32) / np.float32(127)
    steps = np.divide(matrix, scale, out=np.zeros_like(matrix), where=scale > 0)
    return np.clip(np.rint(steps), -127, 127).astype(np.int8), scale


# === Dictionaries ===


def pack_dictionary(words: dict[bytes, int]) -> bytes:
    """Packs words and their ids, sorted by bytes; a word leaves out the prefix it shares with the last.

    Raises:
        BeexError: a word has more than 255 bytes.
    """
    entries, places, before = bytearray(), [], b""
    for index, word in enumerate(sorted(words)):
        if len(word) > _MAX_WORD_BYTES:
            shown = word[:20].decode("utf-8", "replace")
            problem = f"has {len(word)} bytes, but a .beex file takes {_MAX_WORD_BYTES}"
            raise BeexError(f"The token '{shown}…' {problem}; remove it from the vocabulary.")
        if index % _WORDS_PER_BLOCK == 0:
            places.append(len(entries))
            before = b""
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(before, word, strict=False))
        shared = len(list(alike))
        entries += bytes((shared, len(word) - shared)) + _varint(words[word]) + word[shared:]
        before = word
    start = 4 + 4 * len(places)
    return struct.pack(f"<{1 + len(places)}I", len(words), *(start + p for p in places)) + entries


def unpack_dictionary(data: bytes) -> dict[bytes, int]:
    """The inverse of `pack_dictionary`."""
    (count,) = struct.unpack_from("<I", data)
    place, word, words = 4 + 4 * -(-count // _WORDS_PER_BLOCK), b"", {}
    for _ in range(count):
        shared, rest = data[place], data[place + 1]
        number, shift, place = 0, 0, place + 2
        while True:
            number |= (data[place] & 127) << shift
            shift, place = shift + 7, place + 1
            if data[place - 1] < 128:
                break
        word = word[:shared] + data[place : place + rest]
        place += rest
        words[word] = number
    return words


def _varint(number: int) -> bytes:
    """Groups of 7 bits, the lowest first; the highest bit of a byte says that another follows."""
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes((*data, number))
