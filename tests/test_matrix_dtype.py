"""The type of a training's matrix products, where the call does not name it."""

import json

import pytest
from toy import TOY_SIZE, write_toy_files

from beex_keras import BeexError, load_task
from beex_keras.training import TrainingConfig, matrix_dtype, settings, train
from beex_keras.training.arguments import Arguments
from beex_keras.training.matrix_dtype import default  # which conftest.py replaces later

CPU = "processor\t: 0\nmodel name\t: amx_bf16\nflags\t\t: fpu avx512f {}\nbugs\t\t: amx_bf16\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("amx_tile amx_bf16", "bfloat16"),
        ("avx512_bf16 avx512_vnni", "bfloat16"),
        ("avx512_vnni avx_vnni", "float32"),
        (None, "float32"),
    ],
)
def test_it_follows_from_the_instructions_of_the_processor(tmp_path, monkeypatch, flags, expected):
    file = tmp_path / "cpuinfo"
    if flags is not None:
        file.write_text(CPU.format(flags), "utf-8")
    monkeypatch.setattr(matrix_dtype, "_CPU", file)
    assert default.__wrapped__() == expected


def test_every_training_has_it_unless_its_call_says_another(monkeypatch):
    monkeypatch.setattr(matrix_dtype, "default", lambda: "bfloat16")

    def precisions(init=None, training=None, **words):
        read = Arguments.read(words, init=init, training=training)
        found = settings.resolve(read, settings.Data(500))
        return [each.training.precision for each in (found, found.twin) if each is not None]

    assert precisions() == ["bfloat16"] * 2  # and the twin's
    assert precisions(init="none") == ["bfloat16"]
    assert precisions(precision="float32") == ["float32"] * 2
    assert precisions(training=TrainingConfig()) == ["float32"]


def test_a_run_has_it_to_its_end_on_whatever_processor(tmp_path, no_steps, monkeypatch):
    task = load_task(**write_toy_files(tmp_path, 20, 10))
    words = {"preset": "micro", "epochs": 1, "verbose": 0, **TOY_SIZE}

    def precision(**more):
        train(task, tmp_path / "run", **words, **more)
        return json.loads((tmp_path / "run" / "run.json").read_text())["training"]["precision"]

    monkeypatch.setattr(matrix_dtype, "default", lambda: "bfloat16")
    assert precision() == "bfloat16"
    monkeypatch.setattr(matrix_dtype, "default", lambda: "float32")
    assert precision() == "bfloat16"
    with pytest.raises(BeexError, match=r"with other settings \(precision\)"):
        precision(precision="float32")
