"""Encoders that learn to compute in fewer bits what a real one does, without labels."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES
from donors import POSITIONS, write_donor
from test_cli import beex
from test_initialization import config_of
from toy import toy_rows, write_toy_files

from beex_keras import BeexError, load_task
from beex_keras.data.corpus import split_corpus
from beex_keras.models import BEExformerClassifier
from beex_keras.starts import initial
from beex_keras.text import TextPreprocessor
from beex_keras.training import ImitationConfig, PretrainedEncoder, TrainingConfig, train
from beex_keras.training.imitation import imitate

TEXTS = [row["text"] for row in toy_rows(120, 3)]
CONFIG = config_of(num_blocks=1)
RECIPE = ImitationConfig(epochs=3, batch_size=16, learning_rate=5e-3, held_out=0.2)


@pytest.fixture(scope="module")
def donor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("donor")
    write_donor(folder)
    return folder


@pytest.fixture(scope="module")
def run(donor, tmp_path_factory):
    return imitate(
        TEXTS,
        CONFIG,
        RECIPE,
        tmp_path_factory.mktemp("run") / "run",
        initial(donor),
        verbose=0,
    )


def started(config, start, vocabulary):
    """A model at its start, with nothing dropped."""
    preprocessor = TextPreprocessor(vocabulary, config.max_length)
    model = BEExformerClassifier(config, preprocessor)
    start.apply(model, preprocessor.encode(TEXTS[:9]))
    return model


def error(encoder, real, preprocessor, texts):
    """The definition, in float64, over one batch of texts."""
    ids = preprocessor.encode(texts)
    shares = []
    for mine, its in zip(*(tf.nest.flatten(model(ids)) for model in (encoder, real)), strict=True):
        mine, its = (np.asarray(x, np.float64)[ids != 0] for x in (mine, its))
        shares.append(((mine - its) ** 2).sum() / ((its - its.mean(axis=0)) ** 2).sum())
    return np.mean(shares)


def test_encoder_comes_nearer_to_what_it_imitates(donor, run):
    _, held_out = split_corpus(TEXTS, RECIPE.held_out)
    encoder = PretrainedEncoder(run.directory)
    config = encoder.encoder.config
    assert config.weight_bits == config.embedding_bits == 1
    start = initial(donor)
    binary = started(config, start, encoder.vocabulary(1, []))
    real = started(config.twin(), start, encoder.vocabulary(1, []))
    preprocessor = binary.preprocessor
    found = error(encoder.encoder, real.backbone, preprocessor, held_out)
    # The loss is a mean over batches of a size, each relative to its own variance.
    assert found == pytest.approx(run.results["loss"], rel=0.1)
    assert found < 0.8 * error(binary.backbone, real.backbone, preprocessor, held_out)
    assert run.results["loss"] == min(run.history["val_loss"])
    assert not (run.directory / "checkpoints").exists()


@pytest.mark.slow
def test_validation_sees_the_binary_encoder(donor, tmp_path):
    """Also while the training still mixes in real weights, whose error is far less."""

    class Measure(tf.keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.in_training, self.in_validation = [], []

        def on_train_batch_begin(self, batch, logs=None):
            self.in_training.append(self.distance())

        def on_test_batch_begin(self, batch, logs=None):
            self.in_validation.append(self.distance())

        def distance(self):
            """Of the quantized token table from ±1."""
            token = self.model.backbone.embedding.token
            return np.abs(np.abs(token.table_quantizer(token.table).numpy()) - 1).max()

    measure = Measure()
    recipe = dataclasses.replace(RECIPE, epochs=2, anneal=0.9)
    imitate(
        TEXTS, CONFIG, recipe, tmp_path / "run", initial(donor),
        callbacks=[measure], verbose=0,
    )  # fmt: skip
    assert measure.in_validation and max(measure.in_validation) == 0.0
    assert max(measure.in_training) > 0.0


@pytest.mark.slow
def test_interrupted_run_ends_with_the_same_weights(donor, run, tmp_path):
    class Interrupt(tf.keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imitate(
            TEXTS, CONFIG, RECIPE, tmp_path / "run", initial(donor),
            callbacks=[Interrupt()], checkpoint_seconds=0, verbose=0,
        )  # fmt: skip
    again = imitate(TEXTS, CONFIG, RECIPE, tmp_path / "run", initial(donor), verbose=0)
    assert again.results == run.results
    identities = [PretrainedEncoder(r.directory).identity for r in (run, again)]
    assert identities[0] == identities[1]
    assert imitate(TEXTS, CONFIG, RECIPE, tmp_path / "run", initial(donor)) == again


@pytest.mark.slow
def test_pairs_and_single_texts_start_from_an_encoder_of_pairs(donor, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=1, pairs=True)
    run = imitate(TEXTS, CONFIG, recipe, tmp_path / "run", initial(donor), verbose=0)
    assert run.results["rows"] > run.results["texts"]
    encoder = PretrainedEncoder(run.directory)
    vocabulary = encoder.vocabulary(1, [])
    pairs = started(encoder.encoder.config, encoder, vocabulary)
    single = started(encoder.encoder.config.replace(num_segments=1), encoder, vocabulary)
    np.testing.assert_array_equal(
        pairs.backbone.embedding.segment, encoder.encoder.embedding.segment
    )
    ids = single.preprocessor.encode(TEXTS[:5])
    one, other = (model.backbone(ids).numpy()[ids != 0] for model in (single, pairs))
    np.testing.assert_allclose(one, other, atol=1e-2)


def test_what_cannot_be_imitated_is_refused(donor, tmp_path):
    with pytest.raises(BeexError, match="as many bits"):
        imitate(
            TEXTS,
            CONFIG.replace(**MODES["float"]),
            RECIPE,
            tmp_path / "a",
            initial(donor),
            verbose=0,
        )
    assert not (tmp_path / "a").exists()
    config = CONFIG.replace(max_length=POSITIONS + 1)
    with pytest.raises(BeexError, match=f"{POSITIONS} positions"):
        imitate(TEXTS, config, RECIPE, tmp_path / "b", initial(donor), verbose=0)
    assert not (tmp_path / "b").exists()
    with pytest.raises(BeexError, match="Unknown precision"):
        ImitationConfig(precision="int3")


SHAPE = {"width": 24, "num_heads": 6, "hidden_width": 40, "num_blocks": 1}
COMMON = ["--preset", "minilm", "--max-length", "12", "--epochs", "1"]
COMMON += [part for name in SHAPE for part in ("--set", f"{name}={SHAPE[name]}")]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--pairs"], "--pairs goes with --init"),
        (["--init", "DONOR", "--loss", "last"], "--loss does not go with --init"),
        (["--init", "DONOR", "--strategy", "mirrored"], "one replica"),
    ],
)
def test_options_that_do_not_go_together(donor, tmp_path, capsys, options, sentence):
    options = [donor if option == "DONOR" else option for option in options]
    command = ["pretrain", "--text", tmp_path / "texts.txt", *COMMON]
    assert beex(*command, "-o", tmp_path / "none", *options) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_command_and_a_classifier_from_its_encoder(donor, tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), "utf-8")
    command = ["pretrain", "--text", tmp_path / "texts.txt", *COMMON]
    run = tmp_path / "encoder"
    start = ["--init", donor, "--init-layers", "2", "--pairs"]
    assert beex(*command, "-o", run, *start, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["loss"] > 0 and figures["epoch"] == 1
    assert (run / "figures" / "history.png").exists()
    files = write_toy_files(tmp_path)
    files = [part for name, file in files.items() for part in (f"--{name}", file)]
    assert beex("train", *COMMON, *files, "--init", run, "-o", tmp_path / "run", "--json") == 0


def test_training_goes_on_from_an_encoder(run, no_steps, tmp_path):
    task = load_task("files", **write_toy_files(tmp_path))
    done = train(
        task, CONFIG, TrainingConfig(epochs=1), tmp_path / "run",
        init=initial(run.directory), verbose=0,
    )  # fmt: skip
    settings = json.loads((done.directory / "run.json").read_text("utf-8"))
    assert settings["init"] == PretrainedEncoder(run.directory).identity
    vocabulary = list(done.model.preprocessor.vocabulary)
    assert vocabulary == PretrainedEncoder(run.directory).vocabulary(1, [])
