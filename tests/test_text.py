"""Vocabularies and the preprocessor, against a plain-Python WordPiece."""

import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from beex_keras import BeexError
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor, learn_vocabulary, read_vocabulary
from beex_keras.text.learning import split_words

CORPUS = [
    "the film is a moving, funny and often surprising portrait of a family .",
    "the plot is thin and the jokes are unfunny ; the film is a bore .",
    "a charming journey , and often moving",
    "it's neither funny nor moving -- it is a mess",
    "surprisingly good : a portrait of the artist's family",
    "boring , plotless and badly acted ( again )",
] * 4
ODD_TEXTS = [
    "The Film IS Moving!",
    "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u1ec7 film",
    "film\u4e2d\u6587film \u3042 film\u3400\U00020002bore",
    "\u00bd \ufb01lm stra\u00dfe \uff46ilm",
    "a,b.c;d--e 'f' \u201cfilm\u201d \u2026 \u00bfplot?",
    "  film\t\tis\n\na\u00a0bore\u3000. ",
    "zebra \U0001f600 film\U0001f600 \ufffd",
    "$5 + 7 = 12 < 13 ^ ` ~ |",
    "filmfilmfilm unfilmable movingly",
    "x" * 100,
    "x" * 101,
    "[CLS] film [SEP] [UNK] [PAD] [MASK] ##ing",
]


@pytest.fixture(scope="module")
def vocabulary():
    return learn_vocabulary(CORPUS, 300)


def python_words(text, lower_case=True):
    if lower_case:
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        text = unicodedata.normalize("NFD", text)
        text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    spaced = ""
    for c in text:
        alone = (
            (c.isascii() and c.isprintable() and not c.isalnum() and c != " ")
            or unicodedata.category(c).startswith("P")
            or 0x3400 <= ord(c) <= 0x4DBF
            or 0x4E00 <= ord(c) <= 0x9FFF
            or 0x20000 <= ord(c) <= 0x2A6DF
        )
        spaced += f" {c} " if alone else c
    return spaced.split()


def python_wordpiece(text, vocabulary, lower_case=True):
    ids = {token: number for number, token in enumerate(vocabulary)}
    out = []
    for word in python_words(text, lower_case):
        pieces, start = [], 0
        while start < len(word) and len(word.encode()) <= 100:
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in ids:
                    pieces.append(ids[piece])
                    start = end
                    break
            else:
                break
        out += pieces if start == len(word) else [ids["[UNK]"]]
    return out


def python_rows(texts, pairs, vocabulary, max_length):
    rows = []
    for number, text in enumerate(texts):
        first = python_wordpiece(text, vocabulary)
        if pairs is None:
            row = [2, *first[: max_length - 2], 3]
        else:
            second = python_wordpiece(pairs[number], vocabulary)
            while len(first) + len(second) > max_length - 3:
                (first if len(first) > len(second) else second).pop()
            row = [2, *first, 3, *second, 3]
        rows.append(row + [0] * (max_length - len(row)))
    return rows


def random_texts(count, seed):
    rng = random.Random(seed)
    words = " ".join(CORPUS + ODD_TEXTS[:7]).split()
    return [
        " ".join(
            rng.choice(words) if rng.random() < 0.8 else rng.choice(words)[: rng.randint(1, 5)]
            for _ in range(rng.randint(1, 25))
        )
        for _ in range(count)
    ]


# --- vocabulary ---


def test_learned_vocabulary_has_special_tokens_first_and_no_duplicates(vocabulary):
    assert tuple(vocabulary[:5]) == SPECIAL_TOKENS
    assert len(set(vocabulary)) == len(vocabulary)
    assert {"film", "moving", "the"} <= set(vocabulary)


@pytest.mark.parametrize("size", [20, 60, 100, 150, 100_000])
def test_learned_vocabulary_never_exceeds_its_size(size):
    assert 5 < len(learn_vocabulary(CORPUS, size)) <= size


def test_learned_vocabulary_fills_its_size_where_the_corpus_allows():
    assert len(learn_vocabulary(CORPUS, 100)) >= 95


def test_learned_vocabulary_spells_every_training_word():
    small = learn_vocabulary(CORPUS, 80)
    unknown = SPECIAL_TOKENS.index("[UNK]")
    assert unknown not in TextPreprocessor(small, 128).encode(CORPUS)


def test_learned_vocabulary_does_not_depend_on_the_order_of_the_texts(vocabulary):
    shuffled = random.Random(1).sample(CORPUS, len(CORPUS))
    assert learn_vocabulary(iter(shuffled), 300) == vocabulary


def test_learned_vocabulary_keeps_case_on_request():
    assert "Film" in learn_vocabulary(["Film FILM Film FILM"] * 5, 50, lower_case=False)


def test_words_are_split_as_by_the_reference():
    for lower_case in (True, False):
        words = split_words(ODD_TEXTS, lower_case).to_list()
        assert [[w.decode() for w in row] for row in words] == [
            python_words(text, lower_case) for text in ODD_TEXTS
        ]


@pytest.mark.parametrize("texts", [[], ["  ", "\u200b"]])
def test_a_vocabulary_needs_words(texts):
    with pytest.raises(BeexError, match="no words"):
        learn_vocabulary(texts, 100)


def test_a_vocabulary_needs_room():
    with pytest.raises(BeexError, match="no room"):
        learn_vocabulary(CORPUS, 6)
    with pytest.raises(BeexError, match="No word fits"):
        learn_vocabulary(CORPUS, 8)


def test_a_vocabulary_is_not_learned_from_one_string():
    with pytest.raises(BeexError, match="list of texts"):
        learn_vocabulary("the film", 100)


def test_a_vocabulary_file_gives_back_what_was_written(tmp_path, vocabulary):
    for newline in ("\n", "\r\n"):
        file = tmp_path / "vocab.txt"
        file.write_bytes((newline.join(vocabulary) + newline).encode())
        assert read_vocabulary(file) == vocabulary
    file.write_text("\n".join(vocabulary))
    assert read_vocabulary(file) == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[PAD]\n[UNK]\n[CLS]\na\n", r"lacks \[SEP\]"),
        (b"a\n[PAD]\n[UNK]\n[CLS]\n[SEP]\n", r"begin with \[PAD\]"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n", "'a' 2 times"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", "special tokens alone"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n\nb\n", "no token on line 5"),
        (b"[PAD]\n[UNK]\n\xff\n", "not valid UTF-8"),
        (b"", "no token on line 1"),
    ],
)
def test_bad_vocabulary_files_are_explained(tmp_path, content, message):
    file = tmp_path / "vocab.txt"
    file.write_bytes(content)
    with pytest.raises(BeexError, match=message):
        read_vocabulary(file)
    with pytest.raises(BeexError):
        read_vocabulary(tmp_path)
    with pytest.raises(BeexError):
        read_vocabulary(tmp_path / "none.txt")


# --- preprocessor ---


def test_single_texts_equal_the_reference(vocabulary):
    texts = ODD_TEXTS + random_texts(300, seed=2)
    ids = TextPreprocessor(vocabulary, 24).encode(texts)
    assert ids.dtype == np.int32
    assert ids.tolist() == python_rows(texts, None, vocabulary, 24)


@pytest.mark.parametrize("max_length", [3, 4, 7, 16, 33])
def test_pairs_equal_the_reference(vocabulary, max_length):
    texts, pairs = random_texts(200, seed=3), random_texts(200, seed=4)
    ids = TextPreprocessor(vocabulary, max_length).encode(texts, pairs)
    assert ids.tolist() == python_rows(texts, pairs, vocabulary, max_length)


def test_cased_texts_equal_the_reference():
    cased = learn_vocabulary(["The Film is Good", "the film Is good"] * 5, 100, lower_case=False)
    text = "The film IS Good, caf\u00e9"
    row = TextPreprocessor(cased, 32, lower_case=False).encode([text])[0]
    assert row[row > 0].tolist() == [2, *python_wordpiece(text, cased, lower_case=False), 3]


def test_the_graph_gives_the_same_ids(vocabulary):
    texts, pairs = random_texts(50, seed=5), random_texts(50, seed=6)
    preprocessor = TextPreprocessor(vocabulary, 20)
    dataset = tf.data.Dataset.from_tensor_slices((texts, pairs)).batch(16)
    single = dataset.map(lambda text, pair: preprocessor(text))
    double = dataset.map(preprocessor)
    assert single.element_spec.shape.as_list() == [None, 20]
    assert np.array_equal(np.concatenate(list(single)), preprocessor.encode(texts))
    assert np.array_equal(np.concatenate(list(double)), preprocessor.encode(texts, pairs))


def test_a_preprocessor_made_inside_a_graph_works_outside(vocabulary):
    made = []

    @tf.function
    def build():
        made.append(TextPreprocessor(vocabulary, 8))
        return made[0](tf.constant(["the film"]))

    inside = build()
    assert np.array_equal(inside, made[0].encode(["the film"]))


def test_chunks_do_not_show(vocabulary):
    texts = random_texts(20, seed=7) * 250
    ids = TextPreprocessor(vocabulary, 12).encode(texts)
    assert ids.shape == (5000, 12)
    assert np.array_equal(ids, np.tile(ids[:20], (250, 1)))


def test_special_tokens_in_a_text_are_plain_text(vocabulary):
    for lower_case in (True, False):
        preprocessor = TextPreprocessor(vocabulary, 64, lower_case=lower_case)
        row = preprocessor.encode(["[CLS] film [SEP] [MASK] [PAD] [sep]"])[0]
        used = row[row > 0]
        assert (used[0], used[-1]) == (2, 3)
        assert not set(used[1:-1].tolist()) & {0, 2, 3, 4}


def test_lengths_are_those_of_the_whole_texts(vocabulary):
    texts, pairs = random_texts(30, seed=8), random_texts(30, seed=9)
    preprocessor, long = TextPreprocessor(vocabulary, 5), TextPreprocessor(vocabulary, 500)
    for second in (None, pairs):
        expected = (long.encode(texts, second) != 0).sum(axis=1)
        assert np.array_equal(preprocessor.lengths(texts, second), expected)


def test_no_texts_give_no_rows(vocabulary):
    assert TextPreprocessor(vocabulary, 9).encode([]).shape == (0, 9)


def test_a_config_gives_an_equal_preprocessor(vocabulary):
    preprocessor = TextPreprocessor(vocabulary, 17, lower_case=False, truncate=False)
    config = tf.keras.saving.serialize_keras_object(preprocessor)
    restored = tf.keras.saving.deserialize_keras_object(config)
    assert restored.get_config() == preprocessor.get_config()
    text = ["The film, moving"]
    assert np.array_equal(restored.encode(text), preprocessor.encode(text))


def test_special_ids_come_from_the_vocabulary():
    given = ["[PAD]", "film", "[SEP]", "[UNK]", "[CLS]"]
    preprocessor = TextPreprocessor(given, 5)
    assert (preprocessor.separator_id, preprocessor.padding_id) == (2, 0)
    assert preprocessor.vocabulary_size == 5
    assert preprocessor.encode(["film plot"]).tolist() == [[4, 1, 3, 2, 0]]


@pytest.mark.parametrize(
    ("texts", "pairs", "message"),
    [
        (["film", ""], None, "Text 2 is empty"),
        (["film", " \n"], None, "Text 2 is empty"),
        (["film"], [""], "Second text 1 is empty"),
        ([None], None, "Text 1 is of type NoneType"),
        ([b"film"], None, "Text 1 is of type bytes"),
        (["film", "\ud800"], None, "Text 2 is not valid Unicode"),
        ("film", None, "put it in a list"),
        (["film"], "plot", "put it in a list"),
        (["film", "plot"], ["film"], "2 texts came with 1 second texts"),
    ],
)
def test_unusable_texts_are_explained(vocabulary, texts, pairs, message):
    with pytest.raises(BeexError, match=message):
        TextPreprocessor(vocabulary, 16).encode(texts, pairs)


def test_long_texts_are_refused_unless_they_may_be_cut(vocabulary):
    texts = ["the film", "the " * 10_000]
    message = "Text 2 has 10,002 tokens, the model reads 16: shorten it"
    with pytest.raises(BeexError, match=message):
        TextPreprocessor(vocabulary, 16, truncate=False).encode(texts)
    preprocessor = TextPreprocessor(vocabulary, 16)
    assert preprocessor.encode(texts).shape == (2, 16)
    with pytest.raises(BeexError, match=message):
        preprocessor.check(texts, None, False)
    with pytest.raises(BeexError, match="Pair 2 has 10,005 tokens"):
        preprocessor.check(texts, ["film", "a film"], truncate=False)
    preprocessor.check(texts, None, True)


def test_a_preprocessor_needs_a_sound_vocabulary_and_length(vocabulary):
    with pytest.raises(BeexError, match="lacks"):
        TextPreprocessor(["[PAD]", "film"], 16)
    with pytest.raises(BeexError, match="at least 3"):
        TextPreprocessor(vocabulary, 2)


def test_whole_words_alone():
    texts = ["the good film", "The good, plot", "a film once"]
    vocabulary = learn_vocabulary(texts, 100, use_subwords=False)
    assert vocabulary == [*SPECIAL_TOKENS, "film", "good", "the"]
    ids = TextPreprocessor(vocabulary, 6).encode(["the once film"])
    assert ids.tolist() == [[2, 7, 1, 5, 3, 0]]
    assert learn_vocabulary(texts, 7, use_subwords=False) == vocabulary[:7]
