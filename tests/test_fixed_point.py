"""Real constants at 16 bits where that loses nothing."""

import numpy as np
import pytest
from conftest import MODES, random_ids, shake, tiny_config
from converted_graphs import graph_of, interpret

from beex_keras import export
from beex_keras.export.tflite import flatbuffer
from beex_keras.export.tflite.passes import fixed_point
from beex_keras.models import BEExformerClassifier

GENERATOR = np.random.default_rng(0)


def multiples(bits: int, limit: int, shape: tuple[int, int] = (32, 40)) -> np.ndarray:
    words = GENERATOR.integers(-limit, limit, shape, endpoint=True)
    words.flat[:2] = [limit, 1]
    return (words * 2.0**-bits).astype(np.float32)


def test_bits_that_fit():
    for bits in (4, 12, 16, 20):
        assert fixed_point.fitting_bits(multiples(bits, 2**15 - 1)) == bits
        assert fixed_point.fitting_bits(multiples(bits, 2**15 + 9)) is None
    assert fixed_point.fitting_bits(multiples(16, 100, (3, 3))) is None  # too small to pay
    assert fixed_point.fitting_bits(GENERATOR.normal(size=(40, 40)).astype(np.float32)) is None


@pytest.mark.parametrize("fits", [True, False])
def test_pass_changes_no_bit(fits):
    table = multiples(16, 2**14) if fits else GENERATOR.normal(size=(32, 40)).astype(np.float32)
    model = graph_of(lambda x: x + table, 1, 32, 40)
    x = GENERATOR.normal(size=(1, 32, 40)).astype(np.float32)
    before, size = interpret(model, x), len(flatbuffer.pack(model))
    fixed_point.pack_reals(model)
    np.testing.assert_array_equal(interpret(model, x), before)
    assert flatbuffer.operation_counts(model).get("DEQUANTIZE", 0) == fits
    assert (len(flatbuffer.pack(model)) < size - 2000) == fits


@pytest.mark.parametrize(
    "mode", ["float", "weights-only", pytest.param("fully-binary", marks=pytest.mark.slow)]
)
def test_positions_take_16_bits_but_not_in_the_twin(mode):
    config = tiny_config(num_blocks=1, max_length=100, **MODES[mode])
    model = shake(BEExformerClassifier(config))
    data = export.to_tflite(model, exit="all-outputs")
    parsed = flatbuffer.parse(data)
    unpacked = [o for o in flatbuffer.operations(parsed) if o.name == "DEQUANTIZE"]
    assert len(unpacked) == (mode != "float")
    for operation in unpacked:
        words = flatbuffer.constant(parsed, operation.inputs[0])
        scale = operation.inputs[0].quantization.scale[0]
        np.testing.assert_array_equal(words * scale, model.backbone.embedding.positions)
    ids = random_ids(4, 100)
    np.testing.assert_allclose(interpret(data, ids), model(ids), rtol=0, atol=1e-5)
