"""MiniLM, binarized before any task: the packaged start of binary students.

A binary model has to learn two things: the task, and to do with signs what its teacher does with numbers. The
second takes far more text than a task of few labels has, and is the same for all tasks. So it is done once,
by `tools/binary_minilm.py`, from the outputs of MiniLM's layers alone.

Source: our reading; a general step before that of the task as TinyBERT (Jiao et al., 2020).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beex_keras.export import beex
from beex_keras.export.description import Metadata
from beex_keras.models.config import BEExformerConfig
from beex_keras.training.transfer import can_start

NAME = "binary-minilm"

FILE = Path(__file__).with_name("binary_minilm.beex")
"""A weights-only model of preset "minilm"; its exits have learned nothing."""

LABELS = "[unused0]", "[unused1]"
"""The labels of that model, which no task has, so that no task starts from its exits."""

_SAMPLE = 1_000
"""How many texts show whether it knows their language."""

_CUT, _ENGLISH = 1 / 4, 1 / 25
"""Texts are in another language if the first share of tokens or more is unknown or the rest of a word that is
cut, and less than the second is in `_ENGLISH_WORDS`. Neither is enough: jargon is cut, and keywords have no articles."""

_ENGLISH_WORDS = ("the", "of", "and", "to", "is", "that", "for", "with", "are", "this")


def fits(model: BEExformerConfig) -> bool:
    """Whether a model can start from it, with its whole vocabulary."""
    own = _description().config
    return own.vocabulary_size <= model.vocabulary_size and can_start(own, model)


def knows_language(texts: Sequence[str]) -> bool:
    """Whether most of these texts are in English, the only language that it knows.

    Other languages are cut into many pieces by its vocabulary, or unknown to it, and lack English articles and
    prepositions. Source: our reading.
    """
    preprocessor = _description().preprocessor
    assert preprocessor is not None
    ids = preprocessor.encode(texts[:: -(-len(texts) // _SAMPLE)], truncate=True)
    tokens = np.array(preprocessor.vocabulary)[ids]
    tokens = tokens[~np.isin(tokens, ("[PAD]", "[CLS]", "[SEP]"))]
    cut = np.char.startswith(tokens, "##") | (tokens == "[UNK]")
    english = np.isin(tokens, _ENGLISH_WORDS)
    return bool(cut.sum() < _CUT * cut.size or english.sum() >= _ENGLISH * cut.size)


def _description() -> Metadata:
    return beex.read(FILE.read_bytes(), str(FILE))


def fingerprint() -> str:
    """16 hexadecimal digits that change with the file."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()[:16]
