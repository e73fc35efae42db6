from .decoding import classifier
from .encoding import convert, export_file
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
    "read",
    "read_header",
    "rewrite",
    "verify",
    "weights_size",
]
