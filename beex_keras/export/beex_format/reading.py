"""What Python needs of a file, once it is known to be whole."""

import json
import struct
import zlib

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export.beex_format.dictionary import unpack_dictionary
from beex_keras.export.beex_format.header import (
    CHECKED_FROM,
    FORMAT_VERSION,
    HEADER,
    MAGIC,
    OLDEST_FORMAT,
    read_header,
)
from beex_keras.export.metadata import Metadata
from beex_keras.models import BEExformerConfig
from beex_keras.text import TextPreprocessor


def read(data: bytes, source: str = "The model") -> Metadata:
    """Verifies a file and returns what Python needs of it.

    Raises:
        BeexError: it is not a ``.beex`` file of a version that this release reads, or damaged.
    """
    verify(data, source)
    try:
        values = read_header(data)

        def section(name: str) -> bytes:
            return data[values[name] : values[name] + values[f"{name}_size"]]

        stored = json.loads(section("metadata").decode("utf-8"))
        preprocessor = stored["preprocessor"]
        if preprocessor is not None:
            words = unpack_dictionary(section("words"))
            pieces = unpack_dictionary(section("pieces"))
            tokens = {number: word.decode("utf-8") for word, number in words.items()}
            tokens |= {number: "##" + word.decode("utf-8") for word, number in pieces.items()}
            vocabulary = [tokens[number] for number in range(len(tokens))]
            preprocessor = TextPreprocessor.from_config({**preprocessor, "vocabulary": vocabulary})
        return Metadata(
            config=BEExformerConfig.from_dict(stored["config"]),
            length=values["length"],
            labels=tuple(section("labels").decode("utf-8").split("\0")[:-1]),
            policy=exits.deserialize(stored["policy"]),
            preprocessor=preprocessor,
            calibration=stored["calibration"],
            versions=stored["versions"],
        )
    except BeexError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error


def verify(data: bytes, source: str) -> None:
    """Checks, without interpreting the content, that the file is ours, whole and undamaged.

    Raises:
        BeexError: it is not.
    """
    if data[:4] != MAGIC:
        raise BeexError(
            f"{source} is not a .beex file; give one that `beex convert --format beex` wrote."
        )
    if len(data) < HEADER.size:
        raise BeexError(f"{source} is cut short; copy the file again or convert the model again.")
    _, version, size, checksum = struct.unpack_from("<4sIII", data)
    if not OLDEST_FORMAT <= version <= FORMAT_VERSION:
        raise BeexError(
            f"{source} has format {version}, but this release reads formats {OLDEST_FORMAT} to "
            f"{FORMAT_VERSION}; convert the model again, by this release."
        )
    if len(data) != size:
        raise BeexError(
            f"{source} has {len(data):,} bytes and should have {size:,}; copy the file again or "
            "convert the model again."
        )
    if zlib.crc32(data[CHECKED_FROM:]) != checksum:
        raise BeexError(
            f"{source} is damaged: its checksum does not match its content; copy the file again or "
            "convert the model again."
        )
