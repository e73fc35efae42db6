"""Writes a ``.beex`` file from a Keras classifier, or from another file without TensorFlow."""

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export.beex import format as layout
from beex_keras.export.beex import packing
from beex_keras.export.beex.format import HEADER, MAX_REAL, check_range, read_header, section
from beex_keras.export.beex.reader import read
from beex_keras.export.beex.sizes import arena_size, file_sizes, weight_sizes
from beex_keras.export.description import checked_length, describe, to_json, to_values
from beex_keras.files import write_atomically
from beex_keras.text import TextPreprocessor

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier

_METADATA = ("versions", "config", "policy", "preprocessor", "calibration")
"""The metadata that a file stores as JSON; header and sections hold the rest, for the engine too."""


def convert(
    model: "BEExformerClassifier | bytes",
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> bytes:
    """Converts a model to a ``.beex`` file.

    Args:
        model: a classifier, whose preprocessor, labels and exit policy go into the file; or the bytes
            of a ``.beex`` file, which need no TensorFlow.
        length: the largest number of tokens that the file reads; the model's if None. Fewer tokens
            need less memory.
        calibration: figures of the policy's calibration, stored with it (JSON values).
        int8_weights: store the matrices of a float32 classifier in 8 bits, with a scale for each
            output; the engine then quantizes their inputs too, token by token.

    Raises:
        BeexError: `length` does not fit, a label or token cannot be stored, a weight is not finite
            or too large, `int8_weights` is given for binary weights or for a file, or the bytes are
            no ``.beex`` file.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> shorter = beex.export.beex.convert(data, length=32)
        >>> beex.export.beex.read(shorter).length
        32
    """
    if not isinstance(model, bytes):
        return _encode(model, length, calibration, int8_weights)
    if int8_weights:
        fix = "give the run folder that it was converted from"
        raise BeexError(f"The weights of a .beex file stay as they are; {fix}.")
    return rewrite(model, length=length, calibration=calibration)


def export_file(
    model: "BEExformerClassifier | bytes",
    path: str | os.PathLike[str],
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> dict[str, int]:
    """Writes the file that `convert` returns to `path`, whole or not at all.

    Returns:
        The file's `file_sizes`.

    Raises:
        BeexError: as `convert`, or the file cannot be written.

    Example:
        >>> sizes = beex.export.beex.export_file(beex.BEExformerClassifier.from_pretrained("toy"), "toy.beex")
        >>> sorted(sizes)
        ['arena', 'total', 'vocabulary', 'weights']
    """
    data = convert(model, length, calibration, int8_weights)
    write_atomically(path, data)
    return file_sizes(data)


def rewrite(
    data: bytes,
    source: str = "The model",
    length: int | None = None,
    policy: exits.ExitPolicy | None = None,
    calibration: dict[str, Any] | None = None,
    activations: int | None = None,
) -> bytes:
    """Changes the length, exit policy or activations of a file, and keeps its weights.

    The result equals the file that `convert` makes of the same classifier with these arguments.

    Args:
        data: a ``.beex`` file.
        source: the file's name in errors.
        length: the largest number of tokens that the new file reads, at most the old file's.
        policy: the new file's exit policy; the old one's if None.
        calibration: figures of that policy's calibration, stored with it (JSON values).
        activations: 32 or 8, the bits of the new file's activations, for a weights-only model; the
            old file's if None.

    Raises:
        BeexError: the file is not ours or damaged, or `length` or `policy` does not fit.

    Example:
        >>> path = beex.pretrained.find("sst2-micro")
        >>> shorter = beex.export.beex.rewrite(path.read_bytes(), length=32)
        >>> beex.export.beex.read(shorter).length
        32
    """
    metadata, values = read(data, source), read_header(data)
    config = metadata.config
    if activations is not None:
        config = config.with_activations(activations)
        values |= {"activation_bits": activations, "exact": int(activations == 8)}
    policy = policy or metadata.policy
    exits.check(policy, config.problem_type)
    length = checked_length(config.replace(max_length=metadata.length), length)
    int8 = values["weight_bits"] == 8
    stored = json.loads(section(data, values, "metadata"))
    stored |= {"policy": exits.serialize(policy), "calibration": calibration}
    stored["config"]["activation_bits"] = config.activation_bits
    if values["has_vocabulary"]:
        values["text_length"] = min(values["text_length"], length)
        stored["preprocessor"]["max_length"] = values["text_length"]

    body = _Body()
    start = values["weights"]
    values["weights"] = body.align()
    # Only the table of positions becomes shorter: its first rows are kept.
    new_sizes = weight_sizes(config, length, int8)
    for old, new in zip(weight_sizes(config, metadata.length, int8), new_sizes, strict=True):
        body.data += data[start : start + new]
        start += old
    for name in ("labels", "words", "pieces"):
        if values[name]:
            values |= body.section(name, section(data, values, name))
    values |= body.section("metadata", to_json(stored))
    values |= layout.policy_fields(policy)
    memory = arena_size(config, length, int8, exact=bool(values["exact"]))
    values |= {"length": length, "arena_size": memory}
    return layout.seal(values, bytes(body.data))


def _encode(
    classifier: "BEExformerClassifier",
    length: int | None,
    calibration: dict[str, Any] | None,
    int8_weights: bool,
) -> bytes:
    config = classifier.config
    if int8_weights and config.precision.is_binary:
        advice = "leave out int8 weights, or convert a model that was trained with --bits float"
        raise BeexError(f"The model's weights are binary, and take 1 bit; {advice}.")
    length = checked_length(config, length)
    metadata = describe(classifier, length, calibration)
    values = layout.architecture_fields(config, length) | layout.policy_fields(metadata.policy)
    values |= layout.value_scale_fields(metadata.value_scale)
    values["exact"] = int(config.activation_bits == 8)
    if int8_weights:
        values |= {"weight_bits": 8, "activation_bits": 8}
        values["embedding_bits"] = min(8, config.embedding_bits)
    body = _Body()
    values["weights"] = body.align()
    _write_weights(body, classifier, length, int8_weights)
    for label in metadata.labels:
        if "\0" in label:
            raise BeexError(f"The label {label!r} holds a NUL character; rename it.")
    labels = "".join(f"{label}\0" for label in metadata.labels)
    values |= body.section("labels", labels.encode("utf-8"))
    values |= _write_vocabulary(body, metadata.preprocessor)
    stored = to_values(metadata)
    values |= body.section("metadata", to_json({name: stored[name] for name in _METADATA}))
    values["arena_size"] = arena_size(config, length, int8_weights)
    return layout.seal(values, bytes(body.data))


class _Body:
    """The bytes of a file under construction, with room for the header; parts are aligned."""

    def __init__(self) -> None:
        self.data = bytearray(HEADER.size)

    def align(self) -> int:
        self.data += bytes(-len(self.data) % layout.ALIGNMENT)
        return len(self.data)

    def array(self, array: np.ndarray, name: str = "", most: float = MAX_REAL) -> None:
        """Appends an array, little-endian; `check_range` checks floats, and errors call them `name`."""
        if array.dtype == np.float32:
            check_range(array, name, most)
        self.align()
        self.data += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        self.align()

    def channels(self, values: Any, name: str, most: float = MAX_REAL) -> None:
        """Appends a channel vector, padded with zeros."""
        values = np.asarray(values, np.float32)
        self.array(np.pad(values, (0, -len(values) % layout.CHANNEL_MULTIPLE)), name, most)

    def section(self, name: str, content: bytes) -> dict[str, int]:
        """Appends bytes, and returns the header fields that locate them."""
        start = self.align()
        self.data += content
        return {name: start, f"{name}_size": len(content)}


def _write_vocabulary(body: _Body, preprocessor: TextPreprocessor | None) -> dict[str, int]:
    if preprocessor is None:
        return {}
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
        **body.section("words", packing.pack_dictionary(words)),
        **body.section("pieces", packing.pack_dictionary(pieces)),
    }


def _write_weights(
    body: _Body, classifier: "BEExformerClassifier", length: int, int8_weights: bool
) -> None:
    from beex_keras.export import matrices

    fully_binary = classifier.config.precision.is_fully_binary
    if fully_binary:
        matrices.check_attention_range(classifier, length)
    for weight in matrices.file_weights(classifier):
        values, is_table = weight.stored(), weight.layout == matrices.TABLE
        if weight.layout == matrices.CHANNELS:
            body.channels(values, weight.name)
        elif weight.latent_scale is not None:
            bits = values < 0
            packed = packing.pack_bits(bits) if is_table else packing.pack_signs(bits, fully_binary)
            body.array(packed)
        elif int8_weights and weight.layout != matrices.FLOATS:
            name = weight.name.removesuffix("/kernel")
            check_range(values, name, 127 * layout.MAX_INT8_SCALE)
            quantized, scale = packing.quantize_columns(values)
            body.array(quantized if is_table else packing.pack_int8(quantized))
            body.channels(scale, f"{name}/scale", layout.MAX_INT8_SCALE)
        else:
            is_position = weight.name == matrices.POSITION
            body.array(values[:length] if is_position else values, weight.name)
