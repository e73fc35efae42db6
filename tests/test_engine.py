"""The C engine against Keras: the same logits, the same exits, the same ids."""

import ctypes
import functools
import random
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    GELU,
    MODES,
    POLICIES,
    built,
    needs_engine,
    once,
    random_ids,
    shake,
    tiny_config,
)

import beex_keras
from beex_keras import exits, runtime
from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.export.beex import packing
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.runtime import CRunner, KerasRunner, library
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

pytestmark = needs_engine

WORDS = ["a", "b", "good", "un", "##aff", "##able", "##a", "##b", "cafe", "café", "é", "##é", "中",
         "!", ",", "ﬁ", "fi", "##n", "ㄱ", "가", "##ㅏ", "film", "[", "]", "sep"]  # fmt: skip
VOCABULARY = (*SPECIAL_TOKENS, *WORDS)


@once
def build(mode: str = "weights-only", **changes) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    model = BEExformerClassifier(
        tiny_config(**{**MODES[mode], **changes}),
        preprocessor=TextPreprocessor(VOCABULARY, 12),
        policy=exits.Confidence(0.4),
    )
    return shake(model)


def padded_ids(rows: int, length: int = 12, seed: int = 0) -> np.ndarray:
    """Rows of any number of tokens, none at all included, with separators among them."""
    generator = np.random.default_rng(seed)
    ids = random_ids(rows, length, seed=seed)
    ids[generator.random(ids.shape) < 0.1] = 3
    ids[np.arange(length) >= generator.integers(0, length + 1, (rows, 1))] = 0
    return ids


def random_text(generator: random.Random, length: int) -> str:
    """Words of the vocabulary, and characters from all of Unicode."""
    planes = [(0x20, 0x7F)] * 4 + [(0x80, 0x600), (0x600, 0x3000), (0x3000, 0xD800)]
    planes += [(0xE000, 0x10000), (0x10000, 0x30000), (0x30000, 0x110000), (0, 0x20)]
    pieces = []
    for _ in range(length):
        kind = generator.random()
        if kind < 0.4:
            pieces.append(generator.choice(WORDS).removeprefix("##"))
        elif kind < 0.7:
            pieces.append(chr(generator.randrange(*generator.choice(planes))))
        else:
            pieces.append(generator.choice([" ", "́", "a", "É", "\t", "各", "in"]))
    return "x" + "".join(pieces)


# === Equal answers ===


PAIRS = {"num_segments": 2}
SIGMOID = {"gate_activation": "sigmoid", "num_heads": 1}
REAL_TABLE = {"embedding_bits": 32, "num_classes": 2}
WIDE = {"width": 72, "hidden_width": 132, "num_heads": 4}
FFN = {"network": "ffn", "hidden_width": 33}
VARIANTS = [{}, PAIRS, SIGMOID, REAL_TABLE, WIDE, FFN, GELU]
FAST = [
    ("weights-only", PAIRS),
    ("float", SIGMOID),
    ("fully-binary", REAL_TABLE),
    ("float", FFN),
    ("weights-only", WIDE),
    ("weights-only", GELU),
]
"""Every variant once, and every mode."""

SLOW = [(mode, changes) for mode in MODES for changes in VARIANTS if (mode, changes) not in FAST]


@pytest.mark.parametrize(
    ("mode", "changes"),
    [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)],
    ids=str,
)
def test_engine_equals_keras(mode, changes):
    model = build(mode, **changes)
    engine = CRunner(beex_format.convert(model))
    ids = padded_ids(40)
    logits = model(ids).numpy()
    found = engine.exit_logits(ids)
    np.testing.assert_allclose(found, logits, rtol=0, atol=2e-5)
    for policy in POLICIES:
        decided, exits_taken = engine.decide(ids, policy), policy.choose(logits)
        np.testing.assert_array_equal(decided.exits, exits_taken)
        at_exits = logits[np.arange(len(ids)), exits_taken]
        np.testing.assert_allclose(decided.logits, at_exits, rtol=0, atol=2e-5)


@pytest.mark.parametrize("exact_mode", ["w1a8", "fully-binary"])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, marks=[] if changes in (PAIRS, GELU) else pytest.mark.slow)
        for changes in VARIANTS
    ],
    ids=str,
)
def test_what_lies_on_a_grid_equals_keras_to_the_last_bit(changes, exact_mode):
    """The heads are made to show the mean of each block's output, which is on a grid."""
    width = changes.get("width", 12)
    sizes = {**changes, "num_classes": width, "num_blocks": 2}
    model = build.__wrapped__(exact_mode, **sizes)
    for head in model.heads:
        head.dense.set_weights([np.eye(width, dtype=np.float32), np.zeros(width, np.float32)])
    ids = padded_ids(60)
    np.testing.assert_array_equal(CRunner(beex_format.convert(model)).exit_logits(ids), model(ids))


def test_all_kernels_give_the_same_bits(mode):
    data = beex_format.convert(build(mode, **WIDE, num_blocks=1))
    ids = padded_ids(20)
    known = CRunner(data, kernels="portable").exit_logits(ids)
    for name in library.self_test():
        np.testing.assert_array_equal(CRunner(data, kernels=name).exit_logits(ids), known)


def test_threads_change_nothing():
    data = beex_format.convert(build())
    ids = padded_ids(100)
    one, three = CRunner(data), CRunner(data, num_threads=3)
    np.testing.assert_array_equal(one.exit_logits(ids), three.exit_logits(ids))
    texts = [random_text(random.Random(seed), 3) for seed in range(70)]
    assert one.classify(texts, truncate=True) == three.classify(texts, truncate=True)


def test_activations_of_8_bits_are_near():
    model = build()
    ids = padded_ids(40)
    exact, near = (
        CRunner(beex_format.convert(model.with_activations(bits))).exit_logits(ids)
        for bits in (32, 8)
    )
    difference = np.abs(exact - near).max()
    assert 0 < difference < 0.05 * np.abs(exact).max()


def test_padding_inside_a_row_is_left_out():
    model = build()
    ids = random_ids(10, 12)
    ids[:, 3] = ids[:, 7] = 0
    np.testing.assert_allclose(
        CRunner(beex_format.convert(model)).exit_logits(ids), model(ids), rtol=0, atol=2e-5
    )


def test_a_shorter_file_gives_the_same_logits():
    model = build("fully-binary", **REAL_TABLE)
    ids = padded_ids(10)[:, :8]
    short = CRunner(beex_format.convert(model, length=8))
    assert short.length == short.preprocessor.max_length == 8
    np.testing.assert_array_equal(
        short.exit_logits(ids), CRunner(beex_format.convert(model)).exit_logits(ids)
    )


# === Text ===


def tokenizers(lower_case: bool, num_segments: int = 1) -> tuple[TextPreprocessor, CRunner]:
    """tensorflow-text's and ours."""
    model = build(num_segments=num_segments, num_blocks=1)
    preprocessor = TextPreprocessor(VOCABULARY, 12, lower_case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "preprocessor", preprocessor)
        return preprocessor, CRunner(beex_format.convert(model))


@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("count", [200, pytest.param(1500, marks=pytest.mark.slow)])
def test_tokenizer_equals_tensorflow_text(lower_case, pairs, count):
    preprocessor, engine = tokenizers(lower_case, 1 + pairs)
    generator = random.Random(pairs)
    texts = [random_text(generator, generator.choice([1, 4, 12, 60])) for _ in range(count)]
    texts += ["a" * 100, "a" * 101, "é" * 50, "é" * 51, "unaffable" * 12, "[SEP]", "\0 a\0b \0"]
    others = generator.sample(texts, len(texts)) if pairs else None
    ids = preprocessor.encode(texts, others)
    read = list(zip(texts, others, strict=True)) if pairs else texts
    np.testing.assert_array_equal(engine.encode(read), ids)
    assert len(np.unique(ids)) > 20


@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize("step", [61, pytest.param(7, marks=pytest.mark.slow)])
def test_tokenizer_knows_the_first_planes(lower_case, step):
    """Some code points of all regions, between two letters."""
    preprocessor, engine = tokenizers(lower_case)
    codes = [c for c in range(0, 0x30000, step) if not 0xD800 <= c < 0xE000]
    texts = [f"a{chr(c)}b" for c in codes]
    np.testing.assert_array_equal(engine.encode(texts), preprocessor.encode(texts))


def test_vocabulary_order_does_not_matter():
    words = [*SPECIAL_TOKENS, *(f"w{i}" for i in range(40)), *(f"##{i}" for i in range(40)), "w"]
    random.Random(0).shuffle(words)
    words.remove("[PAD]")
    vocabulary = ["[PAD]", *words]
    preprocessor = TextPreprocessor(vocabulary, 12)
    config = tiny_config(
        num_blocks=1, vocabulary_size=len(vocabulary), separator_id=preprocessor.separator_id
    )
    engine = CRunner(beex_format.convert(BEExformerClassifier(config, preprocessor)))
    assert engine.preprocessor.vocabulary == tuple(vocabulary)
    texts = [f"w{i} w{i}{i} {i}" for i in range(60)]
    np.testing.assert_array_equal(engine.encode(texts), preprocessor.encode(texts))


def test_classify_equals_keras():
    model = build(num_segments=2)
    texts = [random_text(random.Random(seed), 4) for seed in range(30)]
    pairs = list(zip(texts, texts[::-1], strict=True))
    keras, engine = KerasRunner(model), CRunner(beex_format.convert(model))
    for policy in (None, *POLICIES):
        ours, theirs = (r.classify(pairs, policy=policy) for r in (engine, keras))
        assert [(p.label, p.exit) for p in ours] == [(p.label, p.exit) for p in theirs]
        assert [p.score for p in ours] == pytest.approx([p.score for p in theirs], abs=1e-5)


@pytest.mark.parametrize("text", ["a " * 20, ("a " * 20, "a")])
def test_long_text_is_refused_in_the_same_words(text):
    model = build() if isinstance(text, str) else build(**PAIRS)
    sentences = []
    for engine in (KerasRunner(model), CRunner(beex_format.convert(model))):
        with pytest.raises(BeexError) as error:
            engine.classify([text], truncate=False)
        sentences.append(str(error.value))
    assert sentences[0] == sentences[1]


def test_without_vocabulary_it_reads_ids_alone():
    model = built(num_blocks=1)
    engine = CRunner(beex_format.convert(model))
    ids = padded_ids(5)
    np.testing.assert_allclose(engine.exit_logits(ids), model(ids), rtol=0, atol=2e-5)
    with pytest.raises(BeexError, match="has no vocabulary"):
        engine.classify(["a"])


# === Files ===


def test_file_keeps_what_python_needs(tmp_path):
    model = build()
    report = beex_format.export_file(model, tmp_path / "m.beex", calibration={"x": 1})
    data = (tmp_path / "m.beex").read_bytes()
    stored = beex_format.read(data)
    assert stored.config == model.config
    assert stored.labels == model.labels
    assert stored.policy == model.policy
    assert stored.preprocessor.get_config() == model.preprocessor.get_config()
    assert stored.calibration == {"x": 1}
    assert report["total"] == len(data)
    engine = beex_keras.load(tmp_path / "m.beex")
    assert isinstance(engine, CRunner)
    assert engine.classify(["good film"])[0].label in model.labels


def test_every_damage_is_noticed():
    data = beex_format.convert(build())
    generator = random.Random(0)
    for _ in range(300):
        damaged = bytearray(data)
        damaged[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
        with pytest.raises(BeexError):
            CRunner(bytes(damaged))
    for size in (0, 3, 20, 200, len(data) - 1):
        with pytest.raises(BeexError):
            CRunner(data[:size])
    with pytest.raises(BeexError, match="should have"):
        CRunner(data + b"\0")


def test_the_engine_checks_for_itself():
    """Files with a right checksum and wrong content, past all that Python checks."""
    data = beex_format.convert(build())
    engine = library.load()
    generator = random.Random(0)
    statuses = set()
    for _ in range(2000):
        damaged = bytearray(data)
        place = generator.randrange(16, 200) // 4 * 4
        value = generator.choice([0, 1, 3, 33, 0x7FFFFFFF, 0xFFFFFFFF, generator.randrange(300)])
        struct.pack_into("<I", damaged, place, value)
        struct.pack_into("<I", damaged, 12, zlib.crc32(bytes(damaged[16:])))
        file = np.frombuffer(bytes(damaged), np.uint8)
        state = np.zeros(engine.beex_model_bytes(), np.uint8)
        statuses.add(engine.beex_open(state.ctypes.data, file.ctypes.data, len(damaged)))
    # Unharmed where the value says nothing, BEEX_ERROR_CONTENT, or BEEX_ERROR_WEIGHTS of sizes that move them.
    assert statuses == {library.OK, 3, 12}


def test_other_versions_are_refused():
    data = bytearray(beex_format.convert(build()))
    for version in (2, 3, 99):
        struct.pack_into("<I", data, 4, version)
        with pytest.raises(BeexError, match=f"format {version}.*convert the model again"):
            CRunner(bytes(data))


def test_dictionary_is_its_own_inverse():
    generator = random.Random(0)
    words = {bytes(generator.choices(b"abc", k=generator.randrange(1, 9))): i for i in range(300)}
    assert packing.unpack_dictionary(packing.pack_dictionary(words)) == words
    assert packing.unpack_dictionary(packing.pack_dictionary({})) == {}


@pytest.mark.parametrize("shape", [(1, 1), (64, 8), (65, 9), (130, 17), (12, 12)])
def test_packing_puts_each_weight_where_the_format_says(shape):
    negative = np.random.default_rng(0).random(shape) < 0.5
    inputs, outputs = shape
    binary, real = packing.pack_signs(negative, True), packing.pack_signs(negative, False)
    assert binary.shape == (-(-outputs // 8), -(-inputs // 64), 8)
    assert real.shape == (-(-outputs // 16), -(-inputs // 4), 1)
    for i in range(inputs):
        for o in range(outputs):
            assert int(binary[o // 8, i // 64, o % 8]) >> i % 64 & 1 == negative[i, o]
            assert int(real[o // 16, i // 4, 0]) >> (o % 16 * 4 + i % 4) & 1 == negative[i, o]
    assert sum(bin(word).count("1") for word in binary.ravel().tolist()) == negative.sum()


@pytest.mark.parametrize("kind", [*MODES, "int8"])
@pytest.mark.parametrize("network", [{}, FFN], ids=str)
def test_memory_is_known_at_export(kind, network):
    int8 = kind == "int8"
    model = build("float" if int8 else kind, num_blocks=1, **network)
    engine = library.load()
    for length in (3, 7, 12):
        data = beex_format.convert(model, length=length, int8_weights=int8)
        file, state = np.frombuffer(data, np.uint8), np.zeros(engine.beex_model_bytes(), np.uint8)
        assert engine.beex_open(state.ctypes.data, file.ctypes.data, len(data)) == library.OK
        expected = beex_format.arena_size(model.config, length, int8)
        assert engine.beex_arena_size(ctypes.c_void_p(state.ctypes.data)) == expected


def test_micro_fits_a_small_board():
    config = BEExformerConfig.preset("micro", activation_bits=1)
    assert beex_format.arena_size(config, 64) <= 42 * 1024


def test_memory_does_not_change_the_results(mode):
    """With the least memory 8 of the tokens are taken at a time, with more all of them."""
    model = build(mode, max_length=30, width=24, num_heads=8, num_blocks=1)
    data, ids = beex_format.convert(model), random_ids(3, 29)
    np.testing.assert_array_equal(
        logits_with(data, ids, "beex_arena_size"), logits_with(data, ids, "beex_best_arena_size")
    )
    np.testing.assert_allclose(
        logits_with(data, ids, "beex_arena_size"), model(ids), rtol=0, atol=2e-5
    )


def logits_with(data: bytes, ids: np.ndarray, size: str) -> np.ndarray:
    """Logits of all exits by an engine with as much memory as the library's function says."""
    engine = library.load()
    file = np.frombuffer(data, np.uint8)
    model, state = (
        np.zeros(bytes() // 8 + 1, np.uint64)
        for bytes in (engine.beex_model_bytes, engine.beex_engine_bytes)
    )
    at = [ctypes.c_void_p(array.ctypes.data) for array in (model, state, file, ids)]
    assert engine.beex_open(at[0], at[2], len(data)) == library.OK
    memory = np.full(getattr(engine, size)(at[0]) // 8, 0x7FC00000FFFFFFFF, np.uint64)
    place = ctypes.c_void_p(memory.ctypes.data)
    start = functools.partial(engine.beex_start_named, at[1], at[0], place)
    assert start(engine.beex_arena_size(at[0]) - 8, b"") == 6  # BEEX_ERROR_MEMORY
    assert start(memory.nbytes, b"") == library.OK
    config = beex_format.read(data).config
    exits_taken, done = np.zeros(len(ids), np.int32), ctypes.c_size_t()
    logits = np.zeros((len(ids), config.num_blocks, config.num_classes), np.float32)
    policy = library.Policy(beex_format.POLICY_KINDS.index("fixed_depth"), 0, config.num_blocks)
    results = [ctypes.c_void_p(array.ctypes.data) for array in (exits_taken, logits)]
    status = engine.beex_run_rows(
        at[1], at[3], *ids.shape, ctypes.byref(policy), *results, ctypes.byref(done)
    )
    assert status == library.OK
    return logits


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(BeexError, match="length"):
        beex_format.convert(build(), length=13)
    model = build.__wrapped__(num_blocks=1)
    model.labels = ("a", "b\0", "c", "d")
    with pytest.raises(BeexError, match="NUL"):
        beex_format.convert(model)
    large = build.__wrapped__("fully-binary", num_blocks=2)
    large.backbone.blocks[1].attention.key.alpha.assign_add(100.0 * tf.ones(12))
    with pytest.raises(BeexError, match="block_2/attention are too large"):
        beex_format.convert(large)
    with pytest.raises(BeexError, match="255"):
        packing.pack_dictionary({b"x" * 256: 0})


def test_mistakes_are_named(monkeypatch, tmp_path):
    data = beex_format.convert(build())
    with pytest.raises(BeexError, match="kernels 'mmx'"):
        CRunner(data, kernels="mmx")
    with pytest.raises(BeexError, match="num_threads"):
        CRunner(data, num_threads=0)
    with pytest.raises(BeexError, match="no model"):
        runtime.load(tmp_path / "none.beex")
    monkeypatch.setattr(library, "path", lambda: tmp_path / "missing")
    library.load.cache_clear()
    with pytest.raises(BeexError, match="C compiler"):
        CRunner(data)
    library.load.cache_clear()
