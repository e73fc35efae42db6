"""The ``.beex`` file of the C engine; docs/beex_format.md describes it byte by byte.

Written here and read by ``tflite/engine/model.c``; what Python needs of a file (configuration,
labels, policy, vocabulary) is read here too.
"""

from beex_keras.export.beex.decoding import classifier, read, verify
from beex_keras.export.beex.encoding import convert, export_file
from beex_keras.export.beex.header import NETWORKS, POLICY_KINDS, read_header
from beex_keras.export.beex.sizes import arena_size, weights_size

__all__ = [
    "NETWORKS",
    "POLICY_KINDS",
    "arena_size",
    "classifier",
    "convert",
    "export_file",
    "read",
    "read_header",
    "verify",
    "weights_size",
]
