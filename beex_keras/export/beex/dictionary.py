"""A vocabulary's words, sorted, each as what it adds to the one before."""

import struct
from itertools import takewhile

from beex_keras.errors import BeexError

_WORDS_A_BLOCK = 16
_LONGEST_WORD = 255


def pack_dictionary(words: dict[bytes, int]) -> bytes:
    """Words and their ids, sorted by their bytes, each stored as what it adds to the one before."""
    entries, places, before = bytearray(), [], b""
    for index, word in enumerate(sorted(words)):
        if len(word) > _LONGEST_WORD:
            shown = word[:20].decode("utf-8", "replace")
            problem = f"has {len(word)} bytes, but a .beex file takes {_LONGEST_WORD}"
            raise BeexError(f"The token '{shown}…' {problem}; remove it from the vocabulary.")
        if index % _WORDS_A_BLOCK == 0:
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
    place, word, words = 4 + 4 * -(-count // _WORDS_A_BLOCK), b"", {}
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
    """Groups of 7 bits, the lowest first; the highest bit says that another follows."""
    data = bytearray()
    while number > 127:
        data.append(number & 127 | 128)
        number >>= 7
    return bytes((*data, number))
