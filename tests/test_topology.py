"""The list of a model's weights against the weights of the built model."""

import pytest
from conftest import MODES, tiny_config

from beex_keras.errors import BeexError
from beex_keras.models import BEExformerClassifier, topology
from beex_keras.precision import KINDS, Precision


@pytest.mark.parametrize("network", ["slfn", "ffn"])
def test_parts_are_those_of_the_model(network):
    config = tiny_config(num_segments=2, network=network, num_blocks=1)
    model = BEExformerClassifier(config)
    block, embedding = model.backbone.blocks[0], model.backbone.embedding
    stages = dict(topology.stages(config))
    assert list(stages) == ["embedding", "block_1", "exit_1"]
    shapes = {part.name: part.shape for part in topology.matrices(config)}
    assert shapes == {n: tuple(linear.kernel.shape[2:]) for n, linear in block.linears().items()}
    rest = {part.name for part in stages["block_1"]} - set(shapes)
    assert all(part.shape == (config.width,) for part in stages["block_1"] if part.name in rest)
    assert rest == {"attention_norm", "slfn_norm"}
    tables = {part.name: part.shape for part in stages["embedding"]}
    assert tables["token"] == tuple(embedding.token.table.shape)
    assert tables["position"] == tuple(embedding.position.shape)
    assert tables["segment"] == tuple(embedding.segment.shape)
    assert tuple(model.heads[0].dense.kernel.shape) == topology.head(config).shape


def test_inner_width_may_be_the_smaller():
    config = tiny_config(width=24, hidden_width=8)
    assert topology.inner_width(config) == 8
    assert topology.inner_width(config.replace(network="ffn")) == 16


def test_kinds_have_names():
    for name, bits in KINDS.items():
        precision = Precision.named(name)
        assert (precision.weights, precision.activations) == bits
        assert precision.embedding == precision.weights and precision.name == name
        assert precision.bits() == MODES[name]
    assert Precision.named("float", embedding=1).embedding == 1
    with pytest.raises(BeexError, match="fully-binary"):
        Precision(32, 1)
    with pytest.raises(BeexError, match="embedding_bits=8 must be 1 or 32"):
        Precision(embedding=8)
