import json
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, built, random_ids, shake, tiny_config

from beex_keras import BeexError, BEExformerClassifier, BEExformerConfig, Entropy, TextPreprocessor
from beex_keras.layers import BEExformerBlock, Embedding, ExitHead
from beex_keras.models import PRESETS, BEExformer, saving

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "##s", "."]


def with_text(**changes) -> BEExformerClassifier:
    config = tiny_config(vocabulary_size=len(VOCABULARY), num_classes=2, **changes)
    preprocessor = TextPreprocessor(VOCABULARY, config.max_length)
    return shake(BEExformerClassifier(config, preprocessor, ["no", "yes"], Entropy(0.2)))


def test_every_exit_gives_logits(mode):
    classifier = built(mode, num_blocks=2)
    logits = classifier(random_ids(5, 7))
    assert logits.shape == (5, 2, 4)


def test_padding_changes_no_logit(mode):
    classifier = built(mode, num_blocks=2)
    ids = random_ids(6, 7)
    padded = np.pad(ids, ((0, 0), (0, 5)))
    np.testing.assert_allclose(classifier(padded), classifier(ids), atol=1e-5)


def test_blocks_and_heads_called_one_by_one_equal_the_model(mode):
    classifier = built(mode, num_blocks=2)
    ids = np.pad(random_ids(2, 7), ((0, 0), (0, 3)))
    backbone = classifier.backbone
    mask = backbone.padding_mask(ids)
    x = backbone.embedding(ids)
    for number, (block, head) in enumerate(zip(backbone.blocks, classifier.heads, strict=True)):
        x = block(x, padding_mask=mask)
        logits = head(x, padding_mask=mask)
        np.testing.assert_allclose(logits, classifier(ids)[:, number], atol=1e-5)


def test_single_block_model_works(mode):
    model = BEExformerClassifier(tiny_config(num_blocks=1, **MODES[mode]))
    assert model(random_ids(2, 5)).shape == (2, 1, 4)


@pytest.mark.parametrize("mode", MODES)
def test_bfloat16_is_for_the_products_of_training_only(mode):
    config = tiny_config(**MODES[mode], dropout=0.0, token_dropout=0.0)
    plain, model = (BEExformerClassifier(config, matmul_dtype=d) for d in ("float32", "bfloat16"))
    model.set_weights(plain.get_weights())
    ids = random_ids(4, 9)
    np.testing.assert_array_equal(model(ids), plain(ids))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(ids, training=True) ** 2)
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert np.isfinite(tf.convert_to_tensor(gradient)).all()
    expected = plain(ids, training=True).numpy()
    difference = np.abs(model(ids, training=True) - expected).max()
    if mode == "fully-binary":  # sums of few signs are exact in bfloat16, too
        assert difference == 0
    else:
        assert 0 < difference < 0.2 * np.abs(expected).max()
    assert "bfloat16" not in str(model.get_config())  # which belongs to the machine that trains


@pytest.mark.parametrize(
    "mode", ["float", "fully-binary", pytest.param("weights-only", marks=pytest.mark.slow)]
)
def test_a_larger_model_learns_the_outputs_of_this_one(mode, monkeypatch):
    backbone = BEExformer(tiny_config(**MODES[mode]))
    with monkeypatch.context() as patch:
        patch.setattr(BEExformerBlock, "call", lambda *_, **__: pytest.fail("traced again"))
        backbone(tf.keras.Input((None,), dtype=tf.int32, name="token_ids"))
    for shape in ((None,), (7,)):
        outputs = backbone(tf.keras.Input(shape, dtype=tf.int32))
        assert [output.shape.as_list() for output in outputs] == 3 * [[None, *shape, 12]]
    ids = random_ids(2, 7)
    ids[1, 4:] = 0
    token_ids = tf.keras.Input((None,), dtype=tf.int32, name="token_ids")
    larger = tf.keras.Model(token_ids, backbone(token_ids)[1:])
    for output, expected in zip(larger(ids), backbone(ids)[1:], strict=True):
        assert output.dtype == expected.dtype == tf.float32
        np.testing.assert_array_equal(output, expected)


def test_weight_count(mode):
    c = tiny_config(num_segments=2, num_blocks=2, **MODES[mode])
    d, f, n = c.width, c.hidden_width, c.num_blocks
    binary = c.weight_bits == 1
    embedding = c.vocabulary_size * d + (d if binary else 0) + c.max_length * d + 2 * d + 2 * d
    linear = 4 * d * d + 4 * d * f + (4 * d + 2 * f + 2 * d) * (2 if binary else 1)
    head = d * c.num_classes + c.num_classes
    expected = embedding + n * (linear + 4 * d + head)
    assert BEExformerClassifier(c).count_params() == expected


def test_fit_on_strings_lowers_the_loss_and_shows_exits():
    tf.keras.utils.set_random_seed(0)
    model = with_text(num_blocks=2, token_dropout=0.0, dropout=0.0, **MODES["float"])
    texts = ["good film", "bad film", "good films .", "bad films ."] * 8
    labels = ["yes", "no", "yes", "no"] * 8
    model.compile(tf.keras.optimizers.Adam(0.01))
    history = model.fit(texts, labels, epochs=8, verbose=0, validation_data=(texts, labels)).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    assert {"exit_1", "exit_2", "policy", "mean_depth", "val_exit_2"} <= set(history)
    results = model.evaluate(texts, labels, verbose=0, return_dict=True)
    assert results["exit_2"] == 1.0


def test_strings_ids_and_datasets_agree():
    model = with_text(num_blocks=1, **MODES["float"])
    texts = ["good film", "bad films . good"]
    ids = model.preprocessor.encode(texts)
    expected = model.predict(ids, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(2)
    np.testing.assert_allclose(model.predict(texts, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(model.predict(dataset, verbose=0), expected, atol=1e-5)
    pairs = [("good film", "bad"), ("bad", "film")]
    model = with_text(num_blocks=1, num_segments=2, **MODES["float"])
    ids = model.preprocessor.encode(*map(list, zip(*pairs, strict=True)))
    np.testing.assert_allclose(
        model.predict(pairs, verbose=0), model.predict(ids, verbose=0), atol=1e-5
    )


def test_detached_preprocessor_reads_ids_only():
    model = with_text(num_blocks=1)
    model.preprocessor = None
    model.predict(random_ids(2, 4, 10), verbose=0)
    with pytest.raises(BeexError, match="no preprocessor"):
        model.predict(["good film"], verbose=0)


def test_keras_format_restores_every_bit(mode, tmp_path):
    classifier = built(mode, num_blocks=2)
    ids = random_ids(4, 9)
    classifier.save(tmp_path / "model.keras")
    restored = tf.keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(restored, BEExformerClassifier) and restored.config == classifier.config
    assert (restored(ids).numpy() == classifier(ids).numpy()).all()


def test_keras_format_keeps_text_labels_and_policy(tmp_path):
    model = with_text(num_blocks=1)
    model.save(tmp_path / "model.keras")
    restored = tf.keras.models.load_model(tmp_path / "model.keras")
    assert restored.labels == ("no", "yes") and restored.policy == Entropy(0.2)
    texts = ["bad film"]
    assert (restored.predict(texts, verbose=0) == model.predict(texts, verbose=0)).all()


def test_pretrained_directory_restores_everything(mode, tmp_path):
    model = with_text(num_blocks=1, **MODES[mode])
    model.save_pretrained(tmp_path / "model")
    restored = BEExformerClassifier.from_pretrained(tmp_path / "model")
    assert restored.config == model.config
    assert (restored.labels, restored.policy) == (("no", "yes"), Entropy(0.2))
    for ours, theirs in zip(model.weights, restored.weights, strict=True):
        assert ours.name == theirs.name and (ours.numpy() == theirs.numpy()).all()
    ids = model.preprocessor.encode(["good film .", "bad"])
    assert (restored.preprocessor.encode(["good film .", "bad"]) == ids).all()
    assert (restored(ids).numpy() == model(ids).numpy()).all()
    model.save_pretrained(tmp_path / "model")  # replaces


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A directory of a model, to be copied."""
    directory = tmp_path_factory.mktemp("saved") / "model"
    with_text(num_blocks=1).save_pretrained(directory)
    return directory


def damage(directory, name, change):
    file = directory / name
    file.write_bytes(change(file.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", lambda b: b[:40], "not valid JSON"),
        ("config.json", lambda b: b'{"a": 1}', "does not describe"),
        ("config.json", lambda b: b.replace(b'"version": 1', b'"version": 9'), "format version 9"),
        ("config.json", lambda b: b.replace(b'"width": 12', b'"width": 24'), "do not fit"),
        ("config.json", lambda b: b.replace(b'"num_heads": 3', b'"num_heads": 5'), "multiple of"),
        ("config.json", lambda b: b.replace(b'"tau"', b'"top"'), "does not take"),
        ("vocab.txt", lambda b: b + b"\xff\n", "not valid UTF-8"),
        ("vocab.txt", lambda b: b + b"more\n", "vocabulary"),
        ("model.weights.h5", lambda b: b[:1000], "do not fit"),
    ],
)
def test_damaged_directories_are_explained(saved, tmp_path, name, change, message):
    shutil.copytree(saved, tmp_path / "model")
    damage(tmp_path / "model", name, change)
    with pytest.raises(BeexError, match=message):
        BEExformerClassifier.from_pretrained(tmp_path / "model")


def test_missing_directory_and_files(saved, tmp_path):
    with pytest.raises(BeexError, match="no model at"):
        BEExformerClassifier.from_pretrained(tmp_path / "none")
    shutil.copytree(saved, tmp_path / "model")
    (tmp_path / "model" / "model.weights.h5").unlink()
    with pytest.raises(BeexError, match="no weights"):
        BEExformerClassifier.from_pretrained(tmp_path / "model")


def test_a_folder_with_files_of_others_is_not_replaced(tmp_path):
    model = with_text(num_blocks=1)
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("mine")
    with pytest.raises(BeexError, match=r"holds README\.md, which is not ours"):
        model.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / "README.md").read_text() == "mine"


def test_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    model = with_text(num_blocks=1)
    model.save_pretrained(tmp_path / "model")
    before = (tmp_path / "model" / "config.json").read_bytes()
    monkeypatch.setattr(model, "save_weights", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        model.save_pretrained(tmp_path / "model")
    assert (tmp_path / "model" / "config.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    model = with_text(num_blocks=1)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4000))
    with pytest.raises(BeexError, match=r"has 0\.0 MB left, and \d\.\d MB are needed; make room"):
        model.save_pretrained(tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_a_file_has_room_for_the_weights_and_not_for_the_optimizer(tmp_path, caplog):
    model = built("weights-only", num_blocks=6, width=120, hidden_width=200)
    model.compile(tf.keras.optimizers.AdamW())
    model.optimizer.build(model.trainable_variables)
    saving.save_weights(model, tmp_path / "a.weights.h5")
    size = (tmp_path / "a.weights.h5").stat().st_size
    assert sum(v.numpy().nbytes for v in model.weights) < size
    assert size <= saving.room_for(model.weights) <= 1.5 * size

    expected, state = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
    model.set_weights([value + 1 for value in expected])
    saving.load_weights(model, tmp_path / "a.weights.h5")
    for found, value in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, value)
    for found, value in zip(model.optimizer.variables, state, strict=True):
        np.testing.assert_array_equal(found, value)
    assert not caplog.records  # Keras would say that the state is missing


def test_a_model_is_made_without_a_trace_of_its_layers(monkeypatch):
    for layer in (Embedding, BEExformerBlock, ExitHead):
        monkeypatch.setattr(layer, "call", lambda *_, **__: pytest.fail("was traced"))
    model = BEExformerClassifier(tiny_config())
    names = [weight.name for weight in model.weights]
    assert all(output.shape == (None, None, 12) for output in model.backbone.outputs)
    monkeypatch.undo()
    assert model(random_ids(2, 5)).shape == (2, 3, 4)
    assert [weight.name for weight in model.weights] == names
    assert "block_3/slfn/gate_out/matmul/kernel:0" in names


def test_backbone_round_trip():
    backbone = BEExformer(tiny_config(num_blocks=1))
    restored = BEExformer.from_config(json.loads(json.dumps(backbone.get_config())))
    assert restored.config == backbone.config


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_have_twins(name):
    config = BEExformerConfig.preset(name)
    twin = config.twin()
    assert (twin.weight_bits, twin.activation_bits, twin.embedding_bits) == (32, 32, 32)
    assert twin.replace(weight_bits=1, embedding_bits=1) == config
    assert BEExformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    "values",
    [
        {"width": 10, "num_heads": 3},
        {"width": 0},
        {"width": 12.0},
        {"num_classes": 0},
        {"dropout": 1.0},
        {"token_dropout": -0.1},
        {"latent_scale": 0},
        {"embedding_bits": 8},
        {"weight_bits": 32, "activation_bits": 1},
        {"gate_activation": "relu"},
        {"content_activation": "relu"},
        {"network": "gru"},
        {"network": "ffn", "gate_activation": "sigmoid"},
        {"quantizer": "dorefa"},
        {"layers": 3},
    ],
)
def test_bad_configurations_are_refused(values):
    with pytest.raises(BeexError):
        BEExformerConfig.from_dict(values)
    with pytest.raises(BeexError, match="preset"):
        BEExformerConfig.preset("huge")


def test_what_does_not_fit_the_model_is_refused():
    config = tiny_config(vocabulary_size=len(VOCABULARY), num_blocks=1)
    with pytest.raises(BeexError, match="labels"):
        BEExformerClassifier(config, labels=["a"])
    with pytest.raises(BeexError, match="vocabulary_size"):
        BEExformerClassifier(tiny_config(vocabulary_size=7), TextPreprocessor(VOCABULARY, 12))
    with pytest.raises(BeexError, match="max_length"):
        BEExformerClassifier(config, TextPreprocessor(VOCABULARY, 40))
    with pytest.raises(BeexError, match="Unknown label"):
        BEExformerClassifier(config).to_label_ids(["maybe"])
    classes = config.num_classes
    for numbers, wrong in (([0, classes], classes), ([-1, 0], -1)):
        with pytest.raises(
            BeexError, match=f"from 0 to {classes - 1}, not to {wrong}; count from 0"
        ):
            BEExformerClassifier(config).to_label_ids(numbers)


@pytest.mark.parametrize("network", ["slfn", "ffn"])
def test_weights_are_saved_under_their_layers_names(network, tmp_path):
    """A method that gives layers must not become the path that saved weights are found by."""
    model = BEExformerClassifier(tiny_config(network=network, num_blocks=1))
    model.save_pretrained(tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        block = file["layers/be_exformer/layers/be_exformer_block"]
        assert set(block) == {
            "attention",
            "attention_dropout",
            "attention_norm",
            network,
            "slfn_dropout",
            "slfn_norm",
            "vars",
        }
        assert set(block["attention"]) == {"key", "project", "query", "value", "vars"}
