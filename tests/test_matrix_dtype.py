"""The type of a training's matrix products, where the call does not name it."""

import pytest

from beex_keras.training import TrainingConfig, matrix_dtype, settings
from beex_keras.training.arguments import Arguments
from beex_keras.training.matrix_dtype import default  # which conftest.py replaces later

CPU = "processor\t: 0\nmodel name\t: amx_bf16\nflags\t\t: fpu avx512f {}\nbugs\t\t: amx_bf16\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("amx_tile amx_bf16", "bfloat16"), ("avx512_bf16", "float32"), (None, "float32")],
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
