"""What takes long to make: one process of a test run makes it, and all of them read it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Path:
    """The folder of this name, which `make` has filled; other workers wait for it."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, complete = base / name, base / f"{name}.complete"
    folder.mkdir(exist_ok=True)
    with FileLock(base / f"{name}.lock"):
        if not complete.exists():
            make(folder)
            complete.touch()
    return folder
