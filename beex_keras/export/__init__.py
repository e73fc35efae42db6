"""Export of a classifier to one ``.tflite`` file for Larq Compute Engine."""

import dataclasses
import os
from typing import Any

from beex_keras.export import flatbuffer, freeze, fuse, lce, metadata, onebit, tidy
from beex_keras.export.audit import AuditReport, audit, audit_model, binary_matrices
from beex_keras.export.flatbuffer import ByteAccount
from beex_keras.export.metadata import Metadata
from beex_keras.export.naming import name_tensors
from beex_keras.files import write_atomically
from beex_keras.models import BEExformerClassifier

__all__ = [
    "AuditReport",
    "ByteAccount",
    "Metadata",
    "account",
    "audit",
    "binary_matrices",
    "convert",
    "export_file",
]


def convert(
    classifier: BEExformerClassifier,
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
) -> bytes:
    """The classifier as a `.tflite` file: audited, named, with all that prediction needs.

    Every binary weight takes one bit.

    Input ``token_ids`` int32 (1, T), output ``exit_logits`` float32 (1, N, C), with a signature of
    the same names. Float32 twins convert too.

    Args:
        classifier: the model; preprocessor, labels and exit policy go into the file.
        length: T; `config.max_length` if None. A shorter graph is faster and reads less text.
        calibration: figures of the policy's calibration, to be kept with it (JSON values).

    Raises:
        BeexError: Larq Compute Engine is missing or fails, `length` does not fit, or a layer that
            is binary by its configuration did not come out binary.
    """
    parts = freeze.freeze_parts(classifier, length)
    model = flatbuffer.parse(lce.convert_function(freeze.all_exits(parts)))
    flatbuffer.remove_barriers(model)
    fuse.fuse(model)
    onebit.pack_tables(model)
    onebit.pack_kernels(model)
    tidy.share_buffers(model)
    tidy.drop_empty_quantization(model)
    report = audit_model(model, classifier.config, binary_matrices(classifier))
    name_tensors(model, report.tensors)
    metadata.attach(model, metadata.describe(classifier, parts.length, calibration))
    return metadata.seal(flatbuffer.pack(model))


def export_file(
    classifier: BEExformerClassifier,
    path: str | os.PathLike[str],
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Writes `convert`'s file to `path`, whole or not at all, and says where its bytes go.

    Returns:
        The figures of its `ByteAccount`, by name.

    Raises:
        BeexError: as `convert`, or the file cannot be written.
    """
    data = convert(classifier, length, calibration)
    write_atomically(path, data)
    return dataclasses.asdict(account(data))


def account(data: bytes) -> ByteAccount:
    """Where the bytes of a converted file go, the vocabulary's apart."""
    return flatbuffer.account(data, metadata.VOCABULARY_ENTRY)
