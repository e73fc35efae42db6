"""A file, once it is known to be whole: what Python needs of it, or the Keras classifier.

A file holds the signs of the latent weights and not how far each is from a flip: they come back as
far from it as a new model's are on average. What the model computes is the same.
"""

import json
import struct
import zlib

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.beex.dictionary import unpack_dictionary
from beex_keras.export.beex.encoding import architecture
from beex_keras.export.beex.header import CHECKED_FROM, FORMAT_VERSION, HEADER, MAGIC, read_header
from beex_keras.export.beex.parts import Reader
from beex_keras.export.beex.weights import read_weights
from beex_keras.export.description import Metadata, from_values
from beex_keras.models import BEExformerClassifier


def read(data: bytes, source: str = "The model") -> Metadata:
    """Verifies a file and returns what Python needs of it.

    Raises:
        BeexError: it is not a ``.beex`` file of this version, or damaged.
    """
    verify(data, source)
    try:
        values = read_header(data)

        def section(name: str) -> bytes:
            return data[values[name] : values[name] + values[f"{name}_size"]]

        stored = json.loads(section("metadata").decode("utf-8"))
        labels = section("labels").decode("utf-8").split("\0")[:-1]
        tokens: dict[int, str] = {}
        if values["has_vocabulary"]:
            for name, prefix in (("words", ""), ("pieces", "##")):
                for word, number in unpack_dictionary(section(name)).items():
                    tokens[number] = prefix + word.decode("utf-8")
        vocabulary = [tokens[number] for number in range(len(tokens))]
        return from_values({**stored, "length": values["length"], "labels": labels}, vocabulary)
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
    if zlib.crc32(data[CHECKED_FROM:]) != checksum:
        problem = "its checksum does not match its content"
        raise BeexError(f"{source} is damaged: {problem}; {advice}.")


def classifier(data: bytes, source: str = "The model") -> BEExformerClassifier:
    """The classifier that a file was made of; converted again it gives the same file.

    It reads as many tokens as the file does; errors call the file `source`.

    Raises:
        BeexError: the file is not ours or damaged, or holds weights of 8 bits or such as are not
            finite or too large.
    """
    metadata = read(data, source)
    header = read_header(data)
    if 8 in (header["weight_bits"], header["embedding_bits"]):
        problem = "holds weights of 8 bits, which a Keras model has not"
        raise BeexError(f"{source} {problem}; give the run folder that it was converted from.")
    config = metadata.config.replace(max_length=metadata.length)
    wanted = architecture(config, metadata.length)
    model = BEExformerClassifier(config, metadata.preprocessor, metadata.labels, metadata.policy)
    try:
        if any(header[name] != np.float32(wanted[name]) for name in header.keys() & wanted.keys()):
            raise ValueError("The header is not that of the configuration.")
        read_weights(Reader(data, header["weights"], source), model)
    except BeexError:
        raise
    except ValueError as error:  # it also ends before its weights do
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error
    return model
