"""Reading and writing files so that a failure leaves nothing half-written."""

import importlib.util
import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from beex_keras.errors import BeexError

_HOLDER = ".beex-"
"""How the names of temporary folders begin."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary sibling of `path`, renamed to `path` when the block ends without error.

    The block may create a file or a directory there; an existing `path` of either kind is
    replaced. On an error the temporary is removed and `path` stays as it was.

    Raises:
        BeexError: the parent is not a directory that can be written, a file stands where a directory
            is written (or the reverse), or `path` is open elsewhere and the system does not replace it.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not (target.is_file() or target.is_dir()):
            raise BeexError(f"{target} is a device or a pipe; choose a path of a file.")
        holder = Path(tempfile.mkdtemp(prefix=_HOLDER, dir=target.parent))
    except OSError as error:
        fix = "choose a path in a directory you can write"
        raise BeexError(f"Cannot write {target}: {error.strerror}; {fix}.") from error
    try:
        # The suffix is kept because some writers (Keras, NumPy) choose the format by it.
        temporary = holder / target.name
        yield temporary
        if target.exists() and target.is_dir() != temporary.is_dir():
            kind = "directory" if target.is_dir() else "file"
            raise BeexError(f"{target} is an existing {kind}; remove it or choose another path.")
        _replace(target, temporary, holder / "replaced")
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def check_replaceable(directory: str | os.PathLike[str], is_ours: Callable[[str], bool]) -> None:
    """Raises `BeexError` if a directory that `atomic_path` would replace holds files of other names."""
    path = Path(directory)
    others = (
        sorted(file.name for file in path.iterdir() if not is_ours(file.name))
        if path.is_dir()
        else []
    )
    if others:
        raise BeexError(f"{path} holds {others[0]}, which is not ours; choose another directory.")


def _replace(target: Path, new: Path, aside: Path) -> None:
    """Puts what is new in the target's place, which is a folder only where the new one is.

    No call replaces a folder on Windows, or one that is not empty elsewhere. So the old one is moved aside,
    and back if the new one cannot follow. Windows moves nothing that is open.
    """
    try:
        if not target.is_dir():
            os.replace(new, target)
            return
        os.replace(target, aside)
        try:
            os.replace(new, target)
        except OSError:
            os.replace(aside, target)
            raise
    except OSError as error:
        fix = "close what has it open, or choose another path"
        raise BeexError(f"Cannot write {target}: {error.strerror}; {fix}.") from error


def unfinished(directory: Path) -> list[Path]:
    """What `atomic_path` is writing in a directory, or was when its process was killed."""
    return [*directory.glob(f"{_HOLDER}*")]


def write_atomically(path: str | os.PathLike[str], data: str | bytes) -> None:
    """Writes `data` (text as UTF-8) to `path`, whole or not at all; errors as `atomic_path`."""
    with atomic_path(path) as temporary:
        try:
            temporary.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        except OSError as error:
            fix = "choose the path of a file with room for it"
            raise BeexError(f"Cannot write {path}: {error.strerror}; {fix}.") from error


def check_room(directory: str | os.PathLike[str], size: int) -> None:
    """Refuses to begin what needs `size` bytes in a folder, there or yet to be made, whose disk has fewer.

    For writers that do not end in a sentence on a full disk, such as those of HDF5 and TensorFlow.

    Raises:
        BeexError: there is less room.
    """
    path = Path(directory).absolute()
    free = shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
    if free < size:
        shown = path.parent if path.name.startswith(_HOLDER) else path
        there, needed = (f"{count / 1e6:,.1f} MB" for count in (free, size))
        raise BeexError(
            f"The disk of {shown} has {there} left, and {needed} are needed; make room there."
        )


def read_bytes(path: str | os.PathLike[str], what: str) -> bytes:
    """The bytes of a file; `what` names it in errors ("vocabulary", "model").

    Raises:
        BeexError: the file is missing, is a directory or cannot be read.
    """
    with open_lines(path, what) as file:
        return file.read()


def map_file(path: str | os.PathLike[str], what: str) -> bytes | mmap.mmap:
    """As `read_bytes`, without a copy: what stands in the file is read as it is used."""
    with open_lines(path, what) as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # what has no file behind it, and an empty one
            return file.read()


@contextmanager
def open_lines(path: str | os.PathLike[str], what: str) -> Iterator[BinaryIO]:
    """A file opened to read bytes, as lines if they are iterated over; errors as `read_bytes`."""
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise BeexError(f"There is no {what} at {path}; check the path.") from None
    except IsADirectoryError:
        raise BeexError(f"{path} is a directory, not a {what}; name a file.") from None
    except OSError as error:
        raise BeexError(f"The {what} {path} cannot be read: {error.strerror}.") from error


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """The text of a UTF-8 file, without a byte-order mark; `what` names it in errors.

    Raises:
        BeexError: as `read_bytes`, or the file is not valid UTF-8.
    """
    return decode(read_bytes(path, what), f"{what} {path}")


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, which is found and not imported; None if it is not installed."""
    spec = importlib.util.find_spec(name)
    places = None if spec is None else spec.submodule_search_locations
    return Path(places[0]) if places else None


def parse_json(text: str, name: str, fix: str) -> Any:
    """The value of a JSON text; `name` is its place, and `fix` what to do, for the `BeexError` of what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "a value too large to read")
        raise BeexError(f"{name} is not valid JSON ({reason}); {fix}.") from None


def decode(data: bytes, name: str, line: int = 1) -> str:
    """UTF-8 bytes as text, without a byte-order mark.

    `name` is their source's, and `line` the number of their first line there, for the `BeexError` of
    what is not valid UTF-8.
    """
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        place = f"line {line}, byte {error.start}"
        raise BeexError(f"The {name} is not valid UTF-8 ({place}); save it as UTF-8.") from None
