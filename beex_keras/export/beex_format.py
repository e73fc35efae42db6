"""The ``.beex`` file of the C engine; docs/beex_format.md describes it byte by byte.

Written here and read by ``tflite/engine/model.c``; what Python needs of a file (configuration,
labels, policy, vocabulary) is read here too.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export.audit import EMBEDDING, BinaryMatrix, binary_matrices
from beex_keras.export.freeze import checked_length
from beex_keras.export.metadata import Metadata, describe
from beex_keras.files import write_atomically
from beex_keras.layers import BinaryLinear, LayerNorm
from beex_keras.layers.grid import ATTENTION_BITS, WEIGHT_BITS
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.text import TextPreprocessor

MAGIC = b"BEEX"
FORMAT_VERSION = 2

NETWORKS = ("slfn", "ffn")
"""What stands behind the attention, in the order of the numbers in a file."""

POLICY_KINDS = ("fractional_entropy", "entropy", "confidence", "patience", "fixed_depth")
"""The policies in the order of their numbers in a file."""

BINARY_PANEL = 8
REAL_PANEL = 16
INT8_PANEL = 16
PADDING = 16
ALIGNMENT = 64
_WORDS_A_BLOCK = 16
_LONGEST_WORD = 255
_LEAST_ROWS = 8

_FIELDS = (
    "arena_size", "vocabulary_size", "length", "num_segments", "separator_id", "width",
    "num_heads", "hidden_width", "network", "num_blocks", "num_classes", "weight_bits",
    "activation_bits", "embedding_bits", "sigmoid_gate", "attention_scale", "policy", "below", "threshold",
    "has_vocabulary", "lower_case", "unknown_id", "classification_id", "text_length", "weights",
    "labels", "labels_size", "words", "words_size", "pieces", "pieces_size", "metadata",
    "metadata_size",
)  # fmt: skip
_REAL_FIELDS = ("attention_scale", "threshold")
_HEADER = struct.Struct(
    "<4sIII" + "".join("f" if name in _REAL_FIELDS else "I" for name in _FIELDS)
)
_CHECKED_FROM = 16
"""The checksum covers everything behind it."""

NETWORK_PARTS = {
    "slfn": ("gate_in", "content_in", "gate_out", "content_out"),
    "ffn": ("up", "down"),
}

_Matrices = Mapping[str, BinaryMatrix]


# === Writing ===


def convert(
    classifier: BEExformerClassifier,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> bytes:
    """The classifier as a ``.beex`` file.

    Args:
        classifier: the model; preprocessor, labels and exit policy go into the file.
        length: the most tokens it reads; `config.max_length` if None. Fewer take less memory.
        calibration: figures of the policy's calibration, to be kept with it (JSON values).
        int8_weights: store the matrices of a float32 model in 8 bits, with a scale for each output;
            the engine then quantizes their inputs too, token by token.

    Raises:
        BeexError: `length` does not fit, a label or token cannot be stored, or 8 bits are asked for
            where weights are binary.
    """
    config = classifier.config
    if int8_weights and config.weight_bits == 1:
        raise BeexError(
            "The model's weights are binary, and take 1 bit; leave out int8 weights, or convert a "
            "model that was trained with --bits float."
        )
    length = checked_length(config, length)
    metadata = describe(classifier, length, calibration)
    values = architecture(config, length) | _policy(metadata.policy)
    if int8_weights:
        values["weight_bits"], values["embedding_bits"] = 8, min(8, config.embedding_bits)
    writer = _Writer(_HEADER.size, int8_weights)
    values["weights"] = writer.align()
    matrices = binary_matrices(classifier)
    _write_embedding(writer, classifier, matrices, length)
    for number, block in enumerate(classifier.backbone.blocks, start=1):
        _write_block(writer, block, f"block_{number}", matrices, length)
        head = classifier.heads[number - 1].dense
        writer.put(head.kernel.numpy())
        writer.channels(head.bias)
    values |= writer.section("labels", _pack_labels(metadata.labels))
    values |= _write_vocabulary(writer, metadata.preprocessor)
    values |= writer.section("metadata", _pack_metadata(metadata))
    values["arena_size"] = arena_size(config, length, int8_weights)
    body = bytes(writer.data)
    size = len(body)
    fields = [values[name] for name in _FIELDS]
    header = _HEADER.pack(MAGIC, FORMAT_VERSION, size, 0, *fields)
    data = header + body[_HEADER.size :]
    checksum = struct.pack("<I", zlib.crc32(data[_CHECKED_FROM:]))
    return data[: _CHECKED_FROM - 4] + checksum + data[_CHECKED_FROM:]


def export_file(
    classifier: BEExformerClassifier,
    path: str | os.PathLike[str],
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> dict[str, int]:
    """Writes `convert`'s file to `path`, whole or not at all.

    Returns:
        Bytes of the file, of its weights and of its vocabulary, and the memory that the engine
        needs to run it.

    Raises:
        BeexError: as `convert`, or the file cannot be written.
    """
    data = convert(classifier, length, calibration, int8_weights)
    write_atomically(path, data)
    values = read_header(data)
    return {
        "total": len(data),
        "weights": values["labels"] - values["weights"],
        "vocabulary": values["words_size"] + values["pieces_size"],
        "arena": values["arena_size"],
    }


class _Writer:
    """Bytes so far; each part begins at a multiple of 64."""

    def __init__(self, reserved: int, int8_weights: bool = False) -> None:
        self.data = bytearray(reserved)
        self.int8_weights = int8_weights

    def align(self) -> int:
        self.data += bytes(-len(self.data) % ALIGNMENT)
        return len(self.data)

    def put(self, array: np.ndarray) -> None:
        """An array as it is, little-endian."""
        self.align()
        self.data += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self.align()

    def channels(self, values: Any) -> None:
        """A float of each channel, with zeros up to the padding."""
        values = np.asarray(values, np.float32)
        self.put(np.pad(values, (0, -len(values) % PADDING)))

    def section(self, name: str, content: bytes) -> dict[str, int]:
        """A part that the header names: its place and size."""
        start = self.align()
        self.data += content
        return {name: start, f"{name}_size": len(content)}


def architecture(config: BEExformerConfig, length: int) -> dict[str, Any]:
    """The header's fields that follow from the configuration."""
    names = ("vocabulary_size", "num_segments", "separator_id", "width", "num_heads",
             "hidden_width", "num_blocks", "num_classes", "weight_bits", "activation_bits",
             "embedding_bits")  # fmt: skip
    return {
        **{name: getattr(config, name) for name in names},
        "length": length,
        "network": NETWORKS.index(config.network),
        "sigmoid_gate": int(config.gate_activation == "sigmoid"),
        "attention_scale": (config.width // config.num_heads) ** -0.5,
    }


def _policy(policy: exits.ExitPolicy) -> dict[str, Any]:
    name = exits.serialize(policy)["name"]
    return {
        "policy": POLICY_KINDS.index(name),
        "below": int(policy.below),
        "threshold": float(np.float32(policy.threshold)),
    }


def _write_embedding(
    writer: _Writer, classifier: BEExformerClassifier, matrices: _Matrices, length: int
) -> None:
    embedding = classifier.backbone.embedding
    if EMBEDDING in matrices:
        writer.put(_pack_words(matrices[EMBEDDING].signs < 0))
        writer.channels(embedding.token.scale)
    elif writer.int8_weights:
        table, scale = quantize_columns(embedding.token.table.numpy())
        writer.put(table)
        writer.channels(scale)
    else:
        writer.put(embedding.token.table.numpy())
    writer.put(embedding.positions.numpy()[:length])
    if embedding.num_segments > 1:
        writer.put(embedding.segment.numpy())
    _write_norm(writer, embedding.normalization)


def _write_block(writer: _Writer, block: Any, name: str, matrices: _Matrices, length: int) -> None:
    attention = block.attention
    if attention.query.activation_bits == 1:
        _check_range(attention, name, length)
    for linear in (attention.query, attention.key, attention.value, attention.project):
        _write_linear(writer, linear, matrices.get(f"{name}/attention/{linear.name}"))
    _write_norm(writer, block.attention_norm)
    network = block.network()
    for part in NETWORK_PARTS[network.name]:
        _write_linear(
            writer, network.linears()[part], matrices.get(f"{name}/{network.name}/{part}")
        )
    _write_norm(writer, block.slfn_norm)


def _check_range(attention: Any, name: str, length: int) -> None:
    """Raises if whole numbers of the engine's attention could overflow, whatever the signs."""
    limits = {}
    for linear in (attention.query, attention.key, attention.value):
        scale, bias = (np.abs(linear.on_grid(values)) for values in (linear.alpha, linear.bias))
        limits[linear.name] = (attention.width * scale + bias) * 2.0**ATTENTION_BITS
    scores = (limits["query"] * limits["key"]).reshape(attention.num_heads, -1).sum(axis=1)
    context = length * limits["value"] * 2.0**WEIGHT_BITS
    if max(map(np.max, limits.values())) > 32767 or max(scores.max(), context.max()) >= 2**31:
        raise BeexError(
            f"The scales of {name}/attention are too large for the whole numbers of the engine; "
            "convert the model to .tflite."
        )


def _write_norm(writer: _Writer, norm: LayerNorm) -> None:
    writer.channels(norm.gamma)
    writer.channels(norm.beta)


def _write_linear(writer: _Writer, linear: BinaryLinear, matrix: BinaryMatrix | None) -> None:
    if matrix is None and writer.int8_weights:
        weights, scale = quantize_columns(linear.kernel.numpy()[0, 0])
        writer.put(pack_int8(weights))
        writer.channels(scale)
    elif matrix is None:
        writer.put(linear.kernel.numpy()[0, 0])
    else:
        pack = pack_binary if linear.activation_bits == 1 else pack_real
        writer.put(pack(matrix.signs < 0))
        writer.channels(matrix.scale)
    writer.channels(linear.on_grid(linear.bias))


def _pack_words(bits: np.ndarray) -> np.ndarray:
    """bool (rows, n) → uint64 (rows, ⌈n/64⌉), bit i of word w from column 64 w + i."""
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 64)))
    packed = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8")


def pack_binary(negative: np.ndarray) -> np.ndarray:
    """bool (inputs, outputs) → uint64 (panels, words, 8): word by word, 8 outputs side by side."""
    words = _pack_words(np.pad(negative.T, ((0, -negative.shape[1] % BINARY_PANEL), (0, 0))))
    return words.reshape(-1, BINARY_PANEL, words.shape[1]).transpose(0, 2, 1)


def pack_real(negative: np.ndarray) -> np.ndarray:
    """bool (inputs, outputs) → uint64 (panels, groups): 16 outputs of 4 inputs each in a word."""
    inputs, outputs = negative.shape
    padded = np.pad(negative.T, ((0, -outputs % REAL_PANEL), (0, -inputs % 4)))
    groups = padded.reshape(-1, REAL_PANEL, padded.shape[1] // 4, 4).transpose(0, 2, 1, 3)
    return _pack_words(groups.reshape(-1, 4 * REAL_PANEL)).reshape(len(padded) // REAL_PANEL, -1)


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


def _pack_labels(labels: Iterable[str]) -> bytes:
    for label in labels:
        if "\0" in label:
            raise BeexError(f"The label {label!r} holds a NUL character; rename it.")
    return b"".join(label.encode("utf-8") + b"\0" for label in labels)


def _pack_metadata(metadata: Metadata) -> bytes:
    """JSON of what the C engine has no use for."""
    preprocessor = None
    if metadata.preprocessor is not None:
        preprocessor = {**metadata.preprocessor.get_config()}
        del preprocessor["vocabulary"]
    values = {
        "versions": metadata.versions,
        "config": metadata.config.to_dict(),
        "policy": exits.serialize(metadata.policy),
        "preprocessor": preprocessor,
        "calibration": metadata.calibration,
    }
    try:
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BeexError(
            f"The calibration figures cannot be stored as JSON ({error}); give plain finite "
            "numbers, strings, lists and dictionaries."
        ) from None
    return text.encode("utf-8")


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


def round_up(value: int, multiple: int) -> int:
    """The least multiple that is not below the value."""
    return -(-value // multiple) * multiple


# === Vocabulary ===


def _write_vocabulary(writer: _Writer, preprocessor: TextPreprocessor | None) -> dict[str, int]:
    if preprocessor is None:
        names = ("has_vocabulary", "lower_case", "unknown_id", "classification_id", "text_length",
                 "words", "words_size", "pieces", "pieces_size")  # fmt: skip
        return dict.fromkeys(names, 0)
    words: dict[bytes, int] = {}
    pieces: dict[bytes, int] = {}
    for number, token in enumerate(preprocessor.vocabulary):
        is_piece = token.startswith("##") and len(token) > 2
        (pieces if is_piece else words)[token[2 * is_piece :].encode("utf-8")] = number
    return {
        "has_vocabulary": 1,
        "lower_case": int(preprocessor.lower_case),
        "unknown_id": preprocessor.vocabulary.index("[UNK]"),
        "classification_id": preprocessor.classification_id,
        "text_length": preprocessor.max_length,
        **writer.section("words", pack_dictionary(words)),
        **writer.section("pieces", pack_dictionary(pieces)),
    }


def pack_dictionary(words: dict[bytes, int]) -> bytes:
    """Words and their ids, sorted by their bytes, each stored as what it adds to the one before."""
    entries, places, before = bytearray(), [], b""
    for index, word in enumerate(sorted(words)):
        if len(word) > _LONGEST_WORD:
            raise BeexError(
                f"The token '{word[:20].decode('utf-8', 'replace')}…' has {len(word)} bytes, but a "
                f".beex file takes {_LONGEST_WORD}; remove it from the vocabulary."
            )
        if index % _WORDS_A_BLOCK == 0:
            places.append(len(entries))
            before = b""
        shared = len(
            list(takewhile(lambda pair: pair[0] == pair[1], zip(before, word, strict=False)))
        )
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


# === Reading ===


def read(data: bytes, source: str = "The model") -> Metadata:
    """Verifies a file and returns what Python needs of it.

    Raises:
        BeexError: it is not a ``.beex`` file of a version that this release reads, or damaged.
    """
    verify(data, source)
    try:
        values = read_header(data)

        def section(name: str) -> bytes:
            return data[values[name] : values[name] + values[f"{name}_size"]]

        stored = json.loads(section("metadata").decode("utf-8"))
        preprocessor = stored["preprocessor"]
        if preprocessor is not None:
            words = unpack_dictionary(section("words"))
            pieces = unpack_dictionary(section("pieces"))
            tokens = {number: word.decode("utf-8") for word, number in words.items()}
            tokens |= {number: "##" + word.decode("utf-8") for word, number in pieces.items()}
            vocabulary = [tokens[number] for number in range(len(tokens))]
            preprocessor = TextPreprocessor.from_config({**preprocessor, "vocabulary": vocabulary})
        return Metadata(
            config=BEExformerConfig.from_dict(stored["config"]),
            length=values["length"],
            labels=tuple(section("labels").decode("utf-8").split("\0")[:-1]),
            policy=exits.deserialize(stored["policy"]),
            preprocessor=preprocessor,
            calibration=stored["calibration"],
            versions=stored["versions"],
        )
    except BeexError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error


def verify(data: bytes, source: str) -> None:
    """Checks, without interpreting the content, that the file is ours, whole and undamaged.

    Raises:
        BeexError: it is not.
    """
    if data[:4] != MAGIC:
        raise BeexError(
            f"{source} is not a .beex file; give one that `beex convert --format beex` wrote."
        )
    if len(data) < _HEADER.size:
        raise BeexError(f"{source} is cut short; copy the file again or convert the model again.")
    _, version, size, checksum = struct.unpack_from("<4sIII", data)
    if version != FORMAT_VERSION:
        raise BeexError(
            f"{source} has format {version}, but this release reads format {FORMAT_VERSION}; convert "
            "the model again, by this release."
        )
    if len(data) != size:
        raise BeexError(
            f"{source} has {len(data):,} bytes and should have {size:,}; copy the file again or "
            "convert the model again."
        )
    if zlib.crc32(data[_CHECKED_FROM:]) != checksum:
        raise BeexError(
            f"{source} is damaged: its checksum does not match its content; copy the file again or "
            "convert the model again."
        )


def read_header(data: bytes) -> dict[str, Any]:
    """The header's fields by name, as they are, without any check."""
    return dict(zip(_FIELDS, _HEADER.unpack_from(data)[4:], strict=True))
