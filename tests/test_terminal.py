"""What the command line shows besides its answers."""

import io
import sys

import pytest

from beex_keras.cli.terminal import show_progress


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("out", "err", "shown"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_a_bar_only_where_a_person_sees_it_beside_other_output(monkeypatch, out, err, shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Stream(out))
    monkeypatch.setattr(sys, "stderr", Stream(err))
    assert list(show_progress(iter("abc"), 3)) == ["a", "b", "c"]
    assert ("Texts" in sys.stderr.getvalue()) == shown
    assert sys.stdout.getvalue() == ""
