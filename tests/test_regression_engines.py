"""A model that answers a number does so alike in every engine."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from c_builds import plain  # noqa: F401
from conftest import MODES, built, converted, needs_engine, random_ids, tiny_config
from conftest import shake as shaken

from beex_keras import (
    BeexError,
    Change,
    Patience,
    TargetScaler,
    TextPreprocessor,
    ValuePrediction,
    export,
    pipeline,
)
from beex_keras.export import beex as beex_format
from beex_keras.export.tflite import flatbuffer
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import CRunner, KerasRunner, LCERunner, Pipeline

sys.path.append(str(Path(__file__).parents[1] / "tools"))
import tflm_host

slow = pytest.mark.slow
STARS = TargetScaler(3.2, 1.3, 1, 5)
RULE = Change(1.4)
NUMBER = {"num_classes": 1, "num_segments": 2}
IDS = random_ids(24, 12)


@pytest.fixture(params=[pytest.param(mode, marks=[] if mode == "w1a8" else slow) for mode in MODES])
def model(request) -> BEExformerClassifier:
    return model_of(request.param)


def dividing(model: BEExformerClassifier) -> Change:
    """The rule by which half of the texts leave the model at exit 2."""
    changes = np.sort(RULE.scores(model(IDS).numpy())[:, 1])
    return Change(float(changes[len(IDS) // 2 - 1 : len(IDS) // 2 + 1].mean()))


def model_of(mode: str) -> BEExformerClassifier:
    tf.keras.utils.set_random_seed(1)
    config = tiny_config(**MODES[mode], **NUMBER)
    model = shaken(BEExformerClassifier(config, value_scale=STARS))
    model.policy = dividing(model)
    return model


@needs_engine
def test_all_engines_answer_the_same(model):
    data = beex_format.convert(model)
    runners = {
        "C": CRunner(data),
        "all outputs": LCERunner(export.to_tflite(model, exit="all-outputs")),
        "in graph": LCERunner(export.to_tflite(model)),
        "decoded": KerasRunner(beex_format.classifier(data)),
    }
    expected = KerasRunner(model).decide(IDS)
    assert set(expected.exits.tolist()) == {1, 2}
    for name, runner in runners.items():
        assert runner.task.scaler == STARS, name
        found = runner.decide(IDS)
        np.testing.assert_array_equal(found.exits, expected.exits, name)
        np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4, err_msg=name)
    assert beex_format.convert(beex_format.classifier(data)) == data
    assert beex_format.rewrite(data, policy=Patience(1)) != data


@pytest.mark.parametrize("mode", ["weights-only", pytest.param("fully-binary", marks=slow)])
def test_files_with_a_threshold_and_their_graphs(mode):
    model = model_of(mode)
    data = export.to_tflite(model, threshold_input=True)
    for epsilon in (1e-6, model.policy.threshold):
        found = LCERunner(data).decide(IDS, Change(epsilon))
        expected = KerasRunner(model).decide(IDS, Change(epsilon))
        np.testing.assert_array_equal(found.exits, expected.exits)
    graphs = flatbuffer.outermost_first(flatbuffer.parse(export.to_tflite(model)))
    # The first exit is never taken, so that its block and the next stand together.
    assert [flatbuffer.text(graph.name) for graph in graphs] == ["main", "exit_2", "block_3"]


@pytest.mark.skipif(tflm_host.why_not() is not None, reason=str(tflm_host.why_not()))
@pytest.mark.parametrize(
    "mode", [pytest.param("float", marks=slow), "w1a8", pytest.param("fully-binary", marks=slow)]
)
def test_tensorflow_lite_micro_answers_the_same(mode):
    policy = dividing(built(mode, **NUMBER))
    data = converted(mode, policy=policy, plan_memory=True, **NUMBER)
    expected = LCERunner(data).decide(IDS)
    assert set(expected.exits.tolist()) == {1, 2}
    micro = tflm_host.Micro(data, arena_size=1 << 20)
    for row, ids in enumerate(IDS):
        logits, index = micro.run(ids[None], outputs=2)
        assert index[0] == expected.exits[row]
        np.testing.assert_allclose(logits[0], expected.logits[row], rtol=0, atol=1e-5)


def test_values_are_those_of_the_c_interface(plain, tmp_path):  # noqa: F811
    """`beex_run` clips by its own code; beexrun prints what it answers."""
    path = tmp_path / "m.beex"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij"]
    tf.keras.utils.set_random_seed(1)
    config = tiny_config(num_classes=1, vocabulary_size=len(vocabulary))
    scale = TargetScaler(3, 1.5, 2.9, 3.05)
    model = shaken(
        BEExformerClassifier(config, TextPreprocessor(vocabulary, 12), value_scale=scale)
    )
    path.write_bytes(beex_format.convert(model))
    texts = ["a b", "c", "d e f", "g h i j", "j a", "b b b b"]
    found = pipeline(path)(texts)
    assert {type(each) for each in found} == {ValuePrediction}
    assert {2.9, 3.05} & {each.value for each in found}
    printed = subprocess.run(
        [plain.link("beexrun.c"), path],
        input="\n".join(texts),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = [f"{each.value:.4f}\t1.0000\t{each.exit}/3" for each in found]
    assert printed == expected


def test_saved_models_keep_their_scale(tmp_path):
    model = model_of("weights-only")
    model.save(tmp_path / "m.keras")
    model.save_pretrained(tmp_path / "m")
    for other in (
        BEExformerClassifier.from_pretrained(tmp_path / "m"),
        tf.keras.models.load_model(tmp_path / "m.keras", compile=False),
    ):
        assert (other.value_scale, other.policy, other.labels) == (STARS, model.policy, ("value",))
    assert "value_scale" not in built().get_config()
    with pytest.raises(BeexError, match="no value_scale"):
        BEExformerClassifier(tiny_config(), value_scale=STARS)


def test_a_number_has_no_best_classes():
    runner = KerasRunner(model_of("float"))
    with pytest.raises(BeexError, match="top_k chooses among classes"):
        Pipeline(runner, top_k=2)
