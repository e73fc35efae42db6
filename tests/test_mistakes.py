"""A sentence for every mistake on the command line, and nothing left behind."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from commands import exit_code as beex

STOP = ["--on-error", "raise"]
RUN = "{0}/run"
FILE = "{0}/model.tflite"
OUT = ("-o", "{0}/out.tflite")
TRAIN = ["train", *OUT]

# Arguments, and a word that the sentence must hold; {0} is the folder.
MISTAKES = {
    "unknown command": (["classify"], "No such command"),
    "unknown option": (["predict", RUN, "--loud"], "--loud"),
    "a text that begins with a dash": (["predict", FILE, "-good film"], "Put '--' before"),
    "unknown task": ([*TRAIN, "imdb"], "imdb"),
    "unknown preset": (["train", "--preset", "huge", *OUT], "huge"),
    "option out of range": ([*TRAIN, "{0}/train.jsonl", "--epochs", "0"], "epochs=0"),
    "unknown setting": ([*TRAIN, "{0}/train.jsonl", "--set", "layers=3"], "layers"),
    "setting given twice": ([*TRAIN, "--epochs", "1", "--set", "epochs=2"], "given twice"),
    "one setting given twice": ([*TRAIN, "--set", "epochs=1", "--set", "epochs=2"], "given twice"),
    "a table as unlabelled texts": (
        [*TRAIN, "{0}/train.jsonl", "--unlabelled", "{0}/train.jsonl", "--teacher", "{0}/run"], "rows of a table"),
    "setting that the data decides": ([*TRAIN, "{0}/train.jsonl", "--set", "num_classes=3"], "num_classes"),
    "setting without value": ([*TRAIN, "{0}/train.jsonl", "--set", "width"], "NAME=VALUE"),
    "sizes that do not go together": ([*TRAIN, "{0}/train.jsonl", "--set", "num_heads=7"], "multiple"),
    "training data given twice": (
        [*TRAIN, "{0}/train.jsonl", "--train", "{0}/train.jsonl"], "leave one"),
    "missing data file": ([*TRAIN, "{0}/none.jsonl"], "none.jsonl"),
    "folder without data files": ([*TRAIN, "{0}/run"], "no train file"),
    "unsupported data file": ([*TRAIN, "{0}/bad.xlsx"], "xlsx"),
    "wrong column": ([*TRAIN, "{0}/train.jsonl", "--text-column", "body"], "body"),
    "bad JSON line": ([*TRAIN, "{0}/bad.jsonl"], "Line 2"),
    "data not UTF-8": ([*TRAIN, "{0}/latin.jsonl"], "UTF-8"),
    "empty text in data": ([*TRAIN, "{0}/empty.jsonl"], "empty"),
    "one class only": ([*TRAIN, "{0}/single.jsonl"], "class"),
    "unknown label in test": (
        [*TRAIN, "{0}/train.jsonl", "--test", "{0}/label.jsonl"], "maybe"),
    "missing vocabulary": ([*TRAIN, "{0}/train.jsonl", "--set", "vocabulary={0}/v.txt"], "v.txt"),
    "output is a foreign folder": (["train", "{0}/train.jsonl", "-o", "{0}"], "run folder"),
    "other settings in the run": (
        ["train", "{0}/train.jsonl", "-o", RUN], "other settings"),
    "missing model": (["predict", "{0}/none", "text"], "none"),
    "text to classify is empty": (["predict", FILE, "", *STOP], "empty"),
    "10,000 words": (
        ["predict", FILE, "good " * 10_000, "--no-truncate", *STOP], "10,002 tokens"),
    "a text where the model belongs": (["predict", "good " * 100], "no packaged model"),
    "a pair beside a file": (
        ["predict", RUN, "text", "--pair", "text", "--file", "{0}/none.txt"], "not both"),
    "a directory as output": (["convert", RUN, "--format", "beex", "-o", "."], "Cannot write ."),
    "a header as an array of C": (["convert", RUN, "--format", "c", "-o", "{0}/x.h"], "model.c"),
    "columns in place of texts": (["predict", FILE, "--file", "{0}/rows.tsv"], "is a TSV file"),
    "missing text file": (["predict", FILE, "--file", "{0}/none.txt"], "none.txt"),
    "policy without threshold": (["predict", RUN, "text", "--policy", "entropy"], "--threshold"),
    "threshold without an end": (
        ["predict", RUN, "text", "--policy", "confidence", "--threshold", "inf"], "finite number"),
    "a word for true or false": ([*TRAIN, "{0}/train.jsonl", "--set", "use_subwords=False"], "true or false"),
    "policy that does not exist": (["predict", RUN, "text", "--policy", "luck"], "luck"),
    "pair for a single-text model": (["predict", RUN, "text", "--pair", "text"], "single"),
    "another policy than the file's": (
        ["predict", FILE, "text", "--policy", "entropy", "--threshold", "1"], "no other policy"),
    "line that is no JSON": (
        ["predict", FILE, "--jsonl", "--file", "{0}/text.tflite", *STOP], "not valid JSON"),
    "JSON line without the field": (
        ["predict", FILE, "--jsonl", "--file", "{0}/train.jsonl", "--text-column", "t", *STOP], "'t'"),
    "threshold input without an exit": (
        ["convert", RUN, "--exit", "all-outputs", "--threshold-input", *OUT], "by itself"),
    "truncated .tflite": (["predict", "{0}/short.tflite", "text"], "short.tflite"),
    "foreign .tflite": (["predict", "{0}/foreign.tflite", "text"], "foreign.tflite"),
    "corrupted .tflite": (["predict", "{0}/corrupt.tflite", "text"], "corrupt.tflite"),
    "text as .tflite": (["predict", "{0}/text.tflite", "text"], "text.tflite"),
    "checkpoint of another shape": (["predict", "{0}/reshaped", "text"], "another shape"),
    "exit of a .beex": (
        ["convert", "{0}/run", "-o", "{0}/x.beex", "--exit", "in-graph"], "--exit"),
    "weights of 8 bits in a .tflite": (["convert", RUN, *OUT, "--weights", "int8"], ".beex"),
    "weights of 8 bits of a binary model": (
        ["convert", RUN, "-o", "{0}/x.beex", "--weights", "int8"], "take 1 bit"),
    "memory plan of a .beex": (
        ["convert", "{0}/run", "-o", "{0}/x.beex", "--plan-memory"], "--plan-memory"),
    "convert a .tflite": (["convert", FILE, *OUT], "Keras model"),
    "convert to a longer text": (["convert", RUN, "--length", "999", *OUT], "999"),
    "task with other labels": (
        ["evaluate", RUN, "{0}/other.jsonl"], "the model knows"),
    "summary of nothing": (["summary"], "--preset"),
    "bits of a trained model": (["summary", RUN, "--bits", "float"], "--bits goes with --preset"),
    "no data to evaluate on": (["evaluate", RUN], "There is no DATA"),
    "no data to calibrate on": (["calibrate", RUN, "--text-column", "text"], "There is no DATA"),
    "no data to train on": (TRAIN, "There is no DATA"),
    "a column of a named task": (
        [*TRAIN, "rotten_tomatoes", "--text-column", "review"], "columns of its own"),
    "one column for two things": (
        [*TRAIN, "{0}/train.jsonl", "--pair-column", "label"], "'label' is named twice"),
    "a label of a test file alone": (
        ["evaluate", RUN, "--test", "{0}/label.jsonl"], "'maybe' on line 1"),
    "another split of a test file alone": (
        ["evaluate", RUN, "--test", "{0}/train.jsonl", "--split", "train"], "--split train needs DATA"),
    "a test file alone with a kind of task": (
        ["evaluate", RUN, "--test", "{0}/label.jsonl", "--task-kind", "regression"], "--task-kind needs DATA"),
    "a file as a text": (["predict", RUN, "{0}/train.jsonl"], "add --file"),
    "a CSV file as texts": (["predict", RUN, "--file", "{0}/x.csv"], "CSV"),
    "JSON lines as texts": (["predict", RUN, "--file", "{0}/train.jsonl"], "add --jsonl"),
    "a name without a format": (["convert", RUN, "-o", "{0}/x.onnx"], "--format"),
    "a name of another format": (
        ["convert", RUN, "-o", "{0}/x.tflite", "--format", "beex"], "contradicts"),
    "a figure of no kind": (
        ["calibrate", RUN, "{0}/train.jsonl", "--figure", "{0}/x.xyz"], ".png"),
    "an unfinished training": (["predict", "{0}/unfinished", "text"], "not finished"),
    "tolerance out of range": (["calibrate", RUN, "--tolerance", "2"], "tolerance"),
    "a packaged model to calibrate": (
        ["calibrate", "sst2-micro", "{0}/train.jsonl"], "beex convert sst2-micro"),
    "a .tflite to calibrate": (["calibrate", FILE, "{0}/train.jsonl"], ".beex file"),
    "another split of a validation file alone": (
        ["calibrate", RUN, "--validation", "{0}/train.jsonl", "--test", "{0}/train.jsonl"], "--test needs DATA"),
    "a label of a validation file alone": (
        ["calibrate", RUN, "--validation", "{0}/label.jsonl"], "'maybe' on line 1"),
    "margin out of range": (["calibrate", RUN, "--margin", "-1"], "margin"),
}  # fmt: skip


@pytest.fixture(scope="module")
def spoiled(toy_run, tmp_path_factory):
    """A finished run and its files, and one faulty file for every kind of fault."""
    folder = shutil.copytree(toy_run, tmp_path_factory.mktemp("mistakes") / "toy")
    row = '{"text": "good film", "label": "positive"}\n'
    (folder / "bad.xlsx").write_text(row)
    (folder / "bad.jsonl").write_text(row + '{"text": \n')
    (folder / "latin.jsonl").write_bytes(row.encode() + '{"text": "caf\xe9"}'.encode("latin-1"))
    (folder / "empty.jsonl").write_text(row + '{"text": " ", "label": "negative"}\n')
    (folder / "single.jsonl").write_text(row * 20)
    (folder / "rows.tsv").write_text("text\tlabel\ngood film\tpositive\n")
    (folder / "label.jsonl").write_text('{"text": "good film", "label": "maybe"}\n')
    rows = [json.dumps({"text": f"film {i}", "label": "ab"[i % 2]}) for i in range(60)]
    (folder / "other.jsonl").write_text("\n".join(rows) + "\n")
    model = (folder / "model.tflite").read_bytes()
    (folder / "short.tflite").write_bytes(model[: len(model) // 2])
    (folder / "text.tflite").write_text("not a model")
    (folder / "unfinished").mkdir()
    shutil.copy(folder / "run" / "run.json", folder / "unfinished")
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
def test_mistakes_get_one_sentence_and_leave_nothing(spoiled, mistake, capsys, read_once):
    arguments, word = MISTAKES[mistake]
    before = tree(spoiled)
    assert beex(*(argument.replace("{0}", str(spoiled)) for argument in arguments)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1
    assert word in output.err and "Traceback" not in output.err
    assert tree(spoiled) == before


def test_interrupt_exits_with_130(monkeypatch, toy_run, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("beex_keras.runtime.load", interrupt)
    assert beex("predict", toy_run / "run", "text") == 130
    assert "interrupted" in capsys.readouterr().err
