"""The metadata of an exported file: all that a runtime needs beside the weights, and its JSON."""

import dataclasses
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from beex_keras import exits
from beex_keras._version import __version__
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig
from beex_keras.tasks import TargetScaler
from beex_keras.text import TextPreprocessor

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier

EXITS = ("in-graph", "all-outputs")
"""The file itself takes the exit, or its caller does, who reads the logits of all exits."""

_PLAIN = ("calibration", "exit", "threshold_input")
_RETIRED = {"segment": None, "model_digest": None}
"""Fields that earlier releases wrote; they stay, so that a file's bytes stay the same."""


@dataclasses.dataclass(frozen=True)
class Metadata:
    """The metadata of an exported file.

    Attributes:
        config: the architecture.
        length: the number of tokens that the file reads, at most `config.max_length`.
        labels: the names of the classes, in the order of the logits.
        policy: the exit policy.
        preprocessor: splits a text into at most `length` tokens; None if the model has none.
        calibration: figures of the policy's calibration, as the caller gave them.
        versions: releases of the packages that wrote the file.
        exit: one of `EXITS`.
        threshold_input: whether the policy's threshold is an input of the graph.
        value_scale: the scale of a regression's answers; None for classes.

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
    value_scale: TargetScaler | None = None


def describe(
    classifier: "BEExformerClassifier",
    length: int,
    calibration: dict[str, Any] | None = None,
    **exit: Any,
) -> Metadata:
    """Returns a classifier's metadata for a file of `length` tokens; `exit` has fields of `Metadata`."""
    import importlib.metadata  # programs that only run files do not wait for it

    preprocessor = classifier.preprocessor
    if preprocessor is not None and preprocessor.max_length > length:
        values = {**preprocessor.get_config(), "max_length": length}
        preprocessor = TextPreprocessor.from_config(values)
    versions = {"beex-keras": __version__, "tensorflow": importlib.metadata.version("tensorflow")}
    with suppress(importlib.metadata.PackageNotFoundError):
        versions["larq-compute-engine"] = importlib.metadata.version("larq-compute-engine")
    return Metadata(
        classifier.config,
        length,
        labels=tuple(classifier.labels),
        policy=classifier.policy,
        preprocessor=preprocessor,
        calibration=calibration,
        versions=versions,
        value_scale=classifier.value_scale,
        **exit,
    )


def checked_length(config: BEExformerConfig, length: int | None) -> int:
    """Returns `length`, or `config.max_length` if it is None.

    Raises:
        BeexError: `length` is no whole number from 3 to `config.max_length`.
    """
    length = config.max_length if length is None else length
    if isinstance(length, bool) or not isinstance(length, int | np.integer):
        raise BeexError(f"length={length!r} must be a whole number of tokens.")
    most = config.max_length
    if not 3 <= length <= most:
        raise BeexError(f"length={length} must lie between 3 and the model's max_length={most}.")
    return int(length)


def to_values(metadata: Metadata) -> dict[str, Any]:
    """Returns the metadata as JSON values, without the vocabulary."""
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
        **_RETIRED,
        **({} if scale is None else {"value_scale": scale.to_dict()}),
    }


def from_values(values: dict[str, Any], vocabulary: Sequence[str]) -> Metadata:
    """The inverse of `to_values`; fields of ``.tflite`` files alone may be missing.

    Raises:
        KeyError, TypeError, ValueError, BeexError: `values` does not describe a model.
    """
    preprocessor = values["preprocessor"]
    if preprocessor is not None:
        preprocessor = TextPreprocessor.from_config({**preprocessor, "vocabulary": vocabulary})
    plain = {name: values[name] for name in ("versions", "length", *_PLAIN) if name in values}
    config, labels = BEExformerConfig.from_dict(values["config"]), tuple(values["labels"])
    policy = exits.deserialize(values["policy"])
    exits.check(policy, config.problem_type)
    if config.problem_type == "regression":
        plain["value_scale"] = TargetScaler.from_dict(values["value_scale"])
    return Metadata(config, labels=labels, policy=policy, preprocessor=preprocessor, **plain)


def to_json(values: dict[str, Any]) -> bytes:
    """Encodes values as JSON in UTF-8.

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
