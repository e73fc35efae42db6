"""Models that start from the weights of an encoder or of another model."""

import functools
import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, needs_engine
from interrupted import Interrupt, same_weights
from small_encoder import (
    LAYERS,
    POSITIONS,
    VOCABULARY,
    WIDTH,
    WORDS,
    config_of,
    reference,
)
from toy import toy_rows, write_toy_files

from beex_keras import BeexError, TrainingConfig, convert, exits, load_task
from beex_keras.evaluation import predict_exit_logits
from beex_keras.export import beex as beex_format
from beex_keras.losses import SoftRoutingLoss
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import CRunner, KerasRunner
from beex_keras.runtime.model_runner import exit_logits, runner_of
from beex_keras.text import TextPreprocessor
from beex_keras.training import train, warm_start
from beex_keras.training.callbacks import AnnealBinarization
from beex_keras.training.optimizer import make_optimizer
from beex_keras.training.warm_starts import make_teacher

TEXTS = [row["text"] for row in toy_rows(40, 7)]
LABELS = ("negative", "positive")
CHARACTERS = {*"axyz", "##x", "##y", "##z"}


@functools.cache
def shared(source, **changes):
    """What `started` gives, which takes seconds, for tests that leave it as it is."""
    return started(source, **changes)


def started(source, layers=None, **changes):
    """A model with its first weights, its parts that turn binary, and the ids of some texts."""
    start = warm_start(source, layers)
    config = config_of(**changes)
    preprocessor = TextPreprocessor(
        start.vocabulary(config.vocabulary_size, TEXTS), config.max_length
    )
    config = config.replace(
        vocabulary_size=preprocessor.vocabulary_size, separator_id=preprocessor.separator_id
    )
    tf.keras.utils.set_random_seed(3)
    model = BEExformerClassifier(config, preprocessor, LABELS)
    ids = preprocessor.encode(TEXTS)
    return model, start.apply(model, ids), ids


def unpadded(ids):
    return [row[row != 0] for row in ids]


def rows_of(model, row):
    """The encoder's rows for the model's ids."""
    return [VOCABULARY.index(model.preprocessor.vocabulary[token]) for token in row]


@pytest.mark.parametrize("layers", [None, (0, 2), (2,)])
def test_float32_start_computes_what_the_encoder_does(encoder, layers):
    folder, tensors = encoder
    model, parts, ids = started(
        folder, layers, num_blocks=len(layers or range(LAYERS)), **MODES["float"]
    )
    assert parts == ()
    for row in unpadded(ids)[:5]:
        outputs = tf.nest.flatten(model.backbone(row[None]))
        expected = reference(tensors, rows_of(model, row), layers or range(LAYERS))
        for mine, its in zip(outputs, expected, strict=True):
            # GELU by its definition differs from the approximation by up to 0.0005.
            np.testing.assert_allclose(mine[0], its, atol=1e-2)


def test_segments_of_pairs_are_the_encoders(encoder):
    folder, tensors = encoder
    model, _, _ = shared(folder, num_segments=2, **MODES["float"])
    segments = tensors["embeddings.token_type_embeddings.weight"]
    np.testing.assert_array_equal(model.backbone.embedding.segment, segments)
    table = tensors["embeddings.position_embeddings.weight"]
    np.testing.assert_array_equal(model.backbone.embedding.position, table[:14])


def test_gate_begins_at_one_and_learns(encoder):
    model, _, ids = shared(encoder[0])
    network = model.backbone.blocks[0].slfn
    x = model.backbone.embedding(ids[:4])
    np.testing.assert_array_equal(network.gate_out(tf.sigmoid(network.gate_in(x))), 1.0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(x) ** 2)
    assert np.abs(tape.gradient(loss, network.gate_out.alpha)).min() > 0
    assert len(np.unique(np.sign(network.gate_out.kernel))) == 2


def test_an_encoder_teaches_by_a_gate_of_one_channel_what_it_computes(encoder):
    real, _, ids = shared(encoder[0], **MODES["float"])
    model, _, _ = shared(encoder[0])
    teacher = make_teacher(model, warm_start(encoder[0]), ids)
    assert teacher.config.gate_width == 1
    for its, own in zip(teacher.backbone(ids), real.backbone(ids), strict=True):
        np.testing.assert_allclose(its, own, atol=1e-5)


def begin(model, parts, ids):
    """Outputs of the blocks before the first step, real tokens only."""
    own = model(ids).numpy()
    binarizers = [[*model.backbone.binarizers()[part].values()] for part in parts]
    for binarizer in itertools.chain.from_iterable(binarizers):
        binarizer.fraction = 0.0
    outputs = [x.numpy()[ids != 0] for x in model.backbone(ids)]
    AnnealBinarization(binarizers, steps=10).on_epoch_end(0)
    np.testing.assert_array_equal(model(ids), own)
    return outputs


def test_annealed_model_begins_as_the_real_one(encoder):
    real, _, ids = shared(encoder[0], **MODES["float"])
    model, parts, _ = shared(encoder[0])
    assert parts == ("weights", "embedding")
    for mine, its in zip(begin(model, parts, ids[:8]), real.backbone(ids[:8]), strict=True):
        np.testing.assert_allclose(mine, its.numpy()[ids[:8] != 0], atol=5e-3)


def test_fully_binary_model_begins_as_the_weights_only_one(encoder, tmp_path):
    source, _, ids = shared(encoder[0])
    source.save_pretrained(tmp_path / "model")
    model, parts, _ = started(tmp_path, **MODES["fully-binary"])
    assert parts == ("activations",)
    for mine, its in zip(begin(model, parts, ids[:8]), source.backbone(ids[:8]), strict=True):
        # It computes on a grid, with an exponential of its own.
        np.testing.assert_allclose(mine, its.numpy()[ids[:8] != 0], atol=0.15)


def test_fully_binary_start_approximates_by_least_squares(encoder):
    """No other centre and spread is nearer to what a matrix of the weights-only model reads."""
    model, _, ids = shared(encoder[0], **MODES["fully-binary"])
    source, _, _ = shared(encoder[0])
    network = source.backbone.blocks[0].slfn
    z = np.concatenate(
        [
            network.content_in(
                source.backbone.blocks[0].attention_norm(x + source.backbone.blocks[0].attention(x))
            )
            .numpy()
            .ravel()
            for x in (source.backbone.embedding(row[None]) for row in unpadded(ids))
        ]
    )
    h = z * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))
    design = np.stack([np.ones_like(z), np.where(z >= 0, 1.0, -1.0)], axis=1)
    centre, spread = np.linalg.lstsq(design.astype(np.float64), h, rcond=None)[0]
    mine, its = model.backbone.blocks[0].slfn.content_out, network.content_out
    np.testing.assert_allclose(mine.alpha, its.alpha.numpy() * spread, rtol=1e-3)
    shift = centre * its.alpha * np.sign(its.kernel).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(mine.bias - its.bias, shift, rtol=1e-3, atol=1e-5)


def test_narrower_model_starts_from_principal_components(encoder):
    folder, tensors = encoder
    model, _, _ = started(folder, width=8, num_heads=2, hidden_width=10, **MODES["float"])
    table = tensors["embeddings.word_embeddings.weight"].astype(np.float64)
    rows = [VOCABULARY.index(token) for token in model.preprocessor.vocabulary]
    narrow = model.backbone.embedding.token.table.numpy()
    # Distances between tokens are kept as well as any eight numbers a token can.
    centred = table - table.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    best = ((left[:, :8] * values[:8]) @ (left[:, :8] * values[:8]).T)[np.ix_(rows, rows)]
    mine = narrow - (table.mean(axis=0) @ model_basis(table, narrow, rows))
    np.testing.assert_allclose(mine @ mine.T, best, atol=1e-4)
    again, _, _ = started(folder, width=8, num_heads=2, hidden_width=10, **MODES["float"])
    for one, other in zip(model.backbone.get_weights(), again.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def model_basis(table, narrow, rows):
    """The projection, recovered from what it made of the table."""
    return np.linalg.lstsq(table[rows], narrow, rcond=None)[0]


def test_vocabulary_is_the_encoders_or_what_the_texts_use(encoder):
    start = warm_start(encoder[0])
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    whole = start.vocabulary(1000, TEXTS)
    assert whole[:5] == special and set(whole) == set(VOCABULARY) - {"[unused0]", "[unused1]"}
    few = start.vocabulary(11, ["good film", "good plot", "good film xyz"])
    assert few[:5] == special and {"x", "##y", "##z", "good", "film", "plot"} == set(few[5:])
    assert set(start.vocabulary(20, ["good film"])) == {*special, "good", "film", *CHARACTERS}
    assert start.vocabulary(9, ["good film", "good xyz"])[5:] == ["good", "x", "##y", "##z"]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return load_task(**write_toy_files(tmp_path_factory.mktemp("toy")))


CONFIG = TrainingConfig(
    epochs=2,
    batch_size=16,
    learning_rate=3e-3,
    binarization_fraction=0.6,
    exit_lr_multiplier=3.0,
)


@pytest.mark.slow
def test_training_from_an_encoder_resumes_to_the_same_weights(encoder, task, tmp_path):
    shape = config_of(num_blocks=1, **MODES["fully-binary"])
    start = warm_start(encoder[0])
    config = CONFIG.replace(model=shape, init=start, save_steps=4)
    whole = train(task, tmp_path / "whole", config, verbose=0)

    with pytest.raises(KeyboardInterrupt):
        train(task, tmp_path / "cut", config, callbacks=[Interrupt(0, 8)], verbose=0)
    cut = train(task, tmp_path / "cut", config, verbose=0)
    assert same_weights(cut.model, whole.model)
    settings = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert settings["init"] == start.identity


@needs_engine
def test_the_engine_validates_a_model_that_is_being_annealed(encoder, task, tmp_path, eager):
    """Weights and activations."""
    compared = []

    class Compare(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            model = self.model.student
            ids = model.preprocessor.encode(TEXTS)
            keras = predict_exit_logits(model, ids)
            with pytest.MonkeyPatch.context() as without:
                without.setattr(KerasRunner, "exit_logits", lambda *_: pytest.fail("asked Keras"))
                engine = exit_logits(model, ids)
            np.testing.assert_allclose(engine, keras, atol=1e-3)
            compared.append(np.ptp(keras))

    # Over more epochs than one, so that the first ends in the middle.
    shape = config_of(num_blocks=1, **MODES["fully-binary"])
    options = {"binarization_fraction": 0.9, "batch_size": 50}
    config = CONFIG.replace(model=shape, init=warm_start(encoder[0]), **options)
    train(task, tmp_path / "run", config, callbacks=[Compare()], verbose=0)
    assert len(compared) == config.epochs and min(compared) > 0.1


@needs_engine
def test_keras_validates_a_model_that_no_file_can_hold(encoder):
    model, _, ids = started(encoder[0], num_blocks=1)
    assert isinstance(runner_of(model), CRunner)
    model.heads[0].set_weights(
        [np.full_like(weight, 1e30) for weight in model.heads[0].get_weights()]
    )
    with pytest.raises(BeexError, match="holds"):
        beex_format.convert(model)
    np.testing.assert_array_equal(exit_logits(model, ids), predict_exit_logits(model, ids))


def test_binary_model_starts_from_a_run_and_learns_from_it(toy_run, task, tmp_path, eager):
    """BiT's last step: from a run with binary weights, the activations."""
    start = warm_start(toy_run / "run")
    first = start.source
    assert start.vocabulary(5, []) == list(first.preprocessor.vocabulary)
    config = CONFIG.replace(
        model=first.config.replace(num_blocks=1, **MODES["fully-binary"]),
        init=start,
        teacher=start,
        epochs=1,
        batch_size=50,
    )
    second = train(task, tmp_path / "run", config, verbose=0)
    assert second.model.config.activation_bits == 1
    assert second.model.preprocessor.vocabulary == first.preprocessor.vocabulary
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["init"] == settings["teacher"] == start.identity


@pytest.mark.parametrize("mode", ["weights-only", "fully-binary"])
def test_model_starts_from_a_file(encoder, tmp_path, mode):
    """The signs are all there, and latent weights near enough to a flip to learn from there."""
    model, _, ids = started(encoder[0], num_blocks=1, **MODES[mode])
    model.policy = exits.FixedDepth(1)
    convert(model, tmp_path / "m.beex")
    model.save(tmp_path / "m.keras")
    config = model.config.replace(max_length=14)
    for file in ("m.keras", "m.beex"):
        start = warm_start(tmp_path / file)
        start.check(config)
        assert start.vocabulary(5, []) == list(model.preprocessor.vocabulary)
        mine = BEExformerClassifier(config, model.preprocessor, labels=LABELS)
        assert start.apply(mine, ids) == ()
        np.testing.assert_allclose(mine(ids), model(ids), atol=1e-5)
        assert start.identity != warm_start(encoder[0]).identity
    training = TrainingConfig(epochs=1, batch_size=8, learning_rate=1e-2)
    mine.compile(make_optimizer(training, 15, config), SoftRoutingLoss(), run_eagerly=True)
    mine.fit(ids, np.arange(len(ids)) % 2, batch_size=8, epochs=3, verbose=0)
    changed = [
        ((linear.kernel.numpy() >= 0) != (its.linears()[name].kernel.numpy() >= 0)).mean()
        for block, its in zip(mine.backbone.blocks, model.backbone.blocks, strict=True)
        for name, linear in block.linears().items()
    ]
    assert 0 < np.mean(changed) < 0.5


def test_labels_may_come_in_another_order(encoder, tmp_path):
    model, _, ids = started(encoder[0], num_blocks=1)
    model.save(tmp_path / "m.keras")
    start = warm_start(tmp_path / "m.keras")
    mine = BEExformerClassifier(model.config, model.preprocessor, labels=LABELS[::-1])
    start.apply(mine, ids)
    np.testing.assert_allclose(mine(ids)[..., ::-1], model(ids), atol=1e-6)
    teacher = make_teacher(mine, start, ids)
    np.testing.assert_allclose(teacher(ids)[..., ::-1], model(ids), atol=1e-6)


def test_packaged_model_is_a_start():
    start = warm_start("sst2-minilm")
    assert start.source.labels == ("negative", "positive")
    with pytest.raises(BeexError, match="nothing to start from at sst2-minilms"):
        warm_start("sst2-minilms")
    with pytest.raises(BeexError, match="init_layers chooses layers"):
        warm_start("sst2-minilm", [0, 1])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 28, "num_heads": 7}, "width of at most 24"),
        ({"num_heads": 4}, "num_heads = width / 4"),
        ({"hidden_width": 50}, "hidden_width of at most 40"),
        ({"content_activation": "tanh"}, "needs content_activation=gelu"),
        ({"network": "ffn"}, "Only a network 'slfn'"),
        ({"max_length": POSITIONS + 1}, "20 positions"),
        ({"num_blocks": 4}, "layers 0 to 2, not 3"),
    ],
)
def test_models_that_do_not_fit_the_encoder_are_refused(encoder, changes, sentence):
    with pytest.raises(BeexError, match=sentence):
        warm_start(encoder[0]).check(config_of(**changes))


def test_a_run_of_another_shape_or_with_signs_for_activations_is_refused(encoder, tmp_path):
    model, _, _ = shared(encoder[0])
    model.save_pretrained(tmp_path / "model")
    start = warm_start(tmp_path / "model")
    for changes, sentence in (
        ({"num_blocks": 4}, "num_blocks=3"),
        ({"width": 12, "num_heads": 3}, f"width={WIDTH}"),
    ):
        with pytest.raises(BeexError, match=sentence):
            start.check(model.config.replace(**changes))
    fully = BEExformerClassifier(model.config.with_bits("fully-binary"), model.preprocessor)
    fully.save_pretrained(tmp_path / "fully")
    with pytest.raises(BeexError, match="fewer bits"):
        warm_start(tmp_path / "fully").check(model.config)


@pytest.mark.parametrize("of_source", [{"embedding_bits": 32}, {"embedding_bits": 1}])
def test_real_weights_start_as_what_binary_ones_are(encoder, tmp_path, of_source):
    model, _, ids = started(encoder[0], **{**MODES["weights-only"], **of_source})
    model.save_pretrained(tmp_path / "model")
    start = warm_start(tmp_path / "model")
    real = BEExformerClassifier(model.config.twin(), model.preprocessor, labels=LABELS)
    start.check(real.config)
    assert start.apply(real, ids) == ()
    np.testing.assert_allclose(real(ids), model(ids), atol=1e-5)


def test_part_of_a_model_is_a_start(encoder, tmp_path):
    """Fewer blocks and positions; single texts read by a model of pairs as they are without one."""
    whole, _, ids = shared(encoder[0], num_segments=2)
    whole.save_pretrained(tmp_path / "model")
    start = warm_start(tmp_path / "model")
    config = whole.config.replace(num_blocks=2, max_length=10, num_segments=1)
    start.check(config)
    part = BEExformerClassifier(config, labels=LABELS)
    start.apply(part, ids)
    short = ids[:8, :10]
    # Positions are multiples of 2^-16 (POSITION_BITS), segments are not.
    np.testing.assert_allclose(part(short), whole(short)[:, :2], atol=1e-3)

    single = BEExformerClassifier(config.replace(num_blocks=3, max_length=14), whole.preprocessor)
    single.save_pretrained(tmp_path / "single")
    pairs = BEExformerClassifier(whole.config, whole.preprocessor)
    before = pairs.backbone.embedding.segment.numpy()
    warm_start(tmp_path / "single").apply(pairs, ids)
    np.testing.assert_array_equal(pairs.backbone.embedding.segment, before)
    mine, its = (model.backbone.blocks[2].linears() for model in (pairs, single))
    for name, linear in mine.items():
        np.testing.assert_array_equal(linear.kernel, its[name].kernel)


def test_words_of_the_toy_task_are_the_encoders():
    assert {word for text in TEXTS for word in text.split()} <= set(WORDS)
