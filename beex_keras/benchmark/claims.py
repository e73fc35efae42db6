"""Who trains a cell: claims by files, for several processes or machines on one folder."""

import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

BEAT = 5.0
"""Seconds between two signs of life."""

STALE = 300.0
"""Seconds without one after which a claim no longer counts, wherever its process ran."""


class Claim:
    """A cell's folder, held by this process while the `with` block runs.

    A claim is a file ``claim-1`` that only one process can create, with the host and the number of
    the process in it, touched every few seconds. It is stale when its process has ended (asked on
    the same host) or has given no sign of life for five minutes. A stale one is not removed, which
    two processes could do to each other's: whoever creates ``claim-2`` has it, and so on.

    Args:
        folder: of the cell; made if missing.
        parent: number of the process without which the work makes no sense; when it is gone, so is
            this process.
    """

    def __init__(self, folder: Path, parent: int | None = None) -> None:
        self.folder = folder
        self.parent = parent
        self.file: Path | None = None
        self._released = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> bool:
        """Whether the cell is ours; false if another process works on it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = _newest(self.folder)
        if held is not None and not is_stale(held):
            return False
        file = self.folder / f"claim-{_number(held) + 1 if held else 1}"
        try:
            with open(file, "x", encoding="utf-8") as new:
                json.dump({"host": socket.gethostname(), "process": os.getpid()}, new)
        except FileExistsError:
            return False
        self.file = file
        self._heart.start()
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.file is not None:
            self._released.set()
            self.file.unlink(missing_ok=True)

    def _beat(self) -> None:
        assert self.file is not None
        while not self._released.wait(BEAT):
            if self.parent is not None and os.getppid() != self.parent:
                os._exit(1)
            try:
                os.utime(self.file)
            except OSError:  # the folder was removed, or its disk is away for the moment
                continue


def is_stale(file: Path) -> bool:
    """Whether the process behind a claim has ended."""
    try:
        owner = json.loads(file.read_text("utf-8"))
        age = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return True
    except ValueError:  # just being written, or damaged
        owner, age = {}, time.time() - file.stat().st_mtime
    if age > STALE:
        return True
    return owner.get("host") == socket.gethostname() and not _runs(owner.get("process"))


def _runs(process: int | None) -> bool:
    if process is None:
        return True  # unreadable: its age decides
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("claim-*"), key=_number, default=None)


def _number(file: Path) -> int:
    return int(file.name.rpartition("-")[2])
