from . import beex, mcu
from .description import EXITS, Metadata
from .files import convert
from .matrices import binary_matrices
from .tflite import metadata
from .tflite.audit import audit
from .tflite.convert import to_tflite
from .tflite.sizes import file_sizes

__all__ = [
    "EXITS",
    "Metadata",
    "audit",
    "beex",
    "binary_matrices",
    "convert",
    "file_sizes",
    "mcu",
    "metadata",
    "to_tflite",
]
