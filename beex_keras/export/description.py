"""What a file of either format needs beside its weights to classify text, as data and as JSON."""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras import exits
from beex_keras._version import __version__
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig
from beex_keras.text import TextPreprocessor
from beex_keras.value_scale import ValueScale

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier

EXITS = ("in-graph", "all-outputs", "segments")
"""Where an exit is taken: by the file itself, by whoever reads the logits of all exits, or by whoever
runs one file a block."""


_PLAIN = ("calibration", "exit", "threshold_input", "segment", "model_digest")


@dataclasses.dataclass(frozen=True)
class Metadata:
    """All that a runtime knows of a file beside its graph.

    Attributes:
        config: the architecture.
        length: tokens that the graph reads, at most `config.max_length`.
        labels: the classes' names, in the order of the logits.
        policy: the exit policy chosen for the file.
        preprocessor: text to ids of at most `length` tokens; None if the model came without one.
        calibration: figures of the policy's calibration, as the caller gave them.
        versions: releases of the packages that wrote the file.
        exit: where the exit is taken, one of `EXITS`.
        threshold_input: whether the policy's threshold is an input of the graph.
        segment: of "segments" the block that this file has, counted from 1.
        model_digest: of "segments" a digest that all files of one model share.
        value_scale: of a regression, what its logits mean; None for classes.

    Example:
        >>> with open("model.tflite", "rb") as file:
        ...     about = beex.export.metadata.read(file.read())
        >>> about.labels, about.exit, about.policy
        (('0', '1'), 'in-graph', Confidence(p=0.9))
    """

    config: BEExformerConfig
    length: int
    labels: tuple[str, ...]
    policy: exits.ExitPolicy
    preprocessor: TextPreprocessor | None = None
    calibration: dict[str, Any] | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    exit: str = "all-outputs"
    threshold_input: bool = False
    segment: int | None = None
    model_digest: str | None = None
    value_scale: ValueScale | None = None


def describe(
    classifier: "BEExformerClassifier",
    length: int,
    calibration: dict[str, Any] | None = None,
    **exit: Any,
) -> Metadata:
    """The metadata of a classifier that is exported for `length` tokens, `exit` as in `Metadata`."""
    import importlib.metadata  # which a program that only runs files need not wait for

    preprocessor = classifier.preprocessor
    if preprocessor is not None and preprocessor.max_length > length:
        values = {**preprocessor.get_config(), "max_length": length}
        preprocessor = TextPreprocessor.from_config(values)
    versions = {"beex-keras": __version__, "tensorflow": importlib.metadata.version("tensorflow")}
    with suppress(importlib.metadata.PackageNotFoundError):
        versions["larq-compute-engine"] = importlib.metadata.version("larq-compute-engine")
    labels, policy = tuple(classifier.labels), classifier.policy
    own = classifier.config, length, labels, policy, preprocessor
    return Metadata(*own, calibration, versions, **exit, value_scale=classifier.value_scale)


def checked_length(config: BEExformerConfig, length: int | None) -> int:
    """The tokens that a file reads: `length`, or `config.max_length` if it is None.

    Raises:
        BeexError: `length` is not between 3 and `config.max_length`.
    """
    length = config.max_length if length is None else length
    if isinstance(length, bool) or not isinstance(length, int | np.integer):
        raise BeexError(f"length={length!r} must be a whole number of tokens.")
    most = config.max_length
    if not 3 <= length <= most:
        raise BeexError(f"length={length} must lie between 3 and the model's max_length={most}.")
    return int(length)


def segment_name(number: int) -> str:
    """The file name of a segment, counted from 1."""
    return f"block_{number}.tflite"


def is_segment_name(name: str) -> bool:
    """Whether a file has the name of a segment."""
    return re.fullmatch(r"block_\d+\.tflite", name) is not None


def is_segments(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a directory of segments."""
    return (Path(path) / segment_name(1)).is_file()


def to_values(metadata: Metadata) -> dict[str, Any]:
    """Metadata as JSON can hold it, but for the vocabulary."""
    preprocessor = None
    if metadata.preprocessor is not None:
        preprocessor = dict(metadata.preprocessor.get_config())
        del preprocessor["vocabulary"]
    scale = metadata.value_scale
    return {
        "versions": metadata.versions,
        "config": metadata.config.to_dict(),
        "length": metadata.length,
        "labels": list(metadata.labels),
        "policy": exits.serialize(metadata.policy),
        "preprocessor": preprocessor,
        **{name: getattr(metadata, name) for name in _PLAIN},
        **({} if scale is None else {"value_scale": scale.to_dict()}),
    }


def from_values(values: dict[str, Any], vocabulary: Sequence[str]) -> Metadata:
    """The inverse of `to_values`; what only ``.tflite`` files have may be missing.

    Raises:
        KeyError, TypeError, ValueError, BeexError: the values are not such.
    """
    preprocessor = values["preprocessor"]
    if preprocessor is not None:
        preprocessor = TextPreprocessor.from_config({**preprocessor, "vocabulary": vocabulary})
    plain = {name: values[name] for name in ("versions", "length", *_PLAIN) if name in values}
    config, labels = BEExformerConfig.from_dict(values["config"]), tuple(values["labels"])
    policy = exits.deserialize(values["policy"])
    exits.check(policy, config.is_regression)
    if config.is_regression:
        plain["value_scale"] = ValueScale.from_dict(values["value_scale"])
    return Metadata(config, labels=labels, policy=policy, preprocessor=preprocessor, **plain)


def to_json(values: dict[str, Any]) -> bytes:
    """JSON in UTF-8.

    Raises:
        BeexError: the calibration figures are not JSON.
    """
    try:
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        advice = "give plain finite numbers, strings, lists and dictionaries"
        problem = f"The calibration figures cannot be stored as JSON ({error})"
        raise BeexError(f"{problem}; {advice}.") from None
    return text.encode("utf-8")
