"""Weights that the engine refuses: such as could become a NaN, and padding that kernels would read."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, needs_engine, random_ids, shake, tiny_config

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import CRunner, library

KINDS = [*MODES, "int8"]
SLOW = pytest.mark.slow
MOST, MOST_INT8_SCALE = 1024.0, 8.0
WEIGHTS = 12  # BEEX_ERROR_WEIGHTS
SIZES = {"width": 69, "hidden_width": 33, "num_heads": 3, "num_classes": 5, "num_segments": 2}
"""No multiple of what is padded."""


def build(kind: str, **changes) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    config = tiny_config(**{**SIZES, **MODES.get(kind, MODES["float"]), **changes})
    return shake(BEExformerClassifier(config, policy=exits.FixedDepth(config.num_blocks)))


def convert(kind: str, **changes) -> bytes:
    return beex_format.convert(build(kind, **changes), int8_weights=kind == "int8")


Part = tuple[str, int, int, int]
"""Kind, bytes a value, values, and values without the padding."""


def reals(count: int) -> Part:
    return "real", 4, count, count


def channels(count: int, kind: str = "real") -> Part:
    return kind, 4, -(-count // 16) * 16, count


def linear(h: dict[str, Any], inputs: int, outputs: int) -> list[Part]:
    """Weights, scale and bias of a layer."""
    if h["weight_bits"] == 32:
        return [reals(inputs * outputs), channels(outputs)]
    if h["weight_bits"] == 8:
        weights = "int8", 64, -(-outputs // 16) * -(-inputs // 4), inputs
        return [weights, channels(outputs, "int8 scale"), channels(outputs)]
    if h["activation_bits"] == 1:
        weights = "binary", 64, -(-outputs // 8) * -(-inputs // 64), inputs
    else:
        weights = "groups", 8, -(-outputs // 16) * -(-inputs // 4), inputs
    return [weights, channels(outputs), channels(outputs)]


def embedding(h: dict[str, Any]) -> list[Part]:
    vocabulary, width = h["vocabulary_size"], h["width"]
    tables = {
        1: [("rows", 8, vocabulary * -(-width // 64), width), channels(width)],
        8: [("table", 1, vocabulary * width, width), channels(width, "int8 scale")],
        32: [reals(vocabulary * width)],
    }
    sums = [reals(h["length"] * width), reals(h["num_segments"] * width)]
    return [*tables[h["embedding_bits"]], *sums, *2 * [channels(width)]]


def block(h: dict[str, Any]) -> list[Part]:
    width, hidden, is_ffn = h["width"], h["hidden_width"] * (1 + h["network"]), h["network"]
    norm, layers = 2 * [channels(width)], 1 if is_ffn else 2
    return [
        *4 * linear(h, width, width),
        *norm,
        *layers * linear(h, width, hidden),
        *layers * linear(h, hidden, width),
        *norm,
        reals(width * h["num_classes"]),
        channels(h["num_classes"]),
    ]


def parts(data: bytes) -> Iterator[Part]:
    """Kind, place, values and values without the padding of each part, as docs/beex_format.md has them.

    The kind is "real", "int8 scale", or bits: "rows", "binary", "groups", "int8".
    """
    h = beex_format.read_header(data)
    place = h["weights"]
    for kind, size, count, used in embedding(h) + h["num_blocks"] * block(h):
        yield kind, place, count, used
        place += -(-count * size // 64) * 64


def sealed(data: bytearray) -> bytes:
    struct.pack_into("<I", data, 12, zlib.crc32(bytes(data[16:])))
    return bytes(data)


def status(data: bytes) -> int:
    engine = library.load()
    file = np.frombuffer(data, np.uint8)
    model = np.zeros(engine.beex_model_bytes() // 8 + 1, np.uint64)
    return engine.beex_open(model.ctypes.data, file.ctypes.data, len(data))


@needs_engine
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("network", ["slfn", "ffn"])
def test_every_part_is_checked(kind, network):
    """A number at its limit is taken in any part, one beyond is not, and no padding but 0."""
    data = convert(kind, network=network)
    generator = np.random.default_rng(0)
    labels = beex_format.read_header(data)["labels"]
    end = 0
    for part, place, count, used in parts(data):
        size = {"real": 4, "int8 scale": 4, "rows": 8, "groups": 8, "table": 1}.get(part, 64)
        end = -(-(place + size * count) // 64) * 64
        changed = bytearray(data)
        if part in ("real", "int8 scale"):
            most = np.float32(MOST if part == "real" else MOST_INT8_SCALE)
            number = place + 4 * int(generator.integers(used))
            beyond = np.nextafter(most, np.float32(np.inf))
            for value, expected in (
                (most, library.OK),
                (-most, library.OK),
                (-0.0, library.OK),
                (1e-45, library.OK),
                (beyond, WEIGHTS),
                (-beyond, WEIGHTS),
                (np.nan, WEIGHTS),
                (np.inf, WEIGHTS),
                (-np.inf, WEIGHTS),
            ):
                struct.pack_into("<f", changed, number, value)
                assert status(sealed(changed)) == expected, (part, value)
            changed = bytearray(data)
            if count > used:
                changed[place + 4 * int(generator.integers(used, count))] = 1
                assert status(sealed(changed)) == WEIGHTS
        elif part != "table":
            # The last byte of a part belongs to the last input of the last output, which is missing.
            changed[place + size * count - 1] |= 0x80
            assert status(sealed(changed)) == WEIGHTS, part
    assert end == labels  # the parts are what the file has


@needs_engine
@pytest.mark.parametrize(
    ("kind", "unit"), [("weights-only", 4), ("fully-binary", 64), ("int8", 32)]
)
@pytest.mark.parametrize(
    ("inputs", "outputs"), [(3, 1), (4, 8), (9, 17), (63, 7), (64, 4), (65, 15)]
)
def test_padding_of_weights_is_checked_bit_by_bit(kind, unit, inputs, outputs):
    """Of `up`, whose every bit is turned over: exactly those of weights may be."""
    data = convert(
        kind, network="ffn", width=inputs, hidden_width=outputs, num_heads=1, num_blocks=1
    )
    outputs *= 2
    size, panel, group = {4: (8, 16, 4), 64: (64, 8, 64), 32: (64, 16, 4)}[unit]
    of_weights = [part for part in parts(data) if part[0] in ("groups", "binary", "int8")]
    _, place, count, _ = of_weights[4]
    groups = -(-inputs // group)
    assert count == groups * -(-outputs // panel)
    changed = bytearray(data)
    for bit in range(0, 8 * size * count, 1 if count < 30 else 7):
        index, within = divmod(bit, 8 * size)
        output = index // groups * panel + within // unit
        input_ = index % groups * group + within % unit // (unit // group)
        changed[place + bit // 8] ^= 1 << bit % 8
        expected = library.OK if output < outputs and input_ < inputs else WEIGHTS
        assert status(sealed(changed)) == expected, (bit, output, input_)
        changed[place + bit // 8] ^= 1 << bit % 8


@needs_engine
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"content_activation": "gelu"}, marks=SLOW),
        pytest.param({"network": "ffn"}, marks=SLOW),
        pytest.param({"gate_activation": "sigmoid"}, marks=SLOW),
    ],
    ids=str,
)
def test_numbers_at_their_limits_give_numbers(kind, changes):
    """Whatever their signs: the logits of all exits are finite, and the same by all kernels."""
    data = bytearray(convert(kind, **changes))
    ids = random_ids(6, 12)
    for seed in range(4):
        generator = np.random.default_rng(seed)
        for part, place, _, used in parts(bytes(data)):
            if part not in ("real", "int8 scale"):
                continue
            most = MOST if part == "real" else MOST_INT8_SCALE
            signs = generator.choice([-1, 1], used) if seed < 3 else np.ones(used)
            values = (most * signs).astype("<f4")
            data[place : place + values.nbytes] = values.tobytes()
        struct.pack_into("<f", data, 16 + 4 * 15, MOST)  # attention_scale
        file = sealed(data)
        assert beex_format.read_header(file)["attention_scale"] == MOST
        known = CRunner(file, kernels="portable").exit_logits(ids)
        assert np.isfinite(known).all()
        assert np.isfinite(CRunner(file).decide(ids).logits).all()
        np.testing.assert_array_equal(CRunner(file).exit_logits(ids), known)


@needs_engine
@pytest.mark.parametrize(
    ("field", "value"),
    [("attention_scale", np.nan), ("attention_scale", 2e3), ("threshold", np.nan)],
)
def test_numbers_of_the_header_are_checked(field, value):
    data = bytearray(convert("float"))
    place = {"attention_scale": 16 + 4 * 15, "threshold": 16 + 4 * 18}[field]
    assert struct.unpack_from("<f", data, place)[0] == np.float32(
        beex_format.read_header(bytes(data))[field]
    )
    struct.pack_into("<f", data, place, value)
    assert status(sealed(data)) == 3  # BEEX_ERROR_CONTENT


# === Python ===


@pytest.mark.parametrize(
    "value", [np.nan, pytest.param(np.inf, marks=SLOW), pytest.param(-1024.5, marks=SLOW)]
)
def test_the_exporter_names_the_weight(value):
    for name, find in {
        "embedding/position": lambda m: m.backbone.embedding.position,
        "embedding/normalization/gamma": lambda m: m.backbone.embedding.normalization.gamma,
        "block_2/attention/query/kernel": lambda m: m.backbone.blocks[1].attention.query.kernel,
        "block_1/slfn/gate_in/bias": lambda m: m.backbone.blocks[0].feed_forward().gate_in.bias,
        "exit_3/kernel": lambda m: m.heads[2].dense.kernel,
    }.items():
        model = build("float")
        variable = find(model)
        array = variable.numpy()
        array.flat[3] = value
        variable.assign(array)
        with pytest.raises(BeexError, match=rf"^{name} holds .* within ±1024; train"):
            beex_format.convert(model)


def test_the_exporter_checks_weights_of_8_bits():
    model = build("float")
    kernel = model.backbone.blocks[0].attention.key.kernel
    kernel.assign(tf.fill(kernel.shape, 1016.0))
    beex_format.convert(model, int8_weights=True)
    kernel.assign(tf.fill(kernel.shape, 1020.0))
    with pytest.raises(BeexError, match=r"^block_1/attention/key holds 1020, .* within ±1016"):
        beex_format.convert(model, int8_weights=True)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind == "weights-only" else SLOW) for kind in MODES],
)
def test_the_reader_checks_as_the_engine_does(kind):
    """In parts of each kind: in each a model is built before its weights are read."""
    data = convert(kind, num_blocks=1)
    beex_format.classifier(data)
    real = [part for part in parts(data) if part[0] == "real"]
    for _, place, count, used in real[:: len(real) // 5]:
        changed = bytearray(data)
        struct.pack_into("<f", changed, place + 4 * (used - 1), np.nan)
        with pytest.raises(BeexError, match=r"The model: .* holds nan, .* within ±1024"):
            beex_format.classifier(sealed(changed))
        if count > used:
            changed = bytearray(data)
            changed[place + 4 * used] = 1
            with pytest.raises(BeexError, match="contradicts itself"):
                beex_format.classifier(sealed(changed))
