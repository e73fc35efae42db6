"""What a ``.tflite`` file needs beside its graph to classify text, stored in the file itself.

Two metadata entries: ``beex_keras``, a JSON object, and ``beex_keras_vocabulary``, the vocabulary's
lines, compressed. The JSON holds a SHA-256 over the whole file (computed with zeros in the place of
its own digits), which is verified before any other byte is interpreted: an interpreter must never
see a damaged file.
"""

import hashlib
import json
import re
import zlib
from typing import Any

from beex_keras.errors import BeexError
from beex_keras.export.description import Metadata, from_values, to_json, to_values
from beex_keras.export.tflite import flatbuffer

ENTRY = "beex_keras"
VOCABULARY_ENTRY = "beex_keras_vocabulary"
FORMAT_VERSION = 3

_DIGITS = 64
_BLANK = b"0" * _DIGITS
_CHECKSUM = re.compile(rb'"sha256":"([0-9a-f]{%d})"' % _DIGITS)


def attach(model: Any, metadata: Metadata | None) -> None:
    """Adds both entries to a parsed model, the checksum still blank; `seal` fills it in.

    A model that is no classifier has no metadata, and only the checksum.

    Raises:
        BeexError: the calibration figures are not JSON.
    """
    if metadata is not None and metadata.preprocessor is not None:
        lines = "\n".join(metadata.preprocessor.get_config()["vocabulary"])
        flatbuffer.add_metadata(model, VOCABULARY_ENTRY, zlib.compress(lines.encode("utf-8"), 9))
    own = {} if metadata is None else to_values(metadata)
    values = {"format": FORMAT_VERSION, **own, "sha256": _BLANK.decode()}
    flatbuffer.add_metadata(model, ENTRY, to_json(values))


def seal(data: bytes) -> bytes:
    """The packed file with its checksum filled in."""
    (found,) = _CHECKSUM.finditer(data)
    return data[: found.start(1)] + _digest(data) + data[found.end(1) :]


def verified(data: bytes, source: str) -> Any:
    """The parsed model of a file, once it is known, from its bytes, to be ours and undamaged.

    Raises:
        BeexError: it is not a TFLite model, not one of ours, or its checksum fails.
    """
    if not data:
        raise BeexError(f"{source} is empty; export the model again.")
    if data[4:8] != flatbuffer.IDENTIFIER:
        problem = "is not a TFLite model (it lacks the identifier TFL3)"
        raise BeexError(f"{source} {problem}; give a .tflite file that `beex convert` wrote.")
    found = list(_CHECKSUM.finditer(data))
    if len(found) != 1:
        raise BeexError(
            f"{source} was not written by `beex convert`, or it is cut short: it carries no "
            "checksum of ours; give the whole file, or convert the model again."
        )
    if _digest(data) != found[0].group(1):
        problem = "is damaged: its checksum does not match its content"
        raise BeexError(f"{source} {problem}; copy the file again or convert the model again.")
    return flatbuffer.parse(data)


def read(data: bytes, source: str = "The model") -> Metadata:
    """Verifies a file, which errors call `source`, and returns its metadata.

    Raises:
        BeexError: as `verified`, or the metadata was written by a release we cannot read.
    """
    return read_parsed(verified(data, source), source)


def read_parsed(model: Any, source: str) -> Metadata:
    """The metadata of a parsed model; errors as `read`."""
    try:
        values = json.loads((flatbuffer.get_metadata(model, ENTRY) or b"").decode("utf-8"))
        version = values["format"]
        if version != FORMAT_VERSION:
            known = f"this release reads format {FORMAT_VERSION}; use the release that wrote it"
            raise BeexError(f"{source} has metadata of format {version}, but {known}.")
        if "config" not in values:
            fix = "run it in larq_compute_engine.tflite.python.interpreter.Interpreter"
            raise BeexError(f"{source} is a model of your own, without labels and exits; {fix}.")
        packed = flatbuffer.get_metadata(model, VOCABULARY_ENTRY)
        lines = zlib.decompress(packed).decode("utf-8").split("\n") if packed else []
        return from_values(values, lines)
    except BeexError:
        raise
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise BeexError(f"{source} has unreadable metadata; convert the model again.") from error


def _digest(data: bytes) -> bytes:
    """SHA-256, in hexadecimal, of the file with a blank checksum."""
    blank = _CHECKSUM.sub(b'"sha256":"' + _BLANK + b'"', data)
    return hashlib.sha256(blank).hexdigest().encode("ascii")
