"""The demo on a toy task in place of the film reviews."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_encoder import SHAPE
from toy import write_toy_files

import beex_keras as beex
from beex_keras.models.config import PRESETS

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_demo_compares_and_classifies(encoders, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    task = beex.load_task(**write_toy_files(tmp_path, 80, 30))
    monkeypatch.setattr(beex, "load_task", lambda name: task)
    monkeypatch.setitem(PRESETS, "minilm", {**PRESETS["minilm"], **SHAPE})
    arguments = ["-o", str(tmp_path / "run"), "--json"]
    result = CliRunner().invoke(demo.main, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "run" / "demo.json").read_text("utf-8"))
    assert json.loads(result.stdout.splitlines()[-1]) == figures
    rows = {row["model"]: row for row in figures["models"]}
    converted, keras = rows["model.tflite, calibrated exit"], rows["BEExformer, calibrated exit"]
    assert converted["accuracy"] == keras["accuracy"]
    start = json.loads((tmp_path / "run" / "run" / "run.json").read_text("utf-8"))["init"]
    assert start["name"] == "binary-minilm"
    config = beex.BEExformerClassifier.from_pretrained(tmp_path / "run" / "run").config
    binary = beex.export.beex.weights_size(config, config.max_length)
    assert rows["its weights in float32"]["bytes"] > 4 * binary
    assert [example["label"] in task.labels for example in figures["examples"]] == [True] * 4
