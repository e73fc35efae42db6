"""The arguments of a training: the same from Python and from the command line."""

import json
import shutil

import pytest
import tensorflow as tf
from commands import exit_code as beex
from small_encoder import write_encoder
from toy import TOY_SIZE, toy_files, write_toy_files
from toy import data_options as data

from beex_keras import TrainingConfig, load
from beex_keras import train as beex_train
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.training import settings, trainer
from beex_keras.training.arguments import Arguments


@pytest.mark.parametrize(
    ("setting", "needed"),
    [("anneal=0.5", "init"), ("init_layers=[0,1]", "init"), ("hidden_weight=2", "teacher")],
)
def test_settings_of_a_start_need_one(tmp_path, capsys, setting, needed):
    write_toy_files(tmp_path)
    words = ["train", *data(tmp_path), "--init", "none", "-o", tmp_path / "run", "--set", setting]
    assert beex(*words) == 2
    name = setting.split("=")[0]
    assert f"{name} means nothing without {needed}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_command_starts_from_an_encoder_with_settings_for_it(tmp_path, dtypes):
    write_encoder(tmp_path / "encoder")
    write_toy_files(tmp_path)
    shape = {"width": 24, "num_heads": 6, "hidden_width": 40, "num_blocks": 2}
    arguments = ["train", *data(tmp_path), "--init", str(tmp_path / "encoder"), "--epochs", "1"]
    arguments += ["--set=init_layers=[0,2]", "--max-length", "12", "-o", str(tmp_path / "run")]
    arguments += [part for name in shape for part in ("--set", f"{name}={shape[name]}")]
    assert beex(*arguments, "--teacher", tmp_path / "encoder", "--json") == 130
    assert dtypes == [{tf.float32}]
    found = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert found["init"]["layers"] == found["teacher"]["layers"] == [0, 2]
    warm = TrainingConfig.warm(True, epochs=1, batch_size=32)
    assert found["training"] == warm.to_dict() and warm.anneal > 0


SAME = {
    "nothing": ([], {}),
    "settings": (
        ["--epochs", 2, "--learning-rate", 0.01, "--seed", 3, "--policy", "entropy", "--set",
         "batch_size=16", "--set", "pieces=false", "--set", "gate_activation=sigmoid"],
        {"epochs": 2, "learning_rate": 0.01, "seed": 3, "policy": "entropy", "batch_size": 16,
         "pieces": False, "gate_activation": "sigmoid"}),
    "bits": (["--preset", "micro", "--bits", "fully-binary"], {"preset": "micro", "bits": "fully-binary"}),
    "real table": (["--set", "embedding_bits=32"], {"embedding_bits": 32}),
    "from a model": (["--init", "{0}/run"], {"init": "{0}/run"}),
    "binarized": (["--init", "{0}/real"], {"init": "{0}/real"}),
    "real, from a model": (["--init", "{0}/real", "--bits", "float"], {"init": "{0}/real", "bits": "float"}),
    "with a teacher": (
        ["--init", "{0}/real", "--teacher", "{0}/real", "--set", "hidden_weight=2"],
        {"init": "{0}/real", "teacher": "{0}/real", "hidden_weight": 2}),
    "from BERT": (
        ["--init", "{0}/encoder", "--set", "init_layers=[0,2]", "--set", "width=24", "--set", "num_heads=6",
         "--set", "hidden_width=40"],
        {"init": "{0}/encoder", "init_layers": [0, 2], "width": 24, "num_heads": 6, "hidden_width": 40}),
}  # fmt: skip


@pytest.fixture(scope="module")
def starts(toy_run, tmp_path_factory):
    """A finished run with its data, and a real model and a BERT-style encoder beside it."""
    folder = shutil.copytree(toy_run, tmp_path_factory.mktemp("starts") / "toy")
    trained = load(folder / "run").classifier
    real = BEExformerClassifier(trained.config.twin(), trained.preprocessor)
    real.save_pretrained(folder / "real")
    write_encoder(folder / "encoder")
    return folder


@pytest.mark.parametrize("words", SAME)
def test_the_same_words_give_the_same_run(starts, tmp_path, monkeypatch, words):
    def stop(self):
        self.open_folder()
        raise BeexError("stopped")

    monkeypatch.setattr(trainer.Trainer, "run", stop)
    options, arguments = SAME[words]

    def here(value):
        return value.replace("{0}", str(starts)) if isinstance(value, str) else value

    size = {} if "init" in arguments and words != "from BERT" else TOY_SIZE
    size = {name: value for name, value in size.items() if name not in arguments}
    given = [f"--set={name}={value}" for name, value in size.items()]
    assert beex("train", *data(starts), *given, *map(here, options), "-o", tmp_path / "cli") == 2
    with pytest.raises(BeexError, match="stopped"):
        beex_train(
            **toy_files(starts),
            output=tmp_path / "python",
            **size,
            **{name: here(value) for name, value in arguments.items()},
        )
    found, expected = (tmp_path / name / "run.json" for name in ("cli", "python"))
    assert found.read_text("utf-8") == expected.read_text("utf-8")


def test_what_follows_from_the_start(starts, tmp_path):
    def resolved(count=10_000, **words):
        source = {"teacher": "none", "init": words.pop("init", "none")}
        found = settings.resolve(Arguments.read(words, **source), settings.Data(count))
        return found.model, found.training

    ours = load(starts / "run").classifier.config
    few = {"epochs": 2, "batch_size": 32}
    assert resolved() == (BEExformerConfig.preset("tiny"), TrainingConfig(epochs=6))
    assert resolved(init=starts / "real") == (ours, TrainingConfig.warm(True, **few))
    assert resolved(init=starts / "real", bits="float")[1] == TrainingConfig.warm(False, **few)
    scratch = (ours, TrainingConfig(epochs=6))
    assert resolved(init=starts / "run") == scratch  # nothing real to lose
    model, training = resolved(init=starts / "encoder", epochs=1, batch_size=8)
    assert model == BEExformerConfig.preset("minilm")
    assert training == TrainingConfig.warm(True, epochs=1, batch_size=8)
    # Few texts are seen more often, many not less than twice, or once by a warm start.
    known = (
        (1, 40, 50),
        (250, 40, 20),
        (600, 40, 10),
        (5_000, 12, 3),
        (60_000, 2, 2),
        (10**6, 2, 1),
    )
    for count, epochs, warm in known:
        assert resolved(count)[1] == TrainingConfig(epochs=epochs)
        found = resolved(count, init=starts / "real")[1]
        assert (found.epochs, found.batch_size) == (warm, 32 if count <= 10_000 else 64)
    fully = BEExformerClassifier(
        ours.with_bits("fully-binary"), load(starts / "run").classifier.preprocessor
    )
    fully.save_pretrained(tmp_path / "fully")
    assert resolved(init=tmp_path / "fully")[0].activation_bits == 1


def test_words_beside_the_object_that_has_them(starts):
    for words in (
        {"model": BEExformerConfig(), "preset": "tiny"},
        {"training": TrainingConfig(), "epochs": 3},
    ):
        with pytest.raises(BeexError, match="is given beside a .*; put it in there"):
            beex_train("rotten_tomatoes", "none", **words)
