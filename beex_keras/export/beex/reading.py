"""A file, once it is known to be whole: what Python needs of it beside its weights."""

import json
import mmap
import struct
import zlib

from beex_keras.errors import BeexError
from beex_keras.export.beex.dictionary import unpack_dictionary
from beex_keras.export.beex.header import (
    CHECKED_FROM,
    FORMAT_VERSION,
    HEADER,
    MAGIC,
    read_header,
    section,
    value_scale,
)
from beex_keras.export.description import Metadata, from_values


def read(data: bytes | mmap.mmap, source: str = "The model") -> Metadata:
    """Verifies a file and returns what Python needs of it.

    Raises:
        BeexError: it is not a ``.beex`` file of this version, or damaged.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.read(data).labels
        ('negative', 'positive')
    """
    verify(data, source)
    try:
        values = read_header(data)
        stored = json.loads(section(data, values, "metadata").decode("utf-8"))
        labels = section(data, values, "labels").decode("utf-8").split("\0")[:-1]
        tokens: dict[int, str] = {}
        if values["has_vocabulary"]:
            for name, prefix in (("words", ""), ("pieces", "##")):
                for word, number in unpack_dictionary(section(data, values, name)).items():
                    tokens[number] = prefix + word.decode("utf-8")
        vocabulary = [tokens[number] for number in range(len(tokens))]
        if scale := value_scale(values):
            stored["value_scale"] = scale.to_dict()
        return from_values({**stored, "length": values["length"], "labels": labels}, vocabulary)
    except BeexError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error


def verify(data: bytes | mmap.mmap, source: str) -> None:
    """Checks, without interpreting the content, that the file is ours, whole and undamaged.

    Raises:
        BeexError: it is not.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.verify(data, "The model")
    """
    if data[:4] != MAGIC:
        advice = "give one that `beex convert --format beex` wrote"
        raise BeexError(f"{source} is not a .beex file; {advice}.")
    if len(data) < HEADER.size:
        raise BeexError(f"{source} is cut short; copy the file again or convert the model again.")
    _, version, size, checksum = struct.unpack_from("<4sIII", data)
    if version != FORMAT_VERSION:
        problem = f"has format {version}, but this release reads format {FORMAT_VERSION}"
        raise BeexError(f"{source} {problem}; convert the model again, by this release.")
    advice = "copy the file again or convert the model again"
    if len(data) != size:
        raise BeexError(f"{source} has {len(data):,} bytes and should have {size:,}; {advice}.")
    if zlib.crc32(memoryview(data)[CHECKED_FROM:]) != checksum:
        problem = "its checksum does not match its content"
        raise BeexError(f"{source} is damaged: {problem}; {advice}.")
