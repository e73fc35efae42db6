"""Export: equal values, everything binary really binary, and a file that describes itself."""

import dataclasses
import json
import os
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, built, converted, random_ids, shake, tiny_config
from converted_graphs import interpret

from beex_keras import export
from beex_keras.errors import BeexError
from beex_keras.exits import Patience
from beex_keras.export.description import to_json
from beex_keras.export.matrices import EMBEDDING, matrix_shapes
from beex_keras.export.tflite import flatbuffer, graphs, lce, metadata
from beex_keras.export.tflite.passes import one_bit
from beex_keras.layers.linear import PointwiseConv
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import LCERunner

ROWS = 8


def build(mode: str, **changes) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    model = BEExformerClassifier(
        tiny_config(**MODES[mode], **changes), labels=("a", "b", "c", "ü"), policy=Patience(2)
    )
    return shake(model)


@pytest.fixture(scope="module", params=MODES)
def exported(request) -> tuple[BEExformerClassifier, bytes]:
    """A classifier of each mode and its converted file."""
    mode = request.param
    return built(mode, num_segments=2), converted(mode, "all-outputs", num_segments=2)


@pytest.fixture(scope="module")
def fully_binary() -> tuple[BEExformerClassifier, bytes]:
    return built("fully-binary", num_blocks=1), converted(
        "fully-binary", "all-outputs", num_blocks=1
    )


@pytest.fixture(scope="module")
def weights_only() -> tuple[BEExformerClassifier, bytes]:
    """With all that people can put into a file, but a vocabulary."""
    model = build("weights-only", num_blocks=1)
    return model, export.to_tflite(model, calibration={"accuracy": 0.5}, exit="all-outputs")


def padded_ids(length: int = 12) -> np.ndarray:
    """Rows of 1 to `length` real tokens, with a separator in the middle."""
    ids = random_ids(ROWS, length)
    ids[:, 2] = 3
    for row, real in enumerate(np.linspace(1, length, ROWS).astype(int)):
        ids[row, real:] = 0
    return ids


# === Values and form ===


def test_file_computes_what_keras_computes(exported):
    model, data = exported
    ids = padded_ids()
    np.testing.assert_allclose(interpret(data, ids), model(ids), rtol=0, atol=1e-5)


def test_fully_binary_file_flips_no_sign():
    tf.keras.utils.set_random_seed(3)
    config = tiny_config(
        width=48,
        hidden_width=80,
        max_length=24,
        vocabulary_size=200,
        num_blocks=2,
        **MODES["fully-binary"],
    )
    model = shake(BEExformerClassifier(config))
    for block in model.backbone.blocks:  # scales that the grid rounds to zero, of either sign
        for linear in (block.slfn.gate_in, block.slfn.content_out):
            alpha = linear.alpha.numpy()
            alpha[:4] = [-1e-5, 1e-5, 0.0, -0.0]
            linear.alpha.assign(alpha)
    ids = random_ids(150, 24, 200)
    for row, real in enumerate(np.random.default_rng(0).integers(1, 25, len(ids))):
        ids[row, real:] = 0
    difference = interpret(export.to_tflite(model, exit="all-outputs"), ids) - model(ids)
    # One flipped sign would show as a thousand times as much.
    assert np.abs(difference).max() < 1e-5


@pytest.mark.parametrize(
    "kind", ["weights-only", pytest.param("fully-binary", marks=pytest.mark.slow)]
)
def test_plain_feed_forward_network(kind):
    sizes = {"num_blocks": 1, "network": "ffn"}
    model, data = built(kind, **sizes), converted(kind, **sizes)
    report = export.audit(data, model.config, export.binary_matrices(model))
    assert {"block_1/ffn/up", "block_1/ffn/down"} < set(report.matrices)


def test_shorter_length(weights_only):
    model, _ = weights_only
    data = export.to_tflite(model, length=7, exit="all-outputs")
    ids = padded_ids(7)
    np.testing.assert_allclose(interpret(data, ids), model(ids), rtol=0, atol=1e-5)
    assert metadata.read(data).length == 7


@pytest.mark.parametrize("length", [0, 2, 13, 5.0, True, "8"])
def test_impossible_length(weights_only, length):
    with pytest.raises(BeexError, match="length="):
        export.to_tflite(weights_only[0], length=length)


def test_input_output_and_signature_are_named(exported):
    model = flatbuffer.parse(exported[1])
    (graph,) = model.subgraphs
    (ids,), (logits,) = ([graph.tensors[i] for i in x] for x in (graph.inputs, graph.outputs))
    assert (flatbuffer.text(ids.name), list(ids.shape)) == ("token_ids", [1, 12])
    assert (flatbuffer.text(logits.name), list(logits.shape)) == ("exit_logits", [1, 3, 4])
    (signature,) = model.signatureDefs
    assert [flatbuffer.text(entry.name) for entry in signature.inputs] == ["token_ids"]
    assert [flatbuffer.text(entry.name) for entry in signature.outputs] == ["exit_logits"]


def test_ops_carry_their_layers_names(exported):
    labels = [operation.label for operation in flatbuffer.operations(flatbuffer.parse(exported[1]))]
    for name in ("embedding/", "block_1/attention/", "block_3/slfn/", "exit_2/"):
        assert any(label.startswith(name) for label in labels)


def test_nothing_constant_is_computed_on_the_device(exported):
    operations = flatbuffer.operation_counts(flatbuffer.parse(exported[1]))
    needless = {"GREATER_EQUAL", "SELECT", "SELECT_V2", "SHAPE", "STRIDED_SLICE", "FILL"}
    assert not needless & set(operations)
    config = exported[0].config
    quantizes = config.num_blocks * (config.activation_bits == 8)
    # A block quantizes the inputs of five groups of layers: each looks for the least number of a token, and
    # has a divisor that no optimizer takes for a constant. So do the normalizations look for it.
    norms = 1 + 2 * config.num_blocks if quantizes else 0
    assert operations.get("NEG", 0) == 2 * 5 * quantizes + norms
    # One for the segment of a token, two for the limits of exact functions; none is left over from the barriers.
    assert operations["MINIMUM"] == 1 + 2 * quantizes


def test_a_table_too_large_for_the_converters_folding_is_constant():
    model = build("weights-only", vocabulary_size=30_000, num_blocks=1)
    report = export.audit(export.to_tflite(model), model.config, export.binary_matrices(model))
    assert not {"GREATER_EQUAL", "SELECT", "SELECT_V2"} & set(report.operations)


def test_training_leaves_no_trace(weights_only):
    parts = graphs.freeze_classifier(weights_only[0], 12)
    graph = graphs.all_exits(parts).get_concrete_function().graph
    nodes = [*graph.as_graph_def().node]
    for function in graph.as_graph_def().library.function:
        nodes += function.node_def
    assert not [node.op for node in nodes if "Random" in node.op or "Variable" in node.op]


# === Audit ===


def test_audit_finds_every_matrix(exported):
    model, data = exported
    report = export.audit(data, model.config, export.binary_matrices(model))
    assert set(report.matrices) == set(matrix_shapes(model.config))
    readers = set(report.matrices.values())
    if model.config.activation_bits == 1:
        assert report.operations["LceBconv2d"] == 8 * 3
        assert readers == {"LceBconv2d", "GATHER"}
    elif model.config.weight_bits == 1:
        assert readers == {"FULLY_CONNECTED", "GATHER"}
    else:
        assert not readers


def test_audit_by_shape_alone(exported):
    model, data = exported
    assert len(export.audit(data, model.config).matrices) == len(matrix_shapes(model.config))


@pytest.mark.parametrize("mode", ["weights-only", "fully-binary"])
def test_audit_refuses_a_float_file(mode):
    data = converted("float", num_blocks=1)
    with pytest.raises(BeexError, match="embedding/token is binary, but no GATHER"):
        export.audit(data, tiny_config(**MODES[mode], num_blocks=1))
    config = tiny_config(**{**MODES[mode], "embedding_bits": 32}, num_blocks=1)
    with pytest.raises(BeexError, match="block_1/attention/query is binary"):
        export.audit(data, config)


@pytest.mark.parametrize("kind", ["weights_only", "fully_binary"])
def test_audit_refuses_one_wrong_weight(kind, request):
    model, data = request.getfixturevalue(kind)
    for name in ("embedding/token", "block_1/slfn/gate_out", "block_1/slfn/content_in"):
        matrices = export.binary_matrices(model)
        signs = matrices[name].signs.copy()
        signs[3, 5] *= -1
        matrices[name] = dataclasses.replace(matrices[name], signs=signs)
        with pytest.raises(BeexError, match=f"{name} is binary.*was converted to float or altered"):
            export.audit(data, model.config, matrices)


@pytest.mark.parametrize(
    ("step", "name"),
    [("pack_tables", "embedding/token"), ("pack_kernels", "block_1/attention/query")],
)
def test_audit_refuses_signs_stored_as_float(weights_only, step, name, monkeypatch, frozen_once):
    monkeypatch.setattr(one_bit, step, lambda model: None)
    with pytest.raises(BeexError, match=f"{name} is binary, but no"):
        export.to_tflite(weights_only[0])


@pytest.mark.parametrize("name", ["embedding/token", "block_1/slfn/gate_out"])
def test_audit_refuses_one_wrong_bit(weights_only, name):
    classifier, data = weights_only
    model = flatbuffer.parse(data)
    (tensor,) = (
        tensor
        for tensor in model.subgraphs[0].tensors
        if flatbuffer.text(tensor.name) == f"{name}/kernel"
    )
    buffer = model.buffers[tensor.buffer]
    buffer.data = np.array(buffer.data, np.uint8)
    buffer.data[0] ^= 4
    with pytest.raises(BeexError, match=f"{name} is binary.*was converted to float or altered"):
        export.audit(flatbuffer.pack(model), classifier.config, export.binary_matrices(classifier))


def test_audit_refuses_scaled_kernels(weights_only, monkeypatch):
    """Without barriers the converter multiplies scales into the kernels."""
    monkeypatch.setattr(graphs, "_protect", lambda graph: graph)
    with pytest.raises(BeexError, match="block_1/attention/query is binary"):
        export.to_tflite(weights_only[0])


def test_audit_refuses_a_product_that_is_no_convolution(fully_binary, monkeypatch):
    """As a QuantDense would be: binarized inputs and kernel, but a float matrix product."""
    monkeypatch.setattr(
        PointwiseConv, "convolution_op", lambda self, x, kernel: tf.matmul(x, kernel[0, 0])
    )
    with pytest.raises(BeexError, match="block_1/attention/query is binary"):
        export.to_tflite(fully_binary[0])


def test_audit_refuses_foreign_ops(weights_only):
    model = flatbuffer.parse(weights_only[1])
    model.operatorCodes[0].customCode = "FlexErf"
    with pytest.raises(BeexError, match="needs the op FlexErf"):
        export.audit(flatbuffer.pack(model), weights_only[0].config)


def test_audit_refuses_more_binary_ops_than_matrices(fully_binary, weights_only):
    with pytest.raises(BeexError, match="has 8 LceBconv2d but its configuration has 0"):
        export.audit(fully_binary[1], tiny_config(**MODES["float"], num_blocks=1))


def test_bits_are_unpacked_lowest_first():
    words = np.array([[0b101, -1], [-(2**31), 0]], np.int32)
    expected = np.ones((2, 40))
    expected[0, [0, 2]] = expected[0, 32:] = expected[1, 31] = -1
    np.testing.assert_array_equal(flatbuffer.unpack_bits(words, 40), expected)


# === Flatbuffer ===


def test_packing_keeps_every_constant(exported):
    model = flatbuffer.parse(exported[1])
    again = flatbuffer.parse(flatbuffer.pack(model))
    for old, new in zip(model.subgraphs[0].tensors, again.subgraphs[0].tensors, strict=True):
        values = flatbuffer.constant(model, old), flatbuffer.constant(again, new)
        assert (values[0] is None) == (values[1] is None)
        if values[0] is not None:
            np.testing.assert_array_equal(*values)


def test_constants_are_aligned(exported):
    from larq_compute_engine.mlir.python import tflite_schema

    root = tflite_schema.Model.GetRootAs(exported[1], 0)
    tables = [root.Buffers(index) for index in range(root.BuffersLength())]
    starts = [t._tab.Vector(t._tab.Offset(4)) for t in tables if not t.DataIsNone()]
    assert len(starts) > 20 and not any(start % 16 for start in starts)


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"\x1c\0\0\0TFL3", b"\xff" * 64, b"x" * 4 + b"TFL3" * 99]
)
def test_parsing_rubbish(data):
    with pytest.raises(BeexError, match="not a"):
        flatbuffer.parse(data)


def test_account_adds_up(exported):
    model, data = exported
    account = export.file_sizes(data)
    total = account.pop("total")
    assert sum(account.values()) == total == len(data)
    assert min(account.values()) >= 0 and account["vocabulary"] == 0
    packed = 0
    for name, (inputs, outputs) in matrix_shapes(model.config).items():
        # Rows are packed: of the table those of tokens, of a kernel those of its outputs.
        rows, channels = (inputs, outputs) if name == EMBEDDING else (outputs, inputs)
        packed += 4 * rows * -(-channels // 32)
    assert (account["binary"], account["sign"]) == (packed, 0)


# === Metadata ===


def test_metadata_round_trip(weights_only):
    model, data = weights_only
    found = metadata.read(data)
    assert found.config == model.config
    assert found.labels == ("a", "b", "c", "ü")
    assert found.policy == Patience(2)
    assert found.calibration == {"accuracy": 0.5}
    assert found.versions["tensorflow"] == tf.__version__
    assert found.preprocessor is None


def test_a_block_of_an_older_release_is_read_and_not_run(weights_only):
    """Earlier releases could write one file for each block."""
    model = flatbuffer.parse(weights_only[1])
    values = json.loads(flatbuffer.get_metadata(model, metadata.ENTRY))
    assert values["segment"] is None and values["model_digest"] is None
    values |= {"exit": "segments", "segment": 2, "model_digest": "5e9", "sha256": "0" * 64}
    model.metadata = []
    flatbuffer.drop_unused(model)
    flatbuffer.add_metadata(model, metadata.ENTRY, to_json(values))
    data = metadata.seal(flatbuffer.pack(model))
    found = metadata.read(data)
    assert (found.exit, found.labels) == ("segments", ("a", "b", "c", "ü"))
    with pytest.raises(
        BeexError, match=r"--exit segments, which has gone; convert the model again"
    ):
        LCERunner(data)


@pytest.mark.parametrize("version", [2, 4])
def test_other_formats_of_metadata_are_refused(weights_only, monkeypatch, version):
    found = metadata.read(weights_only[1])
    model = flatbuffer.parse(weights_only[1])
    model.metadata = []
    flatbuffer.drop_unused(model)
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "FORMAT_VERSION", version)
        metadata.attach(model, found)
    with pytest.raises(BeexError, match=f"format {version}, but this release reads format 3"):
        metadata.read(metadata.seal(flatbuffer.pack(model)))


def test_calibration_must_be_json(weights_only, frozen_once):
    for figures in ({"x": np.zeros(2)}, {"x": float("nan")}):
        with pytest.raises(BeexError, match="calibration figures"):
            export.to_tflite(weights_only[0], calibration=figures)


# === The converter ===


def test_converter_is_silent(weights_only, capfd):
    export.to_tflite(weights_only[0])
    assert tuple(capfd.readouterr()) == ("", "")


def test_missing_converter(weights_only, monkeypatch, frozen_once):
    monkeypatch.setitem(sys.modules, "larq_compute_engine", None)
    with pytest.raises(BeexError, match="pip install larq-compute-engine"):
        export.to_tflite(weights_only[0])


def test_converter_errors_are_quoted(weights_only, monkeypatch, capfd, frozen_once):
    def fail(directory: str) -> bytes:
        os.write(2, b"twenty lines of native noise")
        raise RuntimeError("op X\nis not supported")

    monkeypatch.setattr(lce.require(), "convert_saved_model", fail)
    with pytest.raises(BeexError, match="could not convert the model: op X is not supported"):
        export.to_tflite(weights_only[0])
    assert tuple(capfd.readouterr()) == ("", "")


def test_file_is_written_whole_or_not_at_all(weights_only, tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    figures = export.convert(weights_only[0], path)
    assert figures["total"] == path.stat().st_size
    before = path.read_bytes()
    monkeypatch.setattr(graphs, "_protect", lambda graph: graph)
    with pytest.raises(BeexError):
        export.convert(weights_only[0], path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_the_suffix_names_the_format(weights_only, tmp_path):
    figures = export.convert(weights_only[0], tmp_path / "model.beex", length=9)
    data = (tmp_path / "model.beex").read_bytes()
    assert (figures["total"], export.beex.read(data).length) == (len(data), 9)
    for name, options, message in (
        ("other.h5", {}, r"names no format; end it in \.tflite or \.beex"),
        ("other.tflite", {"int8_weights": True}, r"is for \.beex files"),
        ("other.beex", {"plan_memory": True}, r"are for \.tflite files"),
    ):
        with pytest.raises(BeexError, match=message):
            export.convert(weights_only[0], tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["model.beex"]
