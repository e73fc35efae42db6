"""MiniLM, binarized before any task: the packaged start of binary students.

A binary model has to learn two things: the task, and to do with signs what its teacher does with numbers. The
second takes far more text than a task of few labels has, and is the same for all tasks. So it is done once,
by `tools/binary_minilm.py`, from the outputs of MiniLM's layers alone.

Source: our reading; a general step before that of the task as TinyBERT (Jiao et al., 2020).
"""

import hashlib
from pathlib import Path

from beex_keras.export import beex
from beex_keras.models.config import BEExformerConfig
from beex_keras.training.transfer import can_start

NAME = "binary-minilm"

FILE = Path(__file__).with_name("binary_minilm.beex")
"""A weights-only model of preset "minilm"; its exits have learned nothing."""

LABELS = "[unused0]", "[unused1]"
"""The labels of that model, which no task has, so that no task starts from its exits."""


def fits(model: BEExformerConfig) -> bool:
    """Whether a model can start from it, with its whole vocabulary."""
    own = beex.read(FILE.read_bytes(), str(FILE)).config
    return own.vocabulary_size <= model.vocabulary_size and can_start(own, model)


def fingerprint() -> str:
    """16 hexadecimal digits that change with the file."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()[:16]
