from . import beex, mcu
from .description import EXITS, Metadata
from .matrices import binary_matrices
from .tflite import metadata
from .tflite.audit import audit
from .tflite.converter import convert, convert_segments, export_file
from .tflite.file_sizes import file_sizes

__all__ = [
    "EXITS",
    "Metadata",
    "audit",
    "beex",
    "binary_matrices",
    "convert",
    "convert_segments",
    "export_file",
    "file_sizes",
    "mcu",
    "metadata",
]
