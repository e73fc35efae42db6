from .conversion import convert, export_file, file_sizes
from .decoding import classifier
from .header import NETWORKS, POLICY_KINDS, read_header
from .reading import read, verify
from .rewriting import rewrite
from .sizes import arena_size, weights_size

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
    "verify",
    "weights_size",
]
