"""What a file needs beside its graph to classify text, stored in the file itself.

Two metadata entries: ``beex_keras``, a JSON object, and ``beex_keras_vocabulary``, the vocabulary's
lines, compressed. The JSON holds a SHA-256 over the whole file (computed with zeros in the place of
its own digits), which is verified before any other byte is interpreted: an interpreter must never
see a damaged file.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import re
import zlib
from typing import Any

from beex_keras import exits
from beex_keras._version import __version__
from beex_keras.errors import BeexError
from beex_keras.export import flatbuffer
from beex_keras.models import BEExformerClassifier, BEExformerConfig
from beex_keras.text import TextPreprocessor

ENTRY = "beex_keras"
VOCABULARY_ENTRY = "beex_keras_vocabulary"
FORMAT_VERSION = 3

EXITS = ("in-graph", "all-outputs", "segments")
"""Where an exit is taken: by the file itself, by whoever reads the logits of all exits, or by whoever
runs one file a block."""

_DIGITS = 64
_BLANK = b"0" * _DIGITS
_CHECKSUM = re.compile(rb'"sha256":"([0-9a-f]{%d})"' % _DIGITS)


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


def describe(
    classifier: BEExformerClassifier,
    length: int,
    calibration: dict[str, Any] | None = None,
    **exit: Any,
) -> Metadata:
    """The metadata of a classifier that is exported for `length` tokens, `exit` as in `Metadata`."""
    preprocessor = classifier.preprocessor
    if preprocessor is not None and preprocessor.max_length > length:
        preprocessor = TextPreprocessor.from_config(
            {**preprocessor.get_config(), "max_length": length}
        )
    packages = ("tensorflow", "larq-compute-engine")
    return Metadata(
        config=classifier.config,
        length=length,
        labels=tuple(classifier.labels),
        policy=classifier.policy,
        preprocessor=preprocessor,
        calibration=calibration,
        versions={
            "beex-keras": __version__,
            **{package: importlib.metadata.version(package) for package in packages},
        },
        **exit,
    )


def attach(model: Any, metadata: Metadata) -> None:
    """Adds both entries to a parsed model, the checksum still blank; `seal` fills it in.

    Raises:
        BeexError: the calibration figures are not JSON.
    """
    preprocessor = None
    if metadata.preprocessor is not None:
        preprocessor = dict(metadata.preprocessor.get_config())
        lines = "\n".join(preprocessor.pop("vocabulary"))
        flatbuffer.add_metadata(model, VOCABULARY_ENTRY, zlib.compress(lines.encode("utf-8"), 9))
    values = {
        "format": FORMAT_VERSION,
        "versions": metadata.versions,
        "config": metadata.config.to_dict(),
        "length": metadata.length,
        "labels": list(metadata.labels),
        "policy": exits.serialize(metadata.policy),
        "preprocessor": preprocessor,
        "calibration": metadata.calibration,
        "exit": metadata.exit,
        "threshold_input": metadata.threshold_input,
        "segment": metadata.segment,
        "model_digest": metadata.model_digest,
        "sha256": _BLANK.decode(),
    }
    try:
        content = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BeexError(
            f"The calibration figures cannot be stored as JSON ({error}); give plain finite "
            "numbers, strings, lists and dictionaries."
        ) from None
    flatbuffer.add_metadata(model, ENTRY, content.encode("utf-8"))


def seal(data: bytes) -> bytes:
    """The packed file with its checksum filled in."""
    (found,) = _CHECKSUM.finditer(data)
    return data[: found.start(1)] + _digest(data) + data[found.end(1) :]


def verify(data: bytes, source: str) -> None:
    """Checks, without interpreting the content, that the file is ours and undamaged.

    Args:
        data: the file's bytes.
        source: names the file in errors.

    Raises:
        BeexError: it is not a TFLite model, not one of ours, or its checksum fails.
    """
    if not data:
        raise BeexError(f"{source} is empty; export the model again.")
    if data[4:8] != flatbuffer.IDENTIFIER:
        raise BeexError(
            f"{source} is not a TFLite model (it lacks the identifier TFL3); give a .tflite file "
            "that `beex convert` wrote."
        )
    found = list(_CHECKSUM.finditer(data))
    if len(found) != 1:
        raise BeexError(
            f"{source} was not written by `beex convert`, or it is cut short: it carries no "
            "checksum of ours; give the whole file, or convert the model again."
        )
    if _digest(data) != found[0].group(1):
        raise BeexError(
            f"{source} is damaged: its checksum does not match its content; copy the file again or "
            "convert the model again."
        )


def read(data: bytes, source: str = "The model") -> Metadata:
    """Verifies a file and returns its metadata.

    Raises:
        BeexError: as `verify`, or the metadata was written by a release we cannot read.
    """
    return read_parsed(verified(data, source), source)


def verified(data: bytes, source: str) -> Any:
    """The parsed model of a file that is ours and undamaged; errors as `verify`."""
    verify(data, source)
    return flatbuffer.parse(data)


def read_parsed(model: Any, source: str) -> Metadata:
    """The metadata of a parsed model; errors as `read`."""
    try:
        values = json.loads((flatbuffer.get_metadata(model, ENTRY) or b"").decode("utf-8"))
        version = values["format"]
        if version != FORMAT_VERSION:
            raise BeexError(
                f"{source} has metadata of format {version}, but this release reads format "
                f"{FORMAT_VERSION}; use the release that wrote it."
            )
        preprocessor = values["preprocessor"]
        if preprocessor is not None:
            packed = flatbuffer.get_metadata(model, VOCABULARY_ENTRY) or b""
            lines = zlib.decompress(packed).decode("utf-8").split("\n")
            preprocessor = TextPreprocessor.from_config({**preprocessor, "vocabulary": lines})
        return Metadata(
            config=BEExformerConfig.from_dict(values["config"]),
            length=values["length"],
            labels=tuple(values["labels"]),
            policy=exits.deserialize(values["policy"]),
            preprocessor=preprocessor,
            calibration=values["calibration"],
            versions=values["versions"],
            exit=values["exit"],
            threshold_input=values["threshold_input"],
            segment=values["segment"],
            model_digest=values["model_digest"],
        )
    except BeexError:
        raise
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise BeexError(f"{source} has unreadable metadata; convert the model again.") from error


def _digest(data: bytes) -> bytes:
    """SHA-256, in hexadecimal, of the file with a blank checksum."""
    blank = _CHECKSUM.sub(b'"sha256":"' + _BLANK + b'"', data)
    return hashlib.sha256(blank).hexdigest().encode("ascii")
