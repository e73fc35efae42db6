"""What a reader sees of a table."""

import re

import numpy as np
import pytest

from beex_keras import tables

ROWS = [
    {"model": "float [twin]", "bytes": 7308320, "accuracy": 0.8},
    {"model": "tiny", "bytes": np.int64(1), "saved": np.float32(0.4), "fits": True, "note": None},
]


def printed(capsys, *arguments) -> str:
    """The printed text without colours."""
    tables.show(*arguments)
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)


def test_values_are_readable(capsys):
    out = printed(capsys, ROWS, "Models [all]")
    title, header, first, second = [line for line in out.splitlines() if line.strip(" ─")]
    assert title.strip() == "Models [all]"
    assert header.split() == ["model", "bytes", "accuracy", "saved", "fits", "note"]
    assert first.split() == ["float", "[twin]", "7,308,320", "0.8000", "–", "–", "–"]
    assert second.split() == ["tiny", "1", "–", "0.4000", "yes", "–"]


def test_numbers_end_in_one_column(capsys):
    lines = printed(capsys, [{"n": 1}, {"n": 1000000}]).splitlines()
    ends = {len(line.rstrip()) for line in lines if line.strip().isdigit() or "," in line}
    assert len(ends) == 1


def test_several_tables(capsys):
    out = printed(capsys, {"First": [{"a": 1}], "Second": [{"b": 12345.678}]})
    assert out.index("First") < out.index("Second")
    assert "12,345.7" in out


def test_nothing_wraps_in_a_pipe(capsys):
    text = "word " * 100
    assert text.strip() in printed(capsys, [{"text": text, "n": 1}])


@pytest.mark.parametrize("width", [20, 60])
def test_no_digit_is_lost_in_a_narrow_terminal(capsys, monkeypatch, width):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [{"name": "a long name of many words " * 3, "x": 1234567890, "y": 9876543210}]
    out = printed(capsys, rows)
    assert "1,234,567,890" in out
    assert "9,876,543,210" in out
    assert max(map(len, out.splitlines())) < 75


@pytest.mark.parametrize("wide", [True, False])
def test_a_table_on_standard_error_is_as_wide_as_that_allows(capsys, monkeypatch, wide):
    monkeypatch.setattr("sys.stdout.isatty", lambda: wide)
    monkeypatch.setattr("sys.stderr.isatty", lambda: not wide)
    monkeypatch.setenv("COLUMNS", "60")
    tables.show([{"text": "word " * 100, "n": 1}], to_stderr=True)
    assert (max(map(len, capsys.readouterr().err.splitlines())) > 400) == wide


def test_no_rows(capsys):
    printed(capsys, [], "Empty")
