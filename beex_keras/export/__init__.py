"""Export of a classifier to ``.tflite`` and ``.beex`` files and to C projects.

What stands here is about ``.tflite`` files; `beex_keras.export.beex` and `beex_keras.export.mcu` have
the rest.
"""

from beex_keras.export.binary_matrices import binary_matrices
from beex_keras.export.description import EXITS, Metadata
from beex_keras.export.tflite import metadata
from beex_keras.export.tflite.audit import audit
from beex_keras.export.tflite.converter import convert, convert_segments, export_file
from beex_keras.export.tflite.file_sizes import file_sizes

__all__ = [
    "EXITS",
    "Metadata",
    "audit",
    "binary_matrices",
    "convert",
    "convert_segments",
    "export_file",
    "file_sizes",
    "metadata",
]
