"""Pre-training: masks, loss, resuming, and classifiers that start from an encoder."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import MODES, shake, tiny_config
from test_cli import beex
from toy import TOY_SIZE

from beex_keras import BeexError, BEExformerConfig, cli
from beex_keras.data import Split, Task
from beex_keras.data.corpus import read_corpus, split_corpus, task_corpus
from beex_keras.losses import MaskedTokenLoss
from beex_keras.models import BEExformer, BEExformerClassifier, MaskedLanguageModel
from beex_keras.starts import initial
from beex_keras.text import SPECIAL_TOKENS
from beex_keras.training import (
    PretrainedEncoder,
    PretrainingConfig,
    TrainingConfig,
    pretrain,
    train,
)
from beex_keras.training.masking import VALIDATION, TokenMasking
from beex_keras.training.pretrained_encoder import save_encoder
from beex_keras.training.pretraining import read_run

WORDS = tuple(f"word{n}" for n in range(95))
VOCABULARY = (*SPECIAL_TOKENS, *WORDS)
UNKNOWN, CLASSIFICATION, SEPARATOR, MASK = (
    SPECIAL_TOKENS.index(f"[{name}]") for name in ("UNK", "CLS", "SEP", "MASK")
)

SOUNDS = {"cat": "meow", "dog": "woof", "cow": "moo", "duck": "quack", "hen": "cluck"}
RECIPE = PretrainingConfig(epochs=4, batch_size=16, learning_rate=2e-2, held_out=0.2)


def rows(lengths, width=40, seed=0):
    """[CLS] words [SEP] and padding, with so many words."""
    ids = np.zeros((len(lengths), width), np.int32)
    generator = np.random.default_rng(seed)
    for row, length in zip(ids, lengths, strict=True):
        row[0], row[length + 1] = CLASSIFICATION, SEPARATOR
        row[1 : length + 1] = generator.integers(len(SPECIAL_TOKENS), len(VOCABULARY), length)
    return ids


def texts(count=150, seed=0):
    """Sentences in which each word follows from the others, but for the number."""
    generator = np.random.default_rng(seed)
    return [
        f"the {animal} number {generator.integers(100)} says {SOUNDS[animal]} to the {animal}"
        for animal in generator.choice(list(SOUNDS), count)
    ]


def toy_config(**changes):
    return BEExformerConfig.preset("micro", **{**TOY_SIZE, "token_dropout": 0.0, **changes})


def command(folder, run):
    """What does as a command what the tests do with `RECIPE`."""
    (folder / "texts.txt").write_text("\n".join(texts()), "utf-8")
    sizes = {**TOY_SIZE, "dropout": toy_config().dropout, "token_dropout": 0.0}
    return [
        "pretrain", "--preset", "micro", "--json", "-o", str(run),
        "--text", str(folder / "texts.txt"), "--epochs", str(RECIPE.epochs),
        "--batch-size", str(RECIPE.batch_size), "--learning-rate", str(RECIPE.learning_rate),
        "--held-out", str(RECIPE.held_out),
        *(f"--set={name}={value}" for name, value in sizes.items()),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    assert beex(*command(folder, folder / "run")) == 0
    assert (folder / "run" / "figures" / "history.png").exists()
    return read_run(folder / "run")


# === Masks ===


def test_shares_are_the_published_ones():
    ids = rows(np.random.default_rng(1).integers(7, 38, 2000))
    inputs, targets = (t.numpy() for t in TokenMasking(VOCABULARY)(ids, tf.constant([1, 2])))
    chosen = targets > 0
    words = ids >= len(SPECIAL_TOKENS)
    assert not (chosen & ~words).any() and (targets[chosen] == ids[chosen]).all()
    assert (inputs[~chosen] == ids[~chosen]).all()
    count = chosen.sum()
    assert abs(count / words.sum() - 0.15) < 0.001
    masked = (inputs == MASK)[chosen].mean()
    # A random word is the word itself once in as many times as there are words.
    changed = ((inputs != MASK) & (inputs != ids))[chosen].mean() / (1 - 1 / len(WORDS))
    deviation = math.sqrt(0.8 * 0.2 / count)
    assert abs(masked - 0.8) < 3 * deviation and abs(changed - 0.1) < 3 * deviation
    random_words = inputs[chosen & (inputs != MASK) & (inputs != ids)]
    assert random_words.min() >= len(SPECIAL_TOKENS) and len(np.unique(random_words)) > 80


@pytest.mark.parametrize(("length", "counts"), [(1, {1}), (6, {1}), (10, {1, 2}), (20, {3})])
def test_words_chosen_of_a_text(length, counts):
    _, targets = TokenMasking(VOCABULARY)(rows([length] * 200), tf.constant([0, 0]))
    found = (targets.numpy() > 0).sum(axis=1)
    assert set(found) == counts
    assert abs(found.mean() - max(1, 0.15 * length)) < 0.1


def test_targets_do_not_leak():
    """What stands under a [MASK] changes neither inputs nor the choice."""
    masking, seed, ids = TokenMasking(VOCABULARY), tf.constant([3, 4]), rows([30] * 50)
    inputs, targets = (t.numpy() for t in masking(ids, seed))
    hidden = inputs == MASK
    first = len(SPECIAL_TOKENS)
    others = np.where(hidden, first + (ids - first + 1) % len(WORDS), ids)
    assert hidden.any() and (others[hidden] != ids[hidden]).all()
    other_inputs, other_targets = (t.numpy() for t in masking(others, seed))
    assert (other_inputs == inputs).all()
    assert ((other_targets > 0) == (targets > 0)).all()


def test_masks_follow_from_seed_and_epoch_wherever_an_epoch_is_resumed():
    def epoch(number, skip=0, seed=0):
        dataset = TokenMasking(VOCABULARY, seed).make_dataset(ids, 8, number, skip)
        return [(*x, y) for x, y in dataset.as_numpy_iterator()]

    def same(one, other):
        return len(one) == len(other) and all(
            np.array_equal(a, b)
            for batches in zip(one, other, strict=True)
            for a, b in zip(*batches, strict=True)
        )

    ids = rows(np.random.default_rng(1).integers(1, 38, 60))
    whole = epoch(2)
    assert len(whole) == 8 and same(whole, epoch(2)) and same(whole[3:], epoch(2, skip=3))
    assert same(epoch(VALIDATION), epoch(VALIDATION))
    assert not any(same(whole, other) for other in (epoch(3), epoch(2, seed=1), epoch(VALIDATION)))
    # The rows of the validation keep their order, and its places are those of its tokens.
    (inputs, places, targets), *_ = epoch(VALIDATION)
    found = np.zeros(inputs.size, bool)
    found[places] = True
    visible = ~found.reshape(inputs.shape)
    assert (inputs[visible] == ids[:8, : inputs.shape[1]][visible]).all()
    assert (targets == ids[:8, : inputs.shape[1]].ravel()[places]).all()


def test_rows_without_a_known_word_are_not_usable():
    ids = rows([1, 1, 3])
    ids[1, 1] = UNKNOWN
    assert TokenMasking(VOCABULARY).usable(ids).tolist() == [True, False, True]


# === Model and loss ===


@pytest.mark.parametrize("loss", ["last", "uniform"])
def test_loss_is_that_of_float64(mode, loss):
    tf.keras.utils.set_random_seed(0)
    config = tiny_config(
        vocabulary_size=len(VOCABULARY), max_length=40, num_blocks=2, **MODES[mode]
    )
    model = shake(MaskedLanguageModel(config, all_blocks=loss == "uniform"))
    model.compile(loss=MaskedTokenLoss(loss), run_eagerly=True)
    ids = rows([20, 3, 9, 30])
    dataset = TokenMasking(VOCABULARY).make_dataset(ids, 4, VALIDATION)
    ((inputs, places), targets), *_ = dataset.as_numpy_iterator()

    outputs = [x.numpy().astype(np.float64) for x in model.backbone(inputs)]
    kernel, a, gamma, beta, bias = (
        w.numpy().astype(np.float64)
        for w in (
            *model.head.transform.weights,
            model.head.normalization.gamma,
            model.head.normalization.beta,
            model.head.bias,
        )
    )
    token = model.backbone.embedding.token
    table = token.table.numpy().astype(np.float64)
    if config.embedding_bits == 1:
        table = np.where(table >= 0, 1, -1) * token.scale.numpy().astype(np.float64)
    losses = []
    for x in outputs if loss == "uniform" else outputs[-1:]:
        z = x.reshape(-1, config.width)[places] @ kernel + a
        z = 0.5 * z * (1 + np.vectorize(math.erf)(z / math.sqrt(2)))
        z = (z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True) * gamma + beta
        logits = z @ table.T + bias
        picked = logits[np.arange(len(targets)), targets]
        losses.append(np.mean(np.log(np.exp(logits).sum(1)) - picked))
    assert model.evaluate(dataset, verbose=0) == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_token_table_learns_from_both_its_uses():
    model = MaskedLanguageModel(tiny_config())
    table = model.backbone.embedding.token.table
    with tf.GradientTape() as tape:
        logit = model([tf.constant([[2, 7, 3]]), tf.constant([1])])[0, 0, 9]
    gradient = tape.gradient(logit, table)
    assert tf.reduce_any(gradient[9] != 0) and tf.reduce_any(gradient[7] != 0)
    assert sum(w is table for w in model.trainable_variables) == 1


# === Runs ===


def test_learns_and_writes_the_run_folder(undisturbed):
    directory = undisturbed.directory
    assert {path.name for path in directory.iterdir()} == {
        "run.json", "vocab.txt", "history.json", "results.json", "encoder", "figures",
    }  # fmt: skip
    results = json.loads((directory / "results.json").read_text())
    assert results == undisturbed.results
    losses = undisturbed.history["val_loss"]
    assert len(losses) == RECIPE.epochs and losses[-1] < losses[0]
    assert results["loss"] == min(losses) and results["epoch"] == 1 + np.argmin(losses)
    assert results["perplexity"] == pytest.approx(math.exp(min(losses)))
    assert results["accuracy"] > results["most_frequent"] > 0
    assert results["texts"] == results["rows"] <= results["hidden_tokens"]


def test_finished_run_is_only_read(undisturbed):
    again = pretrain(texts(), toy_config(), RECIPE, undisturbed.directory, verbose=0)
    assert again.results == undisturbed.results and again.history == undisturbed.history
    with pytest.raises(BeexError, match=r"other settings \(data\)"):
        pretrain(texts(seed=1), toy_config(), RECIPE, undisturbed.directory, verbose=0)


class Interrupt(tf.keras.callbacks.Callback):
    """Stops the training in the middle of its second epoch, as Ctrl-C would."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 3):
            raise KeyboardInterrupt


@pytest.mark.slow
def test_interrupted_run_ends_with_the_same_weights(undisturbed, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        pretrain(
            texts(), toy_config(), RECIPE, tmp_path / "run",
            callbacks=[Interrupt()], checkpoint_seconds=0, verbose=0,
        )  # fmt: skip
    assert (tmp_path / "run" / "checkpoints").exists()
    run = pretrain(texts(), toy_config(), RECIPE, tmp_path / "run", verbose=0)
    assert run.results == undisturbed.results
    assert identity(tmp_path / "run") == identity(undisturbed.directory)


@pytest.mark.slow
def test_killed_command_continues_to_the_same_weights(tmp_path, capsys):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    changes = ["--set=num_blocks=1", "--set=token_dropout=0.1", "--loss", "uniform"]
    program = [sys.executable, "-m", "beex_keras.cli"]
    process = subprocess.Popen(
        [*program, *command(tmp_path, killed), *changes, "--checkpoint-seconds", "0"],
        stdout=subprocess.DEVNULL,
    )
    while not (killed / "history.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "results.json").exists(), "killed too late to show anything"
    figures = []
    for directory in (killed, whole):
        capsys.readouterr()
        assert beex(*command(tmp_path, directory), *changes) == 0
        figures.append({**json.loads(capsys.readouterr().out), "run": None})
    assert figures[0] == figures[1]
    assert identity(killed) == identity(whole)


def identity(directory):
    return PretrainedEncoder(directory).identity


# === Classifiers that start from an encoder ===


class FirstWeights(tf.keras.callbacks.Callback):
    """Ends a training before its first step, and keeps the weights."""

    def on_train_begin(self, logs=None):
        self.values = dict(named(self.model.backbone))
        assert len(self.values) == len(self.model.backbone.weights)
        self.vocabulary = list(self.model.preprocessor.vocabulary)
        raise KeyboardInterrupt


def named(encoder):
    names = (weight.name for weight in encoder.weights)
    return zip(names, encoder.get_weights(), strict=True)


def small_task(pairs=False):
    def split(seed):
        found = texts(30, seed)
        return Split(found, found if pairs else None, np.arange(30, dtype=np.int32) % 2)

    return Task("small", ("a", "b"), *map(split, range(3)), "accuracy", "")


@pytest.mark.parametrize(
    ("changes", "pairs"), [({"num_blocks": 1, "max_length": 9}, False), ({}, True)]
)
def test_training_starts_with_the_encoders_weights(undisturbed, tmp_path, changes, pairs):
    first = FirstWeights()
    with pytest.raises(KeyboardInterrupt):
        train(
            small_task(pairs), toy_config(**changes), TrainingConfig(epochs=1), tmp_path / "run",
            callbacks=[first], init=initial(undisturbed.directory), verbose=0,
        )  # fmt: skip
    encoder = PretrainedEncoder(undisturbed.directory / "encoder")
    source = dict(named(encoder.encoder))
    for name, value in first.values.items():
        if name != "embedding/segment:0":
            assert (value == source[name][: len(value)]).all(), name
    assert first.vocabulary == encoder.vocabulary(1, [])
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["init"] == encoder.identity == PretrainedEncoder(undisturbed.directory).identity


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 32}, "width=16, the one to train 32"),
        ({"num_blocks": 3}, "num_blocks=2, the one to train 3"),
        ({"max_length": 13}, "max_length=12, the one to train 13"),
        ({"weight_bits": 32, "embedding_bits": 32}, "weight_bits=1; only"),
    ],
)
def test_other_shapes_are_refused(undisturbed, tmp_path, changes, sentence):
    init = initial(undisturbed.directory)
    with pytest.raises(BeexError, match=sentence):
        train(small_task(), toy_config(**changes), TrainingConfig(), tmp_path / "run", init=init)
    assert not (tmp_path / "run").exists()


def test_weights_of_every_kind_of_model_arrive(mode, tmp_path):
    config = tiny_config(**MODES[mode], vocabulary_size=len(VOCABULARY), num_blocks=2)
    encoder = shake(BEExformer(config), seed=3)
    save_encoder(tmp_path, encoder, VOCABULARY)
    model = BEExformerClassifier(config)
    heads = [head.get_weights() for head in model.heads]
    assert PretrainedEncoder(tmp_path).apply(model, rows([3], width=12)).real == ()
    for ours, theirs in zip(named(model.backbone), named(encoder), strict=True):
        assert ours[0] == theirs[0] and (ours[1] == theirs[1]).all()
    for before, head in zip(heads, model.heads, strict=True):
        assert all((a == b).all() for a, b in zip(before, head.get_weights(), strict=True))


def test_a_binary_classifier_starts_from_a_real_encoder(tmp_path):
    config = tiny_config(vocabulary_size=len(VOCABULARY), num_blocks=2)
    encoder = shake(BEExformer(config.twin()), seed=3)
    save_encoder(tmp_path, encoder, VOCABULARY)
    model = BEExformerClassifier(config.replace(num_blocks=1))
    start = PretrainedEncoder(tmp_path).apply(model, rows([3], width=12))
    assert set(start.real) == {"weights", "embedding"}
    for mine, its in zip(model.backbone.blocks, encoder.blocks, strict=False):
        for name, linear in mine.linears().items():
            real = its.linears()[name].kernel.numpy()
            assert ((linear.kernel.numpy() >= 0) == (real >= 0)).all()


def test_folders_without_an_encoder_are_refused(tmp_path):
    with pytest.raises(BeexError, match="no model directory"):
        PretrainedEncoder(tmp_path / "none")
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(BeexError, match="not finished"):
        initial(tmp_path)


# === Texts ===


def test_texts_from_files_of_all_kinds(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\n\n two \r\n".encode())
    (tmp_path / "b.jsonl").write_text('{"body": "three", "n": 1}\n{"body": "four"}\n')
    (tmp_path / "c.csv").write_text('n,body\n1,"fi\nve"\n')
    (tmp_path / "d.tsv").write_text("body\tn\nsix\t6\n")
    files = [tmp_path / name for name in ("a.txt", "b.jsonl", "c.csv", "d.tsv")]
    assert read_corpus(files, "body") == ["one", "two", "three", "four", "fi\nve", "six"]


def test_texts_of_a_task_are_those_of_its_training_split():
    task = small_task(pairs=True)
    assert task_corpus(task) == [*task.train.texts, *task.train.pairs]


def test_a_share_of_the_texts_is_held_out_and_none_is_on_both_sides():
    corpus = [*texts(100), *(text.upper() for text in texts(100))]
    rest, held = split_corpus(corpus, 0.1)
    assert len(rest) + len(held) == 200 and 10 <= len(held) <= 30
    assert not {text.lower() for text in rest} & {text.lower() for text in held}
    assert split_corpus(corpus, 0.1) == (rest, held)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("none.txt", None, "no text file at"),
        ("empty.txt", b" \n\n", "holds no text"),
        ("empty.jsonl", b"", "holds no text"),
        ("latin.txt", b"fine\nd\xe9j\xe0\n", "line 2"),
        ("other.csv", b"label\n1\n", "no column 'text'"),
        ("picture.png", b"", "ends in '.png'"),
    ],
)
def test_bad_files_are_refused(tmp_path, name, content, sentence):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BeexError, match=sentence):
        read_corpus([tmp_path / name])


@pytest.mark.parametrize(
    ("corpus", "vocabulary", "sentence"),
    [
        (["one text", "One  text"], None, "fewer than two different"),
        (texts(), SPECIAL_TOKENS, "special tokens alone"),
        (texts(), (*SPECIAL_TOKENS, "zebra"), "knows no word"),
        (texts(), (*SPECIAL_TOKENS[:4], "cat"), r"lacks \[MASK\]"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(tmp_path, corpus, vocabulary, sentence):
    with pytest.raises(BeexError, match=sentence):
        pretrain(corpus, toy_config(), RECIPE, tmp_path / "run", vocabulary, verbose=0)
    if len(set(corpus)) == 2:
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "either as files by --text or as a task"),
        (["--text", "a.txt", "--task", "trec"], "either as files by --text or as a task"),
        (["--task", "files"], "Name your own files by --text"),
        (["--text", "a.txt", "--data-dir", "."], "--data-dir goes with --task"),
        (["--text", "a.txt"], "no text file at a.txt"),
        (["--text", "a.txt", "--held-out", "1"], "held_out=1.0 must lie"),
    ],
)
def test_mistakes_on_the_command_line_are_explained(tmp_path, capsys, arguments, sentence):
    with pytest.raises(SystemExit) as end:
        cli.main(["pretrain", *arguments, "-o", str(tmp_path / "run")])
    assert end.value.code == 2 and not (tmp_path / "run").exists()
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("values", [{"loss": "routed"}, {"held_out": 1}, {"epochs": 0}])
def test_bad_settings_are_refused(values):
    with pytest.raises(BeexError):
        PretrainingConfig(**values)
