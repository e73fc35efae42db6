"""Writes the C tokenizer's Unicode tables, `tflite/engine/unicode_tables.h`.

    python tools/make_unicode_tables.py

The tables say of each code point what tensorflow-text's `FastBertTokenizer` makes of it. They are
asked from the tokenizer itself, code point by code point, and not computed from the Unicode
database: its Unicode version, and its few deviations from the standard, are then right by
construction. Whether each code point's treatment depends on it alone is checked here too.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_text as tf_text

OUTPUT = Path(__file__).parents[1] / "tflite" / "engine" / "unicode_tables.h"
HANGUL = range(0xAC00, 0xD7A4)
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
_CHUNK = 1 << 16

# The pieces of "a", the character and "a", with a vocabulary of [UNK], "a" and "##a" (0, 1, 2).
_VOCABULARY = ["[UNK]", "a", "##a"]
_SPACE, _ALONE = (1, 1), (1, 0, 1)

# How an entry is coded, in its highest bits; the tokenizer decodes it.
TO_CODE_POINT, TO_STRING, TO_NOTHING = range(3)


def normalized(lower_case: bool) -> dict[int, str]:
    """What becomes of each code point that does not stay itself."""
    normalizer = tf_text.FastBertNormalizer(lower_case_nfd_strip_accents=lower_case)
    found = {}
    for start in range(0, len(CODE_POINTS), _CHUNK):
        part = CODE_POINTS[start : start + _CHUNK]
        texts = normalizer.normalize([chr(c) for c in part]).numpy()
        for code, text in zip(part, texts, strict=True):
            if text.decode("utf-8") != chr(code):
                found[code] = text.decode("utf-8")
    return found


def pieces(lower_case: bool) -> dict[int, tuple[int, ...]]:
    """The pieces of each code point between two letters."""
    tokenizer = tf_text.FastBertTokenizer(
        _VOCABULARY, token_out_type=tf.int32, lower_case_nfd_strip_accents=lower_case
    )
    found = {}
    for start in range(0, len(CODE_POINTS), _CHUNK):
        part = CODE_POINTS[start : start + _CHUNK]
        rows = tokenizer.tokenize([f"a{chr(c)}a" for c in part]).to_list()
        found.update({code: tuple(row) for code, row in zip(part, rows, strict=True)})
    return found


def predict(text: str, spaces: set[int], alone: set[int]) -> tuple[int, ...]:
    """The pieces of a normalized text, from the classes of its characters."""
    words = [""]
    for character in text:
        if ord(character) in spaces:
            words.append("")
        elif ord(character) in alone:
            words += [character, ""]
        else:
            words[-1] += character
    result: list[int] = []
    for word in filter(None, words):
        result += [1] + [2] * (len(word) - 1) if set(word) == {"a"} else [0]
    return tuple(result)


def ranges(codes: set[int]) -> list[list[int]]:
    """First and last of each run of successive code points."""
    found: list[list[int]] = []
    for code in sorted(codes):
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def fold_entries(mapping: dict[int, str]) -> tuple[list[tuple[int, int]], bytes]:
    """Entries (first code point, coded rule), and the pool of the strings they name.

    Hangul syllables are left out: they come apart by arithmetic.
    """
    entries, strings, pool = [], {}, b""
    done = set(HANGUL)
    for code in sorted(mapping):
        if code in done:
            continue
        text = mapping[code]
        if text == "":
            count = 1
            while mapping.get(code + count) == "":
                count += 1
            done.update(range(code, code + count))
            entries.append((code, TO_NOTHING << 30 | count))
        elif len(text) == 1:
            count, stride, increment = longest_run(mapping, code, done)
            done.update(range(code, code + count * stride, stride))
            flags = (stride == 2) << 22 | (increment == 0) << 21
            entries.append((code, TO_CODE_POINT << 30 | (count - 1) << 24 | flags | ord(text)))
        else:
            data = text.encode("utf-8")
            if data not in strings:
                strings[data] = len(pool)
                pool += data
            entries.append((code, TO_STRING << 30 | len(data) << 24 | strings[data]))
    return entries, pool


def longest_run(mapping: dict[int, str], code: int, done: set[int]) -> tuple[int, int, int]:
    """How many code points from `code` follow one rule: their count, stride and increment.

    Only runs with nothing else between their ends: entries must not overlap, or a search for the
    last entry at or before a code point could find the wrong one.
    """
    best = (1, 1, 1)
    for stride, increment in ((1, 1), (1, 0), (2, 2)):
        count = 1
        while count < 64:
            following = code + count * stride
            expected = ord(mapping[code]) + count * increment
            if following in done or mapping.get(following) != chr(expected):
                break
            if stride == 2 and following - 1 in mapping:
                break
            count += 1
        if count > best[0]:
            best = (count, stride, increment)
    return best


def array(kind: str, name: str, values: list[str]) -> str:
    lines, line = [], ""
    for value in values:
        if len(line) + len(value) + 2 > 96:
            lines.append(line.rstrip())
            line = ""
        line += f"{value}, "
    lines.append(line.rstrip())
    body = "\n".join(f"    {line}" for line in lines)
    return f"static const {kind} {name}[] = {{\n{body}\n}};\n"


def range_array(name: str, codes: set[int]) -> str:
    values = [f"{{0x{first:x}, 0x{last:x}}}" for first, last in ranges(codes)]
    return array("beex_range", name, values)


def main() -> None:
    lower, cased = normalized(True), normalized(False)
    classes = pieces(False)
    assert set(cased.values()) == {" "}, "without lower-casing only controls change"
    spaces = {c for c, found in classes.items() if found == _SPACE and c not in cased}
    alone = {c for c, found in classes.items() if found == _ALONE}
    for mapping, found in ((lower, pieces(True)), (cased, classes)):
        for code, expected in found.items():
            text = f"a{mapping.get(code, chr(code))}a"
            assert predict(text, spaces, alone) == expected, f"U+{code:04X} depends on more"
    for code in HANGUL:
        syllable = code - HANGUL.start
        jamo = [0x1100 + syllable // 588, 0x1161 + syllable % 588 // 28]
        if syllable % 28:
            jamo.append(0x11A7 + syllable % 28)
        assert lower[code] == "".join(map(chr, jamo))

    entries, pool = fold_entries(lower)
    starts = [sum(code >> 16 < plane for code, _ in entries) for plane in range(18)]
    OUTPUT.write_text(
        "/* Written by tools/make_unicode_tables.py; do not edit. */\n"
        "#ifndef BEEX_UNICODE_TABLES_H\n#define BEEX_UNICODE_TABLES_H\n\n"
        "#include <stdint.h>\n\n"
        "typedef struct {\n  uint32_t first, last;\n} beex_range;\n\n"
        "/* Code points that separate words. */\n"
        + range_array("beex_spaces", spaces)
        + "\n/* More of them, in texts whose case is kept; otherwise the table of folds has them. */\n"
        + range_array("beex_controls", set(cased))
        + "\n/* Code points that are a word each: punctuation and CJK. */\n"
        + range_array("beex_alone", alone)
        + "\n/* What lower-casing and stripping of accents make of a code point, Hangul apart: entries\n"
        " * of plane p from beex_fold_plane[p] on, by the lower 16 bits of their first code point. */\n"
        + array("uint16_t", "beex_fold_plane", [str(start) for start in starts])
        + array("uint16_t", "beex_fold_first", [f"0x{code & 0xFFFF:x}" for code, _ in entries])
        + array("uint32_t", "beex_fold_rule", [f"0x{rule:x}u" for _, rule in entries])
        + array("uint8_t", "beex_fold_strings", [str(byte) for byte in pool])
        + "\n#endif\n",
        "utf-8",
    )
    size = 6 * len(entries) + len(pool)
    print(f"{OUTPUT}: {len(entries)} entries, {size:,} bytes")


if __name__ == "__main__":
    main()
