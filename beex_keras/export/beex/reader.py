"""Reads a ``.beex`` file: its metadata without TensorFlow, and its weights into a Keras classifier.

A file holds the signs of binarized weights, not the magnitudes of the latent ones. A restored classifier
computes the same; its latent weights get the mean magnitude of a new model's.
"""

import json
import mmap
import struct
import zlib
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from beex_keras.errors import BeexError
from beex_keras.export.beex import format as layout
from beex_keras.export.beex import packing
from beex_keras.export.beex.format import HEADER, check_range, read_header, round_up, section
from beex_keras.export.description import Metadata, from_values

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier


def read(data: bytes | mmap.mmap, source: str = "The model") -> Metadata:
    """Verifies a file and returns its metadata: all but the weights.

    Raises:
        BeexError: it is no ``.beex`` file of this version, or damaged; the error calls it `source`.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.read(data).labels
        ('negative', 'positive')
    """
    _verify(data, source)
    try:
        values = read_header(data)
        stored = json.loads(section(data, values, "metadata").decode("utf-8"))
        labels = section(data, values, "labels").decode("utf-8").split("\0")[:-1]
        tokens: dict[int, str] = {}
        if values["has_vocabulary"]:
            for name, prefix in (("words", ""), ("pieces", "##")):
                words = packing.unpack_dictionary(section(data, values, name))
                tokens |= {number: prefix + word.decode("utf-8") for word, number in words.items()}
        vocabulary = [tokens[number] for number in range(len(tokens))]
        if scale := layout.read_value_scale(values):
            stored["value_scale"] = scale.to_dict()
        return from_values({**stored, "length": values["length"], "labels": labels}, vocabulary)
    except BeexError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error


def _verify(data: bytes | mmap.mmap, source: str) -> None:
    """Checks magic, version, size and checksum, but not the content."""
    if data[:4] != layout.MAGIC:
        advice = "give one that `beex convert --format beex` wrote"
        raise BeexError(f"{source} is not a .beex file; {advice}.")
    if len(data) < HEADER.size:
        raise BeexError(f"{source} is cut short; copy the file again or convert the model again.")
    _, version, size, checksum = struct.unpack_from("<4sIII", data)
    if version != layout.FORMAT_VERSION:
        problem = f"has format {version}, but this release reads format {layout.FORMAT_VERSION}"
        raise BeexError(f"{source} {problem}; convert the model again, by this release.")
    advice = "copy the file again or convert the model again"
    if len(data) != size:
        raise BeexError(f"{source} has {len(data):,} bytes and should have {size:,}; {advice}.")
    if zlib.crc32(memoryview(data)[layout.CHECKED_FROM :]) != checksum:
        problem = "its checksum does not match its content"
        raise BeexError(f"{source} is damaged: {problem}; {advice}.")


def classifier(data: bytes, source: str = "The model") -> "BEExformerClassifier":
    """Restores the Keras classifier of a file, whose `max_length` is the length of the file.

    Converted again it gives the same bytes.

    Raises:
        BeexError: the file is not ours or damaged, its weights are int8, or a weight is not finite
            or too large; the error calls the file `source`.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.classifier(data).labels
        ('negative', 'positive')
    """
    from beex_keras.models import BEExformerClassifier

    metadata = read(data, source)
    header = read_header(data)
    if 8 in (header["weight_bits"], header["embedding_bits"]):
        problem = "holds weights of 8 bits, which a Keras model has not"
        raise BeexError(f"{source} {problem}; give the run folder that it was converted from.")
    config = metadata.config.replace(max_length=metadata.length)
    expected = layout.architecture_fields(config, metadata.length)
    model = BEExformerClassifier(
        config,
        preprocessor=metadata.preprocessor,
        labels=metadata.labels,
        policy=metadata.policy,
        value_scale=metadata.value_scale,
    )
    try:
        common = header.keys() & expected.keys()
        if any(header[name] != np.float32(expected[name]) for name in common):
            raise ValueError("The header is not that of the configuration.")
        _read_weights(_Cursor(data, header["weights"], source), model)
    except BeexError:
        raise
    except ValueError as error:  # also where the file ends within its weights
        raise BeexError(f"{source} contradicts itself; convert the model again.") from error
    return model


class _Cursor:
    """Reads one array after the other from `place` on; errors call the file `source`."""

    def __init__(self, data: bytes, place: int, source: str) -> None:
        self._data = data
        self._place = place
        self._source = source

    def array(self, kind: str, *shape: int) -> np.ndarray:
        """The next array; a ValueError if the file ends before it does."""
        array = np.frombuffer(self._data, kind, prod(shape), self._place)
        self._place += round_up(array.nbytes, layout.ALIGNMENT)
        return array.reshape(shape)

    def reals(self, name: str, *shape: int) -> np.ndarray:
        """The next floats, checked for their range; errors call them `name`."""
        values = self.array("<f4", *shape)
        check_range(values, f"{self._source}: {name}", advice="convert the model again")
        return values

    def channels(self, name: str, count: int) -> np.ndarray:
        """The next channel vector without its padding; a ValueError if that is not zero."""
        values = self.reals(name, round_up(count, layout.CHANNEL_MULTIPLE))
        if values[count:].any():
            raise ValueError(f"The padding of {name} is not zero.")
        return values[:count]


def _read_weights(cursor: _Cursor, model: "BEExformerClassifier") -> None:
    from beex_keras.export import matrices

    for weight in matrices.file_weights(model):
        shape = weight.variable.shape
        if weight.layout == matrices.CHANNELS:
            values = cursor.channels(weight.name, *shape)
        elif weight.latent_scale is None:
            values = cursor.reals(weight.name, *shape)
        else:
            inputs, outputs = shape[-2:]
            if weight.layout == matrices.TABLE:
                words = cursor.array("<u8", inputs, -(-outputs // 64))
                negative = packing.unpack_bits(words, outputs)
            else:
                fully = model.config.precision.is_fully_binary
                words = cursor.array("<u8", *packing.signs_shape(inputs, outputs, fully))
                negative = packing.unpack_signs(words, inputs, outputs, fully)
            values = matrices.latent_values(negative, weight.latent_scale)
        weight.variable.assign(values.reshape(shape))
