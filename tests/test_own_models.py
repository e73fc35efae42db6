"""Models that users build of our layers and Keras' own: their files answer as Keras does."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, random_ids, shake, tiny_config

import beex_keras as beex
from beex_keras import Precision, export, layers
from beex_keras.errors import BeexError
from beex_keras.export.tflite import flatbuffer

K = tf.keras
SAMPLES = 12


def interpret(data: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs for each sample, in the file's order."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    interpreter, rows = Interpreter(data).interpreter, []
    for row in range(len(inputs[0])):
        found = interpreter.predict([array[row : row + 1] for array in inputs])
        rows.append(found if isinstance(found, list) else [found])
    return [np.concatenate(arrays) for arrays in zip(*rows, strict=True)]


def samples(model: K.Model) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    found = []
    for tensor in model.inputs:
        shape = SAMPLES, *tensor.shape[1:]
        if tensor.dtype.is_integer:
            ids = random_ids(*shape)
            ids[::2, -2:] = 0
            found.append(ids)
        else:
            found.append(generator.normal(size=shape).astype(np.float32))
    return found


def check(model: K.Model, binary: int, tolerance: float = 1e-5) -> bytes:
    """Compares the file with Keras; `binary` matrices are stored at one bit."""
    inputs = samples(shake(model))
    expected = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    data = export.to_tflite(model)
    found = interpret(data, inputs)
    for ours, keras in zip(found, expected if len(found) > 1 else [expected], strict=True):
        assert ours.shape == keras.shape and ours.dtype == np.float32
        np.testing.assert_allclose(ours, keras, rtol=0, atol=tolerance)
    (signature,) = flatbuffer.parse(data).signatureDefs
    names = [
        [flatbuffer.text(e.name) for e in entries]
        for entries in (signature.inputs, signature.outputs)
    ]
    assert names == [model.input_names, model.output_names]
    tensors = [t for g in flatbuffer.parse(data).subgraphs for t in g.tensors]
    assert sum(flatbuffer.text(tensor.name).endswith("/kernel") for tensor in tensors) >= binary
    sizes = export.file_sizes(data)
    assert (sizes["binary"] > 0, sizes["sign"]) == (binary > 0, 0)
    return data


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("shape", [(20,), (7, 20)])
def test_a_sequential_model(kind, shape):
    precision = Precision.named(kind)
    model = K.Sequential(
        [
            K.Input(shape),
            layers.BinaryLinear(37, precision),
            layers.LayerNorm(),
            K.layers.ReLU(),
            layers.BinaryLinear(5, precision),
            K.layers.Flatten(),
            K.layers.Dense(3),
        ]
    )
    check(model, 2 if precision.is_binary else 0)


def test_a_plain_output_keeps_its_shape():
    """No reshape in front of a file's output is left out that Keras has."""
    for last in (K.layers.Dense(4), layers.BinaryLinear(4)):
        check(
            K.Sequential([K.Input((3, 5)), K.layers.Flatten(), last]),
            isinstance(last, layers.BinaryLinear),
        )


def test_several_inputs_and_outputs_keep_their_order():
    left, right = K.Input((5,), name="z_left"), K.Input((6,), name="a_right")
    joined = K.layers.Concatenate()([layers.BinaryLinear(4)(right), K.layers.Dense(3)(left)])
    outputs = [
        layers.BinaryLinear(2, name="z_first")(joined),
        K.layers.Dense(7, name="a_last")(joined),
    ]
    check(K.Model([left, right], outputs), 2)


@pytest.mark.parametrize(
    ("kind", "width", "heads", "length"),
    [
        ("weights-only", 12, 3, 9),
        ("w1a8", 20, 4, 16),
        ("fully-binary", 12, 1, 5),
        ("float", 8, 2, 1),
    ],
)
def test_our_attention_and_network_behind_an_embedding_of_keras(kind, width, heads, length):
    precision = Precision.named(kind)
    ids = K.Input((length,), dtype="int32", name="ids")
    x = K.layers.Embedding(50, width, mask_zero=True)(ids)
    x = layers.LayerNorm(exact=precision.bit_exact)(x)
    x = x + layers.MultiHeadAttention(width, heads, precision)(x)
    x = layers.SelectiveLearnForgetNetwork(width, 2 * width, precision=precision)(x)
    check(K.Model(ids, layers.ExitHead(3)(x)), 8 if precision.is_binary else 0, 1e-4)


@pytest.mark.parametrize("kind", ["weights-only", "fully-binary"])
def test_whole_blocks_between_layers_of_keras(kind):
    precision = Precision.named(kind)
    ids = K.Input((10,), dtype="int32", name="ids")
    mask = layers.PaddingMask()(ids)
    x = layers.Embedding(50, 12, max_length=10, precision=precision)(ids)
    for number in range(2):
        x = layers.BEExformerBlock(12, 3, 20, precision=precision, name=f"block_{number}")(
            x, padding_mask=mask
        )
    x = K.layers.Conv1D(6, 3, activation="relu")(x)
    x = K.layers.BatchNormalization()(K.layers.GlobalMaxPooling1D()(x))
    check(K.Model(ids, K.layers.Dense(4, "softmax")(x)), 17, 1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        K.layers.LSTM(5),
        K.layers.GRU(5, return_sequences=True),
        K.layers.Bidirectional(K.layers.LSTM(3)),
        K.layers.Activation(lambda x: tf.nn.gelu(x, approximate=True)),
        K.layers.UnitNormalization(),
        K.layers.LayerNormalization(),
        K.layers.SeparableConv1D(4, 3),
        K.layers.AveragePooling1D(),
        K.layers.Dropout(0.5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_of_keras_beside_ours(layer):
    check(K.Sequential([K.Input((7, 20)), layers.BinaryLinear(8), layer]), 1)


def test_attention_of_keras_and_nested_models():
    inner = K.Sequential([K.Input((6, 8)), layers.BinaryLinear(8, name="inner"), K.layers.ReLU()])
    x = K.Input((6, 8))
    attended = K.layers.MultiHeadAttention(2, 4)(inner(x), inner(x))
    check(K.Model(x, layers.FeedForwardNetwork(8, 16)(attended)), 3)


def test_the_backbone_of_a_classifier_is_a_layer_too():
    backbone = beex.BEExformer(tiny_config(num_blocks=2))
    ids = K.Input((12,), dtype="int32", name="ids")
    check(K.Model(ids, K.layers.Dense(2)(K.layers.Flatten()(backbone(ids)[-1]))), 17)


@pytest.mark.parametrize("seed", range(3))
def test_random_shapes(seed):
    generator = np.random.default_rng(seed)
    kinds = list(MODES)
    x = inputs = K.Input(tuple(generator.integers(1, 9, 2)))
    binary = 0
    for _ in range(3):
        precision = Precision.named(kinds[generator.integers(len(kinds))])
        x = layers.BinaryLinear(int(generator.integers(1, 70)), precision)(x)
        x = K.layers.Activation(str(generator.choice(["relu", "tanh", "sigmoid"])))(x)
        binary += precision.is_binary
    check(K.Model(inputs, x), binary, 1e-4)


def test_a_memory_plan_and_a_file(tmp_path):
    model = shake(K.Sequential([K.Input((4,)), layers.BinaryLinear(3), K.layers.ReLU()]))
    figures = beex.convert(model, tmp_path / "own.tflite", plan_memory=True)
    data = (tmp_path / "own.tflite").read_bytes()
    assert figures["total"] == len(data) == sum(figures.values()) - figures["total"]
    assert flatbuffer.get_metadata(flatbuffer.parse(data), "OfflineMemoryAllocation")
    (inputs,) = samples(model)
    np.testing.assert_allclose(interpret(data, [inputs])[0], model(inputs), atol=1e-5)
    with pytest.raises(BeexError, match="own.tflite is a model of your own, without labels"):
        beex.load(tmp_path / "own.tflite")
    (tmp_path / "own.tflite").write_bytes(data[:-1] + b"!")
    with pytest.raises(BeexError, match="is damaged"):
        beex.load(tmp_path / "own.tflite")


def test_a_trained_model_is_saved_loaded_and_converted(tmp_path):
    inputs = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    model = K.Sequential(
        [K.Input((6,)), layers.BinaryLinear(16), K.layers.ReLU(), K.layers.Dense(2)]
    )
    model.compile("adam", K.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, (inputs[:, 0] > 0).astype(int), verbose=0)
    model.save(tmp_path / "own.keras")
    loaded = K.models.load_model(tmp_path / "own.keras")
    found = interpret(export.to_tflite(loaded), [inputs])[0]
    np.testing.assert_allclose(found, model.predict(inputs, verbose=0), atol=1e-5)


# === Refusals ===


class Subclass(K.Model):
    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x


def with_layer(layer: K.layers.Layer) -> K.Model:
    return K.Sequential([K.Input((4, 4)), layers.BinaryLinear(4), layer, K.layers.Flatten()])


def svd(name: str) -> K.layers.Layer:
    return K.layers.Lambda(lambda x: tf.linalg.svd(x, compute_uv=False), name=name)


REFUSALS = {
    "no model": (lambda: 3, "A Keras model is needed to convert, not int"),
    "a subclass": (Subclass, "Subclass is a subclass of Model.*build it by tf.keras.Model"),
    "no shape": (lambda: K.Sequential([K.layers.Dense(2)], name="open"), "open has no input shape; begin"),
    "open length": (
        lambda: K.Sequential([K.Input((None, 3), name="x"), K.layers.Dense(2)]),
        r"The input x has the open shape \(None, None, 3\); give tf.keras.Input a whole one"),
    "strings": (
        lambda: K.Sequential([K.Input((1,), dtype="string", name="text"), K.layers.StringLookup()]),
        "The input text has strings"),
    "an op that it lacks": (
        lambda: with_layer(svd("spectrum")),
        r"The layer spectrum \(Lambda\) cannot be converted, since Larq Compute Engine lacks its op Svd; "
        "put another"),
    "an exact GELU": (
        lambda: with_layer(K.layers.Activation("gelu", name="bend")),
        r"The layer bend \(Activation\) cannot be converted.* op Erfc"),
    "the same in a model": (
        lambda: with_layer(K.Sequential([K.Input((4, 4)), svd("inside")])), r"The layer inside \(Lambda\)"),
    "an error of a layer": (
        lambda: with_layer(K.layers.Lambda(lambda x: tf.cast(tf.py_function(np.sort, [x], tf.float32), tf.float32) + tf.zeros_like(x), name="python")),
        r"The layer python \(Lambda\) cannot be converted"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_the_layer_that_cannot_be_converted_is_named(name, capfd):
    make, message = REFUSALS[name]
    with pytest.raises(BeexError, match=message) as caught:
        export.to_tflite(make())
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 400
    assert capfd.readouterr().out == ""


def test_options_of_a_classifier_are_refused(tmp_path):
    model = K.Sequential([K.Input((4,)), layers.BinaryLinear(3)])
    for options in (
        {"length": 3},
        {"exit": "all-outputs"},
        {"calibration": {}},
        {"threshold_input": True},
    ):
        with pytest.raises(BeexError, match="are for a BEExformerClassifier; leave them out"):
            export.to_tflite(model, **options)
    with pytest.raises(BeexError, match="A .beex file holds a BEExformerClassifier"):
        beex.convert(model, tmp_path / "own.beex")
