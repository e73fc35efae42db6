"""From a classifier to files on disk, and where their bytes go."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from beex_keras.errors import BeexError
from beex_keras.export.byte_account import account
from beex_keras.export.conversion import convert, convert_segments
from beex_keras.files import atomic_path, write_atomically
from beex_keras.models import BEExformerClassifier


def export_file(
    classifier: BEExformerClassifier,
    path: str | os.PathLike[str],
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    exit: str = "in-graph",
    threshold_input: bool = False,
    plan_memory: bool = False,
) -> dict[str, int]:
    """Writes `convert`'s file to `path`, whole or not at all, and says where its bytes go.

    With ``exit="segments"`` `path` becomes a directory of `convert_segments`' files.

    Returns:
        The figures of its `ByteAccount`, by name; of segments their sum.

    Raises:
        BeexError: as `convert`, or the file cannot be written.

    Example:
        >>> config = beex.BEExformerConfig.preset("micro", width=8, num_blocks=1)
        >>> sizes = beex.export.export_file(beex.BEExformerClassifier(config), "small.tflite")
        >>> sizes["binary"] < sizes["total"]
        True
    """
    if exit != "segments":
        data = convert(classifier, length, calibration, exit, threshold_input, plan_memory)
        write_atomically(path, data)
        return dataclasses.asdict(account(data))
    if threshold_input:
        raise BeexError("A threshold can be an input only of a file that exits by itself.")
    target = Path(path)
    if target.is_dir() and any(target.iterdir()) and not is_segments(target):
        raise BeexError(
            f"{path} is a directory that holds something else; name a new one for the segments."
        )
    files = convert_segments(classifier, length, calibration, plan_memory)
    with atomic_path(path) as directory:
        directory.mkdir()
        for number, data in enumerate(files, start=1):
            (directory / segment_name(number)).write_bytes(data)
    accounts = [dataclasses.asdict(account(data)) for data in files]
    return {kind: sum(figures[kind] for figures in accounts) for kind in accounts[0]}


def segment_name(number: int) -> str:
    """The file name of a segment, counted from 1."""
    return f"block_{number}.tflite"


def is_segments(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a directory of segments."""
    return (Path(path) / segment_name(1)).is_file()
