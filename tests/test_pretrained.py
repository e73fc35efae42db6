"""The models that come along: found by name, whole, and what their cards say of them."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import exit_code as beex
from conftest import MODES, needs_engine, random_ids, shake, tiny_config

from beex_keras import exits, pipeline, pretrained
from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.models import BEExformerClassifier
from beex_keras.runtime import KerasRunner, load
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor

ROOT = Path(__file__).parents[1]
NAMES = pretrained.names()
MOST = 16_000_000


# === What comes along ===


def test_the_models_are_small_enough_together():
    assert NAMES
    assert sum(file.stat().st_size for file in pretrained.FOLDER.glob("*.beex")) < MOST


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_of_its_file(name, tool):
    data = (pretrained.FOLDER / f"{name}.beex").read_bytes()
    card, metadata = pretrained.card(name), beex_format.read(data)
    assert card["file"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert (card["name"], card["file"]["bytes"]) == (name, len(data))
    assert card["config"] == metadata.config.to_dict()
    assert card["policy"] == exits.serialize(metadata.policy) == metadata.calibration["policy"]
    assert tuple(card["labels"]) == metadata.labels
    best = max(card["seeds"], key=lambda row: row["validation"])
    assert best["validation"] == metadata.calibration["validation_accuracy"]
    assert card["shipped_seed"] == best["seed"] and len(card["seeds"]) >= 3
    assert pretrained.page(name) == tool("page").page(card)


def test_the_readme_has_the_cards_figures(tool):
    page = tool("page")
    readme = (ROOT / "README.md").read_text("utf-8")
    peers = json.loads((ROOT / "benchmarks/recorded/peers.json").read_text("utf-8"))["rows"]
    cards = [pretrained.card(name) for name in NAMES]
    assert page.with_table(readme, page.table(cards, peers)) == readme


@needs_engine
@pytest.mark.parametrize("name", NAMES)
def test_its_probes_are_answered_as_the_card_says(name):
    probes = pretrained.card(name)["probes"]
    found = pipeline(name)([probe["text"] for probe in probes])
    for probe, prediction in zip(probes, found, strict=True):
        assert (prediction.label, prediction.exit) == (probe["answer"], probe["exit"])
        assert prediction.score == pytest.approx(probe["score"], abs=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-micro")])
def test_the_small_ones_fit_boards_with_128_kb(name):
    card = pretrained.card(name)
    small = [row for row in card["boards"] if row["board_ram"] == 128 * 1024]
    assert small and all(row["flash"] < 1024 * 1024 for row in small)
    assert 50_000 < card["file"]["bytes"] < 600_000


# === By name ===


def test_what_exists_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pretrained.find(NAMES[0]) == pretrained.FOLDER / f"{NAMES[0]}.beex"
    Path(NAMES[0]).mkdir()
    assert pretrained.find(NAMES[0]) == Path(NAMES[0])
    for path in ("folder/none", "none.beex", tmp_path / "none"):
        with pytest.raises(BeexError, match="no model at .*none"):
            pretrained.find(path)
    with pytest.raises(BeexError, match=", ".join(NAMES)):
        pretrained.find("none")
    with pytest.raises(BeexError, match="no packaged model"):  # a text where the model belongs
        pretrained.find("good " * 100)


@needs_engine
def test_a_model_is_named_before_its_texts_or_by_an_option(capsys):
    outputs = []
    for arguments in ([NAMES[0], "good"], ["--model", NAMES[0], "good"]):
        assert beex("predict", *arguments) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] and outputs[0].endswith("\tgood\n")


def test_the_list_and_a_card(capsys):
    assert beex("models") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)
    assert "account_blocked, alarm, application_status and 146 more" in " ".join(listed.split())
    assert beex("models", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)) == NAMES
    assert beex("models", NAMES[0]) == 0
    assert capsys.readouterr().out == pretrained.page(NAMES[0])
    assert beex("models", NAMES[0], "--json") == 0
    assert json.loads(capsys.readouterr().out) == pretrained.card(NAMES[0])


@pytest.mark.parametrize("command", [["predict"], ["models", "none"], ["predict", "none", "text"]])
def test_mistakes_name_the_models_or_where_they_are_listed(command, capsys):
    assert beex(*command) == 2
    error = capsys.readouterr().err
    assert NAMES[0] in error or "beex models" in error


def test_the_list_does_not_wait_for_tensorflow():
    code = "import sys; from beex_keras.cli import main\ntry: main(['models'])\nexcept SystemExit: pass\n"
    code += "print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


# === From a file back to Keras ===


@pytest.mark.parametrize("network", ["slfn", "ffn"])
@pytest.mark.parametrize("mode", MODES)
def test_a_file_gives_the_model_that_gives_the_file(mode, network):
    words = [*SPECIAL_TOKENS, "a", "good", "##s", "film"]
    config = tiny_config(
        **MODES[mode],
        network=network,
        num_segments=2,
        vocabulary_size=len(words),
        width=20,
        num_heads=2,
        num_blocks=2,
    )
    preprocessor = TextPreprocessor(words, config.max_length)
    model = shake(BEExformerClassifier(config, preprocessor, "abcd", exits.Patience(2)))
    data = beex_format.convert(model, calibration={"tolerance": 0.5})
    restored = beex_format.classifier(data)
    assert beex_format.convert(restored, calibration={"tolerance": 0.5}) == data
    ids = random_ids(3, 9, len(words))
    np.testing.assert_array_equal(restored(ids).numpy(), model(ids).numpy())


def test_a_shorter_file_gives_a_shorter_model():
    model = shake(BEExformerClassifier(tiny_config()))
    restored = beex_format.classifier(beex_format.convert(model, length=7))
    ids = random_ids(2, 7)
    np.testing.assert_array_equal(restored(ids).numpy(), model(ids).numpy())
    assert restored.config.max_length == 7


def test_a_file_of_8_bits_has_no_keras_model():
    model = BEExformerClassifier(tiny_config(**MODES["float"]))
    with pytest.raises(BeexError, match="8 bits"):
        beex_format.classifier(beex_format.convert(model, int8_weights=True))


def test_a_model_that_comes_along_converts_further(tmp_path, capsys):
    target = tmp_path / "model.beex"
    assert beex("convert", NAMES[0], "-o", target, "--json") == 0
    shipped, again = (pretrained.FOLDER / f"{NAMES[0]}.beex").read_bytes(), target.read_bytes()
    header = beex_format.read_header(shipped)
    weights = slice(header["weights"], header["metadata"])
    assert again[weights] == shipped[weights]
    assert beex_format.read(again).calibration == beex_format.read(shipped).calibration


def test_without_the_c_engine_keras_takes_its_place(monkeypatch):
    monkeypatch.setattr("beex_keras.runtime.library.path", lambda: Path("missing"))
    runner = load(NAMES[0])
    assert isinstance(runner, KerasRunner)
    probe = pretrained.card(NAMES[0])["probes"][0]
    (found,) = runner.classify([probe["text"]])
    assert (found.label, found.exit) == (probe["answer"], probe["exit"])


def test_from_pretrained_takes_a_name():
    assert BEExformerClassifier.from_pretrained(NAMES[0]).labels == tuple(
        pretrained.card(NAMES[0])["labels"]
    )


@pytest.mark.parametrize("model", [None, 5])
def test_what_names_no_model(model):
    with pytest.raises(BeexError, match="given by its path or its name"):
        pretrained.find(model)
