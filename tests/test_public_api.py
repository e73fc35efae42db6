"""What `import beex_keras` gives: lazily at run time, and typed for checkers and editors."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import beex_keras as beex


def run(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_every_public_name_is_there():
    for name in beex.__all__:
        assert getattr(beex, name) is not None
    assert set(beex.__all__) <= set(dir(beex))
    with pytest.raises(AttributeError, match="tranin"):
        _ = beex.tranin


def test_the_command_line_answers_without_tensorflow():
    code = "import sys, beex_keras.cli.app; print('tensorflow' in sys.modules)"
    assert run("-c", code) == "False\n"


@pytest.mark.slow
def test_type_checkers_see_every_public_name(tmp_path):
    script = tmp_path / "script.py"
    lines = ["import beex_keras as beex", *(f"reveal_type(beex.{n})" for n in beex.__all__)]
    lines += [
        'run = beex.train("rotten_tomatoes", "runs/movies", preset="tiny")',
        "reveal_type(run.model.labels)",
        'reveal_type(beex.pipeline("movies.tflite"))',
    ]
    script.write_text("\n".join(lines) + "\n", "utf-8")
    found = run("-m", "mypy", "--ignore-missing-imports", "--config-file", "", str(script))
    types = re.findall(r'Revealed type is "(.*)"', found)
    assert len(types) == len(beex.__all__) + 2
    assert not [kind for kind in types if kind in ("Any", "builtins.object")]
    assert types[-2:] == ["tuple[str, ...]", "beex_keras.runtime.classification.Pipeline"]


@pytest.mark.parametrize("stub", (Path(beex.__file__).parent).rglob("__init__.pyi"), ids=str)
def test_no_name_is_that_of_its_module(stub):
    """Which would be found in its place: see beex_keras/lazy.py."""
    for node in ast.parse(stub.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in {alias.name for alias in node.names}
