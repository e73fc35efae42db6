from .format import NETWORKS, POLICY_KINDS, read_header
from .reader import classifier, read
from .sizes import arena_size, file_sizes, weights_size
from .writer import convert, export_file, rewrite

__all__ = [
    "NETWORKS",
    "POLICY_KINDS",
    "arena_size",
    "classifier",
    "convert",
    "export_file",
    "file_sizes",
    "read",
    "read_header",
    "rewrite",
    "weights_size",
]
