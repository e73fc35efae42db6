"""Counts against hand-computed ones, against the built model, and against its traced graph."""

import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, tiny_config

from beex_keras.errors import BeexError
from beex_keras.evaluation import accounting
from beex_keras.models import BEExformerClassifier, BEExformerConfig

# Small enough to count on paper: D = 4, H = 2, F = 6, N = 2, C = 3, V = 10, L = 8; T = 5.
SMALL = {
    "vocabulary_size": 10,
    "max_length": 8,
    "width": 4,
    "num_heads": 2,
    "hidden_width": 6,
    "num_blocks": 2,
    "num_classes": 3,
}


def small(mode: str, **changes) -> BEExformerConfig:
    return BEExformerConfig(**{**SMALL, **MODES[mode], **changes})


def test_weights_by_hand():
    total = accounting.count(small("weights-only")).total()
    # Table 10·4; two blocks of 4·(4·4) + 4·(4·6).
    assert total.binary_parameters == 40 + 2 * 160
    # Scales and biases 2·(4·4 + 2·6 + 2·4), two norms of 8; embedding 4 + 32 + 8; heads 4·3 + 3.
    assert total.real_parameters == 44 + 2 * (72 + 16) + 2 * 15
    # Table 5 bytes; blocks 4·2 + 4·3 bytes.
    assert total.binary_bytes == 5 + 2 * 20
    assert total.bytes == 45 + 4 * 250
    # No scales: 40 + 32 + 8, blocks 160 + 36 + 16, heads 15.
    assert total.float32_bytes == 4 * (80 + 2 * 212 + 30)


def test_bytes_are_rounded_up_a_matrix():
    # 5·5 weights take 4 bytes, not 25/8.
    query = accounting.count(small("weights-only", width=5, num_heads=1)).block[0]
    assert (query.binary_parameters, query.binary_bytes) == (25, 4)


@pytest.mark.parametrize(
    ("mode", "macs", "block_flops", "embedding_flops"),
    [
        # Matrices 5·160 MACs, attention 2·25·4. One an element: bias (and scale, sign) of linear
        # layers, 20 + 6·50 attention, 20 + 60 SLFN, 2·8·20 residuals and norms.
        ("float", (0, 0, 1000), 2000 + 180 + 320 + 80 + 320, 20 + 140),
        ("weights-only", (0, 800, 200), 2000 + 360 + 320 + 80 + 320, 20 + 20 + 140),
        ("fully-binary", (800, 0, 200), 2000 + 540 + 320 + 20 + 320, 20 + 20 + 140),
    ],
)
def test_operations_by_hand(mode, macs, block_flops, embedding_flops):
    counted = accounting.count(small(mode), 5)
    block = accounting.total(counted.block)
    assert (block.binary_macs, block.mixed_macs, block.real_macs) == macs
    assert block.flops == block_flops
    assert accounting.total(counted.embedding).flops == embedding_flops
    # Twelve MACs, pooling 2·20 + 4, bias 3.
    head_flops = 24 + 44 + 3
    assert counted.head.flops == head_flops
    assert counted.depth_flops().tolist() == [
        embedding_flops + block_flops + head_flops,
        embedding_flops + 2 * (block_flops + head_flops),
    ]
    assert counted.full_depth_flops() == embedding_flops + 2 * block_flops + head_flops


def test_options_by_hand():
    plain = accounting.count(small("weights-only"), 5).total()
    gated = accounting.count(small("weights-only", gate_activation="sigmoid"), 5).total()
    pairs = accounting.count(small("weights-only", num_segments=2), 5).total()
    gelu = accounting.count(small("weights-only", content_activation="gelu"), 5).total()
    assert gelu == plain
    assert gated.flops - plain.flops == 2 * 20
    assert pairs.real_parameters - plain.real_parameters == 2 * 4
    assert pairs.flops - plain.flops == 20


def test_ffn_by_hand(mode):
    """As many weights and MACs as the SLFN: two of 4·12 for four of 4·6."""
    slfn, ffn = (
        accounting.total(accounting.count(small(mode, network=network), 5).block)
        for network in ("slfn", "ffn")
    )
    assert ffn.macs == slfn.macs
    assert ffn.binary_parameters == slfn.binary_parameters
    # One output map instead of two: 4 biases less, and 4 scales.
    binary, fully = mode != "float", mode == "fully-binary"
    assert slfn.real_parameters - ffn.real_parameters == 4 + 4 * binary
    # 5·4 outputs less with bias (and scale), 5·4 products of gate and content, and signs of the
    # input taken once a map: 5·(2·4 + 2·6) there, 5·(4 + 12) here.
    assert slfn.elementwise - ffn.elementwise == 20 * (1 + binary) + 20 + 20 * fully


def test_macs_equal_those_of_larq(mode):
    """`larq.models.summary` sees layers at the top of a model: each matrix is put there alone."""
    from larq.models import ModelProfile

    config, length = tiny_config(num_blocks=1, **MODES[mode]), 7
    model = BEExformerClassifier(config)
    counts = {count.name: count for count in accounting.count(config, length).block}
    for name, linear in model.backbone.blocks[0].linears().items():
        kernel = linear.kernel
        alone = type(linear.matmul).from_config(linear.matmul.get_config())
        profile = ModelProfile(
            tf.keras.Sequential([tf.keras.Input((1, length, kernel.shape[2])), alone])
        )
        (layer,) = profile.layer_profiles
        count = counts[f"block/{name}"]
        assert layer.op_count("mac") == count.macs
        assert layer.op_count("mac", precision=1) == count.binary_macs


@pytest.mark.parametrize(
    "changes",
    [
        {"num_blocks": 2},
        *(
            {"num_blocks": 1, **changes}
            for changes in ({"num_segments": 2}, {"gate_activation": "sigmoid"}, {"network": "ffn"})
        ),
    ],
)
def test_parameters_equal_the_models(mode, changes):
    config = tiny_config(**MODES[mode], **changes)
    model = BEExformerClassifier(config)
    counted = accounting.count(config)
    assert counted.total().parameters == model.count_params()
    stages = {count.name: count.parameters for count in counted.stages()}
    for layer in (model.backbone.embedding, *model.backbone.blocks, *model.heads):
        assert stages.pop(layer.name) == layer.count_params()
    assert not stages


def test_float32_bytes_are_those_of_the_twin(mode):
    config = tiny_config(num_blocks=2, **MODES[mode])
    twin = BEExformerClassifier(config.twin())
    assert accounting.count(config).total().float32_bytes == 4 * twin.count_params()


@pytest.mark.parametrize("mode", ["float", "weights-only"])
def test_macs_equal_the_graphs(mode):
    """Every matrix product of the traced model, from the shapes of its operands."""
    config, length = tiny_config(num_blocks=2, **MODES[mode]), 7
    model = BEExformerClassifier(config)
    graph = tf.function(lambda ids: model(ids, training=False)).get_concrete_function(
        tf.TensorSpec((1, length), tf.int32)
    )
    macs = 0
    for operation in _operations(graph.graph):
        if operation.type in ("MatMul", "BatchMatMul", "BatchMatMulV2"):
            rows = np.prod(operation.outputs[0].shape.as_list())
            contracted = "transpose_a" if operation.type == "MatMul" else "adj_x"
            axis = -2 if operation.get_attr(contracted) else -1
            macs += int(rows * operation.inputs[0].shape[axis])
    assert macs == accounting.count(config, length).total().macs


def _operations(graph):
    yield from graph.get_operations()
    for definition in graph._functions.values():
        yield from definition.graph.get_operations()


def test_a_run_to_the_end_pays_for_all_heads():
    config = small("weights-only")
    costs = accounting.relative_costs(config, 5)
    assert costs == pytest.approx([(180 + 3151) / 6411, (180 + 6302) / 6411])
    assert costs[-1] > 1
    assert accounting.flops_saved(config, [1, 1], 5) == pytest.approx(-71 / 6411)


def test_flops_saved_adds_up_texts_of_different_lengths():
    config = small("weights-only")
    exits, lengths = np.array([0, 1, 0]), np.array([3, 8, 3])
    short, long = accounting.count(config, 3), accounting.count(config, 8)
    run = 2 * short.depth_flops()[0] + long.depth_flops()[1]
    full = 2 * short.full_depth_flops() + long.full_depth_flops()
    assert accounting.flops_saved(config, exits, lengths) == pytest.approx(1 - run / full)
    assert accounting.flops_saved(config, [0]) == accounting.flops_saved(config, [0], 8)


@pytest.mark.parametrize("exits", [[], [2], [-1, 0]])
def test_flops_saved_rejects_exits_that_are_not_there(exits):
    with pytest.raises(BeexError, match="from 0 to 1"):
        accounting.flops_saved(small("weights-only"), exits)


@pytest.mark.parametrize("length", [0, 9])
def test_length_must_fit(length):
    with pytest.raises(BeexError, match="max_length=8"):
        accounting.count(small("weights-only"), length)


def test_json_and_tables_agree():
    counted = accounting.count(small("fully-binary"), 5)
    values = json.loads(json.dumps(counted.to_dict()))
    layers, stages = counted.tables().values()
    assert len(layers) == len(values["embedding"]) + len(values["block"]) + 1
    assert [row["stage"] for row in stages] == [
        "embedding",
        "block_1",
        "exit_1",
        "block_2",
        "exit_2",
        "total",
    ]
    assert stages[-1]["FLOPs"] == values["total"]["flops"] == values["depth_flops"][-1]
    assert stages[2]["relative cost"] == values["depth_flops"][0] / values["full_depth_flops"]
