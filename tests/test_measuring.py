"""What the benchmarks of processes and streams measure, against what is known of them."""

import json
import sys
from importlib.metadata import version

import pytest
from click.testing import CliRunner
from conftest import needs_engine

import beex_keras as beex
import startup
import streaming
import throughput


def rows(command, *arguments):
    result = CliRunner().invoke(command, [*arguments, "--json"])
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout.splitlines()[-1])["rows"]


def test_the_peak_of_a_process_is_its_own():
    """However much the process has that measures it: here that of the tests, with TensorFlow."""
    (_, little), (_, much) = (
        startup.measured(sys.executable, "-c", code) for code in ("", "b'-' * 200_000_000")
    )
    assert little < 50
    assert 200 < much < 200 + 2 * little


@needs_engine
def test_processes_of_an_environment():
    found = rows(startup.main, "--rounds", "2", "--python", sys.executable)
    assert [row["process"].split()[0] for row in found] == ["import", "beex", "beex", "beex"]
    for row in found:
        assert row["environment"] == sys.executable
        assert row["tensorflow"] == version("tensorflow") and not row["imports tensorflow"]
        assert 0 < row["least"] <= row["seconds"]
    assert found[0]["peak MB"] < found[-1]["peak MB"]


def test_an_environment_without_the_package(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'There is no beex_keras.' >&2\nexit 1\n", "utf-8")
    python.chmod(0o755)
    result = CliRunner().invoke(startup.main, ["--python", str(python)])
    assert result.exit_code == 1
    assert result.output == f"Error: {python} failed: There is no beex_keras.\n"


@needs_engine
def test_a_stream_in_processes_of_their_own():
    found = rows(throughput.main, "--texts", "50", "--repeats", "2")
    assert [row["threads"] for row in found] == [1, 2]
    first, second = (row["texts a second"] for row in found)
    assert [row["of the first"] for row in found] == [1, pytest.approx(second / first)]
    for row in found:
        assert not row["imports tensorflow"]
        assert row["MB at start"] <= row["peak MB"] and row["MB at the end"] <= row["peak MB"]


@needs_engine
def test_every_line_is_a_text(tmp_path, monkeypatch, capsys):
    file = tmp_path / "texts.txt"
    texts = list(throughput._random_texts("sst2-micro", 40))
    assert {len(text.split()) for text in texts} <= set(range(3, 21))
    file.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    seen = []
    pipeline = beex.pipeline("sst2-micro")
    stream = pipeline.stream
    monkeypatch.setattr(
        pipeline, "stream", lambda lines: stream(seen.append(t) or t for t in lines)
    )
    monkeypatch.setattr(beex, "pipeline", lambda model, num_threads: pipeline)
    streaming.main("sst2-micro", str(file), 1)
    assert json.loads(capsys.readouterr().out)["texts"] == len(texts)
    assert seen == texts
