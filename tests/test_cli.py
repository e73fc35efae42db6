"""The command line as a user meets it: every command, and a sentence for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from toy import TOY_SIZE, write_toy_files

from beex_keras import cli, export, load
from beex_keras.exits import POLICIES
from beex_keras.export import metadata
from beex_keras.models import PRESETS


def beex(*arguments) -> int:
    """Runs the command in this process; its exit code."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(argument) for argument in arguments])
    return end.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data, a run, and the model converted."""
    path = tmp_path_factory.mktemp("cli")
    write_toy_files(path)
    sizes = [f"--set={name}={value}" for name, value in TOY_SIZE.items()]
    code = beex(
        "train", *data(path), *sizes, "--epochs", 3, "--batch-size", 8, "--learning-rate", 0.01,
        "--tensorboard", "--json", "-o", path / "run",
    )  # fmt: skip
    assert code == 0
    assert beex("convert", path / "run", "-o", path / "model.tflite", "--json") == 0
    return path


def data(folder: Path) -> list[str]:
    return [f"--{name}={folder / name}.jsonl" for name in ("train", "validation", "test")]


def test_train_leaves_model_figures_and_results(folder):
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {
        "model", "figures", "tensorboard", "results.json", "history.json", "vocab.txt", "run.json",
    }  # fmt: skip
    assert {path.name for path in (folder / "run" / "figures").iterdir()} == {
        "history.png", "trade_off.png", "exits.png",
    }  # fmt: skip


@pytest.mark.parametrize("model", ["run", "run/model", "model.tflite"])
def test_predict_prints_label_score_and_exit(folder, model, capsys):
    assert beex("predict", folder / model, "the good film", "a really awful plot") == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[3] for line in lines] == ["the good film", "a really awful plot"]
    assert beex("predict", folder / model, "--json", "the good film", "a really awful plot") == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line, value in zip(lines, values, strict=True):
        assert line[:3] == [value["label"], f"{value['score']:.4f}", f"exit {value['exit']}/2"]
        assert sum(value["probabilities"].values()) == pytest.approx(1)


def test_keras_and_tflite_evaluate_alike(folder, capsys):
    figures = []
    for model in ("run", "model.tflite"):
        assert beex("evaluate", folder / model, *data(folder), "--json") == 0
        figures.append(json.loads(capsys.readouterr().out))
    assert figures[0] == figures[1]
    assert figures[0] == json.loads((folder / "run" / "results.json").read_text())["test"]
    assert beex("evaluate", folder / "run", *data(folder), "--policy", "fixed_depth",
                "--threshold", 1, "--json") == 0  # fmt: skip
    first = json.loads(capsys.readouterr().out)
    assert first["mean_depth"] == 1 and first["score"] == first["exit_scores"][0]


def test_tables_for_people(folder, capsys):
    assert beex("evaluate", folder / "run", *data(folder)) == 0
    output = capsys.readouterr().out
    assert "FLOPs saved" in output and "policy" in output
    assert beex("summary", folder / "run") == 0
    output = capsys.readouterr().out
    assert "block/slfn/gate_in" in output and "float32 twin" in output


def test_converted_file_keeps_the_calibration(folder):
    figures = json.loads((folder / "run" / "results.json").read_text())["calibration"]
    assert metadata.read((folder / "model.tflite").read_bytes()).calibration == figures


def test_summary_counts_the_files_bytes(folder, capsys):
    assert beex("summary", folder / "run", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    file = export.account((folder / "model.tflite").read_bytes())
    # The calibration's figures are in the converted file only.
    assert report["file"]["total"] - report["file"]["metadata"] == pytest.approx(
        file.total - file.metadata, abs=64
    )
    kinds = [value for name, value in report["file"].items() if name != "total"]
    assert sum(kinds) == report["file"]["total"]


def test_calibrate_keeps_the_policy_in_the_model(folder, tmp_path, capsys):
    figure = tmp_path / "curve.png"
    assert beex("calibrate", folder / "run", *data(folder), "--policy", "entropy",
                "--tolerance", 0.05, "--figure", figure, "--json") == 0  # fmt: skip
    found = json.loads(capsys.readouterr().out)["policy"]
    assert found["name"] == "entropy" and load(folder / "run").policy.get_config() == {
        "tau": found["tau"]
    }
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert beex("calibrate", folder / "run", *data(folder), "--json") == 0  # as trained


def test_texts_from_a_file_and_from_standard_input(folder, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("the good film\na poor plot\n", "utf-8")
    command = [sys.executable, "-m", "beex_keras.cli", "predict", str(folder / "model.tflite")]
    from_file = subprocess.run([*command, "--file", str(texts)], capture_output=True, check=True)
    from_stdin = subprocess.run(command, input=texts.read_bytes(), capture_output=True, check=True)
    assert from_file.stdout == from_stdin.stdout and from_file.stdout.count(b"\n") == 2
    assert from_file.stderr == b""


def test_a_real_process_fails_with_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "beex_keras.cli", "predict", str(tmp_path / "none"), "text"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: There is no model at {tmp_path / 'none'}; check the path.\n"


# === Mistakes: arguments, and a word that the sentence must hold. {0} is the folder. ===

RUN = "{0}/run"
FILE = "{0}/model.tflite"
OUT = ["-o", "{0}/out"]
TRAIN = ["train", *OUT, "--train"]

MISTAKES = {
    "unknown command": (["classify"], "No such command"),
    "unknown option": (["predict", RUN, "--loud"], "--loud"),
    "unknown task": (["train", "--task", "imdb", *OUT], "imdb"),
    "unknown preset": (["train", "--preset", "huge", *OUT], "huge"),
    "option out of range": ([*TRAIN, "{0}/train.jsonl", "--epochs", "0"], "epochs=0"),
    "unknown setting": ([*TRAIN, "{0}/train.jsonl", "--set", "layers=3"], "layers"),
    "setting without value": ([*TRAIN, "{0}/train.jsonl", "--set", "width"], "NAME=VALUE"),
    "sizes that do not go together": ([*TRAIN, "{0}/train.jsonl", "--set", "num_heads=7"], "multiple"),
    "unknown suite": (["benchmark", "--suite", "glue", *OUT], "paper, smoke"),
    "nothing to adopt": (["benchmark", "--suite", "smoke", "--adopt", "0", *OUT], "version 0"),
    "missing data file": ([*TRAIN, "{0}/none.jsonl"], "none.jsonl"),
    "directory as data file": ([*TRAIN, "{0}/run"], "directory"),
    "unsupported data file": ([*TRAIN, "{0}/bad.xlsx"], "xlsx"),
    "wrong column": ([*TRAIN, "{0}/train.jsonl", "--text-column", "body"], "body"),
    "bad JSON line": ([*TRAIN, "{0}/bad.jsonl"], "Line 2"),
    "data not UTF-8": ([*TRAIN, "{0}/latin.jsonl"], "UTF-8"),
    "empty text in data": ([*TRAIN, "{0}/empty.jsonl"], "empty"),
    "one class only": ([*TRAIN, "{0}/single.jsonl"], "class"),
    "unknown label in test": (
        [*TRAIN, "{0}/train.jsonl", "--test", "{0}/label.jsonl"], "maybe"),
    "missing GLUE folder": (["train", "--task", "glue/sst2", "--data-dir", "{0}/none", *OUT], "none"),
    "missing vocabulary": ([*TRAIN, "{0}/train.jsonl", "--vocabulary", "{0}/v.txt"], "v.txt"),
    "output is a foreign folder": (["train", "--train", "{0}/train.jsonl", "-o", "{0}"], "run folder"),
    "other settings in the run": (
        ["train", "--train", "{0}/train.jsonl", "-o", RUN], "other settings"),
    "missing model": (["predict", "{0}/none", "text"], "none"),
    "text to classify is empty": (["predict", FILE, ""], "empty"),
    "10,000 words": (["predict", FILE, "good " * 10_000], "10,002 tokens"),
    "text file not UTF-8": (["predict", FILE, "--file", "{0}/latin.jsonl"], "UTF-8"),
    "missing text file": (["predict", FILE, "--file", "{0}/none.txt"], "none.txt"),
    "policy without threshold": (["predict", RUN, "text", "--policy", "entropy"], "--threshold"),
    "policy that does not exist": (["predict", RUN, "text", "--policy", "luck"], "luck"),
    "pair for a single-text model": (["predict", RUN, "text", "--pair", "text"], "single"),
    "truncated .tflite": (["predict", "{0}/short.tflite", "text"], "short.tflite"),
    "foreign .tflite": (["predict", "{0}/foreign.tflite", "text"], "foreign.tflite"),
    "corrupted .tflite": (["predict", "{0}/corrupt.tflite", "text"], "corrupt.tflite"),
    "text as .tflite": (["predict", "{0}/text.tflite", "text"], "text.tflite"),
    "checkpoint of another shape": (["predict", "{0}/reshaped", "text"], "another shape"),
    "convert a .tflite": (["convert", FILE, *OUT], "Keras model"),
    "convert to a longer text": (["convert", RUN, "--length", "999", *OUT], "999"),
    "task with other labels": (
        ["evaluate", RUN, "--train", "{0}/other.jsonl"], "the model knows"),
    "summary of nothing": (["summary"], "--preset"),
    "tolerance out of range": (["calibrate", RUN, "--tolerance", "2"], "tolerance"),
}  # fmt: skip


@pytest.fixture(scope="module")
def spoiled(folder):
    """The folder with one faulty file for every kind of fault."""
    row = '{"text": "good film", "label": "positive"}\n'
    (folder / "bad.xlsx").write_text(row)
    (folder / "bad.jsonl").write_text(row + '{"text": \n')
    (folder / "latin.jsonl").write_bytes(row.encode() + '{"text": "caf\xe9"}'.encode("latin-1"))
    (folder / "empty.jsonl").write_text(row + '{"text": " ", "label": "negative"}\n')
    (folder / "single.jsonl").write_text(row * 20)
    (folder / "label.jsonl").write_text('{"text": "good film", "label": "maybe"}\n')
    rows = [json.dumps({"text": f"film {i}", "label": "ab"[i % 2]}) for i in range(60)]
    (folder / "other.jsonl").write_text("\n".join(rows) + "\n")
    model = (folder / "model.tflite").read_bytes()
    (folder / "short.tflite").write_bytes(model[: len(model) // 2])
    (folder / "text.tflite").write_text("not a model")
    damaged = bytearray(model)
    damaged[len(model) // 2] ^= 0xFF
    (folder / "corrupt.tflite").write_bytes(bytes(damaged))
    dense = tf.function(lambda x: x + 1.0, input_signature=[tf.TensorSpec((1, 2), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([dense.get_concrete_function()])
    (folder / "foreign.tflite").write_bytes(converter.convert())
    reshaped = folder / "reshaped"
    reshaped.mkdir()
    for file in (folder / "run" / "model").iterdir():
        content = file.read_bytes().replace(b'"hidden_width": 24', b'"hidden_width": 20')
        (reshaped / file.name).write_bytes(content)
    return folder


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_get_one_sentence_and_leave_nothing(spoiled, mistake, capsys):
    arguments, word = MISTAKES[mistake]
    before = tree(spoiled)
    assert beex(*(argument.replace("{0}", str(spoiled)) for argument in arguments)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert word in output.err and "Traceback" not in output.err
    assert tree(spoiled) == before


def test_interrupt_exits_with_130(monkeypatch, folder, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("beex_keras.runtime.load", interrupt)
    assert beex("predict", folder / "run", "text") == 130
    assert "interrupted" in capsys.readouterr().err


def test_choices_are_those_of_the_package():
    assert tuple(PRESETS) == cli.PRESETS and tuple(POLICIES) == cli.POLICIES


def test_help_names_every_command(capsys):
    assert beex("--help") == 0
    output = capsys.readouterr().out
    for command in ("train", "calibrate", "evaluate", "predict", "convert", "summary", "demo"):
        assert command in output
    assert np.all([beex(command, "--help") == 0 for command in ("train", "predict")])
