"""From a classifier to the bytes of a file."""

from collections.abc import Iterable
from typing import Any

from beex_keras.errors import BeexError
from beex_keras.export.beex.dictionary import pack_dictionary
from beex_keras.export.beex.header import HEADER, architecture, policy_fields, seal, value_fields
from beex_keras.export.beex.parts import Writer
from beex_keras.export.beex.sizes import arena_size
from beex_keras.export.beex.weights import write_weights
from beex_keras.export.description import checked_length, describe, to_json, to_values
from beex_keras.models import BEExformerClassifier
from beex_keras.text import TextPreprocessor

METADATA = ("versions", "config", "policy", "preprocessor", "calibration")
"""What of the metadata is JSON; all else the engine reads too."""


def encode(
    classifier: BEExformerClassifier,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> bytes:
    """Encodes a classifier as `convert` does."""
    config = classifier.config
    if int8_weights and config.precision.is_binary:
        advice = "leave out int8 weights, or convert a model that was trained with --bits float"
        raise BeexError(f"The model's weights are binary, and take 1 bit; {advice}.")
    length = checked_length(config, length)
    metadata = describe(classifier, length, calibration)
    values = architecture(config, length) | policy_fields(metadata.policy)
    values |= value_fields(metadata.value_scale)
    values["exact"] = int(config.activation_bits == 8)
    if int8_weights:
        values |= {"weight_bits": 8, "activation_bits": 8}
        values["embedding_bits"] = min(8, config.embedding_bits)
    writer = Writer(HEADER.size, int8_weights)
    values["weights"] = writer.align()
    write_weights(writer, classifier, length)
    values |= writer.section("labels", _pack_labels(metadata.labels))
    values |= _write_vocabulary(writer, metadata.preprocessor)
    stored = to_values(metadata)
    values |= writer.section("metadata", to_json({n: stored[n] for n in METADATA}))
    values["arena_size"] = arena_size(config, length, int8_weights)
    return seal(values, bytes(writer.data))


def _pack_labels(labels: Iterable[str]) -> bytes:
    for label in labels:
        if "\0" in label:
            raise BeexError(f"The label {label!r} holds a NUL character; rename it.")
    return b"".join(label.encode("utf-8") + b"\0" for label in labels)


def _write_vocabulary(writer: Writer, preprocessor: TextPreprocessor | None) -> dict[str, int]:
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
        **writer.section("words", pack_dictionary(words)),
        **writer.section("pieces", pack_dictionary(pieces)),
    }
