"""MiniLM, binarized before any task: the packaged start of binary students.

A binary model has to learn two things: the task, and to do with signs what its teacher does with numbers. The
second takes far more text than a task of few labels has, and is the same for all tasks. So it is done once,
by `tools/binary_minilm.py`, from the outputs of MiniLM's layers alone.

Source: our reading; a general step before that of the task as TinyBERT (Jiao et al., 2020).
"""

import hashlib
from pathlib import Path

NAME = "binary-minilm"

FILE = Path(__file__).with_name("binary_minilm.beex")
"""A weights-only model of preset "minilm"; its exits have learned nothing."""

LABELS = "[unused0]", "[unused1]"
"""The labels of that model, which no task has, so that no task starts from its exits."""


def fingerprint() -> str:
    """16 hexadecimal digits that change with the file."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()[:16]
