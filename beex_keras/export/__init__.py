"""Export of a classifier to ``.tflite`` files for Larq Compute Engine."""

from beex_keras.export.audit import AuditReport, audit, binary_matrices
from beex_keras.export.byte_account import ByteAccount, account
from beex_keras.export.conversion import convert, convert_segments
from beex_keras.export.files import export_file
from beex_keras.export.metadata import EXITS, Metadata

__all__ = [
    "EXITS",
    "AuditReport",
    "ByteAccount",
    "Metadata",
    "account",
    "audit",
    "binary_matrices",
    "convert",
    "convert_segments",
    "export_file",
]
