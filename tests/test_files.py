"""Files and folders are replaced whole or not at all, on systems that differ in what they replace."""

import os
from pathlib import Path

import pytest

from beex_keras.errors import BeexError
from beex_keras.files import atomic_path, write_atomically


@pytest.fixture(params=["this system", "Windows"])
def system(request, monkeypatch):
    """As Windows has it: no rename replaces anything, and os.replace no folder."""
    if request.param == "this system":
        return
    replace = os.replace

    def replace_files_alone(source, target):
        if Path(target).is_dir():
            raise PermissionError(5, "Access is denied")
        replace(source, target)

    def rename(source, target):
        if Path(target).exists():
            raise FileExistsError(17, "File exists")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_files_alone)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(Path, "rename", rename)


def write_folder(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "inner.txt").write_text(text)


@pytest.mark.usefixtures("system")
def test_files_and_folders_are_replaced(tmp_path):
    for text in ("old", "new"):
        write_atomically(tmp_path / "file.txt", text)
        write_folder(tmp_path / "folder", text)
    assert (tmp_path / "file.txt").read_text() == "new"
    assert (tmp_path / "folder" / "inner.txt").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "folder"]


@pytest.mark.parametrize(("name", "refused"), [("file.txt", 1), ("folder", 1), ("folder", 2)])
def test_what_was_there_stays_where_it_cannot_be_replaced(tmp_path, monkeypatch, name, refused):
    """The first move or the second: a folder's old content is moved aside before."""
    write_atomically(tmp_path / "file.txt", "old")
    write_folder(tmp_path / "folder", "old")
    replace, calls = os.replace, iter((1, 2, 3))

    def refuse(source, target):
        if next(calls) == refused:
            raise PermissionError(13, "The file is used by another process")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BeexError, match="Cannot write .*another process; close what has it open"):
        (write_folder if name == "folder" else write_atomically)(tmp_path / name, "new")
    assert (tmp_path / "file.txt").read_text() == "old"
    assert (tmp_path / "folder" / "inner.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failure_in_the_block_keeps_what_was_there(tmp_path):
    write_atomically(tmp_path / "file.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "file.txt") as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError
    assert (tmp_path / "file.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BeexError, match="is a device or a pipe"):
        write_atomically(tmp_path / "pipe", "new")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", [".", "a" * 300])
def test_what_cannot_be_a_file_is_explained(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BeexError, match="Cannot write"):
        write_atomically(name, "new")
    assert not list(tmp_path.iterdir())
