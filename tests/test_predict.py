"""`beex predict`: texts as arguments, in files and in streams, and what a bad one costs."""

import io
import json
import os
import subprocess
import sys
import threading

import pytest
from commands import exit_code as beex
from conftest import needs_engine
from toy import TOY_SIZE

from beex_keras import load
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor


@pytest.mark.parametrize(
    "model",
    [
        "run",
        pytest.param("run/model", marks=pytest.mark.slow),
        "model.tflite",
        pytest.param("model.beex", marks=needs_engine),
    ],
)
def test_predict_prints_label_score_and_exit(toy_run, model, capsys, read_once):
    assert beex("predict", toy_run / model, "the good film", "a really awful plot") == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[3] for line in lines] == ["the good film", "a really awful plot"]
    assert beex("predict", toy_run / model, "--json", "the good film", "a really awful plot") == 0
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line, value in zip(lines, values, strict=True):
        assert line[:3] == [value["label"], f"{value['score']:.4f}", f"exit {value['exit']}/2"]
        assert sum(value["probabilities"].values()) == pytest.approx(1)


def test_texts_from_a_file_and_from_standard_input(toy_run, tmp_path, capsys, monkeypatch):
    texts = tmp_path / "texts.txt"
    texts.write_text("the good film\na poor plot\n", "utf-8")
    assert beex("predict", toy_run / "model.tflite", "--file", texts) == 0
    from_file = capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(texts.read_bytes())))
    assert beex("predict", toy_run / "model.tflite") == 0
    assert from_file == capsys.readouterr()
    assert from_file.out.count("\n") == 2 and from_file.err == ""


@needs_engine
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes.")
def test_a_pipe_is_read_once_also_for_a_progress_bar(tmp_path, capsys, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for module in ("predict", "terminal"):
        monkeypatch.setattr(f"beex_keras.cli.{module}.is_progress_shown", lambda: True)
    writer = threading.Thread(target=pipe.write_text, args=("a good film\na poor plot\n",))
    writer.start()
    assert beex("predict", "sst2-micro", "--file", pipe) == 0
    writer.join()
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_bad_line_costs_its_own_answer_alone(toy_run, tmp_path, capsys, line_end):
    lines = [b"the good film", b"", b"good " * 500, b"\xff\xfe film", b"a poor plot"]
    texts = tmp_path / "texts.txt"
    texts.write_bytes(b"\xef\xbb\xbf" + line_end.encode().join(lines) + line_end.encode())
    command = ("predict", toy_run / "model.tflite", "--file", texts)
    assert beex(*command) == 1
    plain = capsys.readouterr()
    assert plain.err == "error: 2 of 5 texts could not be classified.\n"
    good, empty, long, wrong, last = plain.out.splitlines()
    assert good.endswith("\tthe good film") and last.endswith("\ta poor plot")
    assert ", truncated\tgood good" in long
    assert empty == "error\t\t\tText 2 is empty; remove it or fill it."
    assert wrong.startswith("error\t\t\tThe text file") and "line 4" in wrong
    assert beex(*command, "--json", "--batch-size", 2, "--top-k", 1) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.get("truncated") for row in rows] == [False, None, True, None, False]
    assert ["error" in row for row in rows] == [False, True, False, True, False]
    assert rows[3]["text"] == "\ufffd\ufffd film" and len(rows[0]["probabilities"]) == 1


def test_a_bad_json_line_costs_its_own_answer_alone(toy_run, tmp_path, capsys):
    good, null = '{"text": "the good film"}', '{"text": null, "label": "mine", "id": 7}'
    other = '{"body": "a", "id": 3}'
    huge = f'{{"text": "a", "id": {"9" * 5_000}}}'
    lines = [
        good,
        "{",
        other,
        null,
        '{"text": "good", "error": "old"}',
        huge,
        "[" * 200_000,
        "[]",
        good,
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    assert beex("predict", toy_run / "model.tflite", "--jsonl", "--file", file) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    errors = [row.get("error", "") for row in rows]
    found = [
        "",
        "Line 2 is",
        "Line 3 ha",
        "Text 4 is",
        "",
        "Line 6 is",
        "Line 7 is",
        "Line 8 is",
        "",
    ]
    assert [error[:9] for error in errors] == found
    # What came with a text stays, but for what could pass for an answer.
    assert rows[2].items() >= {"body": "a", "id": 3}.items()
    assert rows[3]["id"] == 7 and "label" not in rows[3] and "error" not in rows[4]
    file.write_text(f"{good}\n\n{good}\n \n", "utf-8")
    assert beex("predict", toy_run / "model.tflite", "--jsonl", "--file", file) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_half_a_character_beside_a_text_comes_out_as_it_came(toy_run):
    command = [sys.executable, "-m", "beex_keras.cli", "predict", str(toy_run / "model.tflite")]
    line = b'{"text": "the good film", "name": "\\ud83d"}\n'
    done = subprocess.run([*command, "--jsonl"], input=line, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["name"] == "\ud83d"


def test_a_number_that_json_has_not_costs_its_line(toy_run, tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "id": 1e999}\n{"text": "a"}\n', "utf-8")
    assert beex("predict", toy_run / "model.tflite", "--jsonl", "--file", file) == 1
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["error"].startswith("Line 1 has a number") and "label" in second


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes")
def test_a_reader_that_leaves_is_no_mistake(toy_run, tmp_path):
    file = tmp_path / "many.txt"
    file.write_text("the good film\n" * 3000, "utf-8")
    command = [sys.executable, "-m", "beex_keras.cli", "predict", str(toy_run / "model.tflite")]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "--file", file], **pipe) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 0 and not process.stderr.read()


def test_json_lines_keep_what_they_came_with(toy_run, tmp_path, capsys):
    rows = [{"id": n, "body": text} for n, text in enumerate(["the good film", "a poor plot"] * 20)]
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert (
        beex(
            "predict",
            toy_run / "model.tflite",
            "--file",
            lines,
            "--jsonl",
            "--text-column",
            "body",
            "--batch-size",
            7,
        )
        == 0
    )
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{"id": value["id"], "body": value["body"]} for value in found] == rows
    assert all(value["label"] in ("negative", "positive") for value in found)


def test_pairs_in_every_form(tmp_path, capsys, read_once):
    words = [*SPECIAL_TOKENS, "a", "good", "bad", "film"]
    sizes = {**TOY_SIZE, "vocabulary_size": len(words), "num_blocks": 1}
    config = BEExformerConfig(**sizes, num_segments=2)
    file = tmp_path / "pairs"
    BEExformerClassifier(config, TextPreprocessor(words, 12)).save_pretrained(file)
    (expected,) = load(file).classify([("a good film", "a bad film")])
    (tmp_path / "lines.txt").write_text("a good film\ta bad film\n", "utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "a good film", "text2": "a bad film"}\n')
    for options in (
        ["a good film", "--pair", "a bad film"],
        ["a good film", "--pair", "a\tbad film"],
        ["--file", tmp_path / "lines.txt"],
        ["--file", tmp_path / "rows.jsonl", "--jsonl"],
    ):
        assert beex("predict", file, *options, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["label"], found["score"]) == (expected.label, pytest.approx(expected.score))
        assert found["text"] == "a good film" and found["text2"].split() == ["a", "bad", "film"]


def test_a_stream_is_answered_line_by_line(toy_run):
    command = [sys.executable, "-m", "beex_keras.cli", "predict", str(toy_run / "model.tflite")]
    process = subprocess.Popen(
        [*command, "--batch-size", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    for text in (b"the good film\n", b"a poor plot\n"):
        process.stdin.write(text)
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\t" + text)  # before the input ends
    assert process.communicate() == (b"", b"")
    assert process.returncode == 0
