"""MiniLM, binarized before any task: the packaged starts of binary students.

A binary model has to learn two things: the task, and to do with signs what its teacher does with numbers. The
second takes far more text than a task of few labels has, and is the same for all tasks. So it is done once,
by `tools/binary_minilm.py`, from the outputs of MiniLM's layers alone.

A model of pairs has to learn a third thing, to compare both texts, and MiniLM has only ever read one at a time. So pairs
have a start of their own, by `tools/binary_minilm_pairs.py`: it went on from the first, and learned how alike the
embeddings of two texts are.

Source: our reading; a general step before that of the task as TinyBERT (Jiao et al., 2020).
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from beex_keras.data.task import Split
from beex_keras.export import beex
from beex_keras.export.description import Metadata
from beex_keras.models.config import BEExformerConfig
from beex_keras.text import TextPreprocessor
from beex_keras.training.transfer import can_start

NAME = "binary-minilm"

PAIRS_NAME = "binary-minilm-pairs"

FILES = {
    NAME: Path(__file__).with_name("binary_minilm.beex"),
    PAIRS_NAME: Path(__file__).with_name("binary_minilm_pairs.beex"),
}
"""Weights-only models of preset "minilm"; their exits have learned nothing."""

LENGTH = 256
"""How many tokens a model reads by default where `are_long`. These starts read 512, as MiniLM does, but that takes long."""

LABELS = "[unused0]", "[unused1]"
"""The labels of these models, which no task has, so that no task starts from their exits."""

_SAMPLE = 1_000
"""How many texts show whether they are long, and whether it knows their language."""

_LONG = 1 / 4
"""Texts are long if at least this share of them has more tokens than a model of the preset reads."""

_CUT, _ENGLISH = 1 / 4, 1 / 25
"""Texts are in another language if two signs agree. At least the first share of their tokens is unknown, or the rest of
a word that is cut; and less than the second share is in `_ENGLISH_WORDS`. One sign is not enough: medical terms are cut,
and search queries have no function words."""

_ENGLISH_WORDS = ("the", "of", "and", "to", "is", "that", "for", "with", "are", "this")


def name_for(is_pair: bool) -> str:
    """The name of the start for single texts or for pairs."""
    return PAIRS_NAME if is_pair else NAME


def fits(model: BEExformerConfig) -> bool:
    """Whether a model can start from either, with its whole vocabulary."""
    own = _description().config
    return own.vocabulary_size <= model.vocabulary_size and can_start(own, model)


def are_long(split: Split) -> bool:
    """Whether these texts, or these pairs, are too long for a model of the preset.

    Source: our reading.
    """
    step = -(-len(split) // _SAMPLE)
    pairs = None if split.pairs is None else split.pairs[::step]
    lengths = _preprocessor().lengths(split.texts[::step], pairs)
    return bool((lengths > BEExformerConfig.preset("minilm").max_length).mean() >= _LONG)


def knows_language(texts: Sequence[str]) -> bool:
    """Whether most of these texts are in English, the only language that they know.

    Their vocabulary cuts or lacks many words of other languages, and those have no English function words.
    Source: our reading.
    """
    preprocessor = _preprocessor()
    ids = preprocessor.encode(texts[:: -(-len(texts) // _SAMPLE)], truncate=True)
    tokens = np.array(preprocessor.vocabulary)[ids[ids != 0]]  # without padding
    tokens = tokens[~np.isin(tokens, ("[CLS]", "[SEP]"))]
    cut = np.char.startswith(tokens, "##") | (tokens == "[UNK]")
    english = np.isin(tokens, _ENGLISH_WORDS)
    return bool(cut.sum() < _CUT * cut.size or english.sum() >= _ENGLISH * cut.size)


def _preprocessor() -> TextPreprocessor:
    preprocessor = _description().preprocessor
    assert preprocessor is not None
    return preprocessor


def _description() -> Metadata:
    """That of the first; both are of one shape and vocabulary."""
    return _read(FILES[NAME])


@functools.lru_cache(maxsize=1)  # a training asks more than once
def _read(file: Path) -> Metadata:
    return beex.read(file.read_bytes(), str(file))
