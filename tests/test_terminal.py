"""What the command line shows besides its answers."""

import io
import sys

import pytest

from beex_keras.cli.terminal import quiet_libraries, show_progress


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


def test_errors_are_written_as_utf_8_whatever_the_locale(monkeypatch):
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    with quiet_libraries():
        assert sys.stderr is not sys.__stderr__
        assert (sys.stderr.encoding, sys.stderr.errors) == ("utf-8", "backslashreplace")
