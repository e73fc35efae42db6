"""Properties of the C tokenizer, on texts and vocabularies that hypothesis makes up."""

import functools

import numpy as np
import pytest
from conftest import needs_engine, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st

from beex_keras.export import beex as beex_format
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import CRunner
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

pytestmark = needs_engine

LENGTH = 24
WORDS = ["a", "b", "un", "##aff", "##able", "##a", "é", "##é", "cafe", "café", "中", "!", "fi", "ﬁ",
         "##n", "가", "ㄱ", "##ㅏ", "ss", "ß", "[", "]", "sep", "i", "##i", "ı"]  # fmt: skip

repeatable = functools.partial(settings, derandomize=True, deadline=None, database=None)


def examples(fast: int, slow: int):
    """So many, and again many more among the slow tests."""
    return pytest.mark.parametrize("count", [fast, pytest.param(slow, marks=pytest.mark.slow)])


# Any Unicode, and what words of the vocabulary, accents and spaces make of it.
characters = st.characters(exclude_categories=("Cs",))
fragments = st.one_of(
    st.sampled_from([word.removeprefix("##") for word in WORDS]),
    st.text(characters, max_size=4),
    st.sampled_from([" ", "\t", "\u00a0", "\u200b", "\u0301", "\u0345", "\ufffd", "\0", "A", "İ"]),
)
texts = st.lists(fragments, min_size=1, max_size=40).map("".join).filter(str.strip)


@functools.cache
def engine(lower_case: bool, segments: int = 1) -> tuple[TextPreprocessor, CRunner]:
    return of_vocabulary((*SPECIAL_TOKENS, *WORDS), lower_case, segments)


def of_vocabulary(
    vocabulary: tuple[str, ...], lower_case: bool, segments: int = 1
) -> tuple[TextPreprocessor, CRunner]:
    preprocessor = TextPreprocessor(vocabulary, LENGTH, lower_case)
    model = classifier(segments)
    model.preprocessor = preprocessor
    return preprocessor, CRunner(beex_format.convert(model))


@functools.cache
def classifier(segments: int) -> BEExformerClassifier:
    return BEExformerClassifier(
        tiny_config(max_length=LENGTH, num_segments=segments, num_blocks=1, width=3)
    )


@examples(8, 50)
def test_ids_equal_tensorflow_texts(count):
    @repeatable(max_examples=count)
    @given(st.lists(texts, min_size=1, max_size=20), st.booleans())
    def check(generated, lower_case):
        preprocessor, runner = engine(lower_case)
        np.testing.assert_array_equal(runner.encode(generated), preprocessor.encode(generated))

    check()


@examples(6, 25)
def test_pairs_are_cut_alike(count):
    @repeatable(max_examples=count)
    @given(st.lists(st.tuples(texts, texts), min_size=1, max_size=10), st.booleans())
    def check(generated, lower_case):
        preprocessor, runner = engine(lower_case, segments=2)
        pairs = [list(column) for column in zip(*generated, strict=True)]
        np.testing.assert_array_equal(runner.encode(generated), preprocessor.encode(*pairs))

    check()


letters = st.text("abcé中ﬁ!", min_size=1, max_size=6)
tokens = st.one_of(letters, letters.map("##{}".format))


@examples(4, 12)
def test_any_vocabulary_gives_the_same_ids(count):
    @repeatable(max_examples=count)
    @given(
        st.lists(tokens, min_size=1, max_size=40, unique=True),
        st.lists(st.text("abcé中ﬁ! A", min_size=1, max_size=30).filter(str.strip), min_size=5),
        st.booleans(),
    )
    def check(words, generated, lower_case):
        # tensorflow-text wants one token that can occur; "a!" cannot: "!" is a word of its own.
        vocabulary = tuple(dict.fromkeys((*SPECIAL_TOKENS, "a", *words)))
        preprocessor, runner = of_vocabulary(vocabulary, lower_case)
        assert runner.preprocessor.vocabulary == preprocessor.vocabulary
        np.testing.assert_array_equal(runner.encode(generated), preprocessor.encode(generated))

    check()
