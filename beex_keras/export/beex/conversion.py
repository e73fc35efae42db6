"""Files of a model, which is a classifier or another file."""

import os
from typing import TYPE_CHECKING, Any

from beex_keras.errors import BeexError
from beex_keras.export.beex.header import read_header
from beex_keras.export.beex.rewriting import rewrite
from beex_keras.files import write_atomically

if TYPE_CHECKING:
    from beex_keras.models import BEExformerClassifier


def convert(
    model: "BEExformerClassifier | bytes",
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> bytes:
    """Converts a model to a ``.beex`` file.

    Args:
        model: a classifier, whose preprocessor, labels and exit policy go into the file; or the bytes
            of a ``.beex`` file, which need no TensorFlow.
        length: largest number of tokens that the file reads; as many as the model if None. Fewer tokens
            need less memory.
        calibration: figures of the policy's calibration, which are stored with it (JSON values).
        int8_weights: store the matrices of a float32 classifier in 8 bits, with a scale for each
            output; the engine then quantizes their inputs too, token by token.

    Raises:
        BeexError: `length` does not fit, a label or token cannot be stored, a weight is not finite
            or too large, 8 bits are asked for where weights are binary or in a file already, or
            bytes are not a ``.beex`` file.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> shorter = beex.export.beex.convert(data, length=32)
        >>> beex.export.beex.read(shorter).length
        32
    """
    if not isinstance(model, bytes):
        from beex_keras.export.beex.encoding import encode

        return encode(model, length, calibration, int8_weights)
    if int8_weights:
        fix = "give the run folder that it was converted from"
        raise BeexError(f"The weights of a .beex file stay as they are; {fix}.")
    return rewrite(model, length=length, calibration=calibration)


def export_file(
    model: "BEExformerClassifier | bytes",
    path: str | os.PathLike[str],
    length: int | None = None,
    calibration: dict[str, Any] | None = None,
    int8_weights: bool = False,
) -> dict[str, int]:
    """Writes `convert`'s file to `path`, whole or not at all.

    Returns:
        Bytes of the file, of its weights and of its vocabulary, and the memory that the engine
        needs to run it.

    Raises:
        BeexError: as `convert`, or the file cannot be written.

    Example:
        >>> sizes = beex.export.beex.export_file(beex.runtime.load_classifier("toy"), "toy.beex")
        >>> sorted(sizes)
        ['arena', 'total', 'vocabulary', 'weights']
    """
    data = convert(model, length, calibration, int8_weights)
    write_atomically(path, data)
    return file_sizes(data)


def file_sizes(data: bytes) -> dict[str, int]:
    """Bytes of a file, of its weights and of its vocabulary, and the memory that it takes to run.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.file_sizes(data)["total"] == len(data)
        True
    """
    values = read_header(data)
    return {
        "total": len(data),
        "weights": values["labels"] - values["weights"],
        "vocabulary": values["words_size"] + values["pieces_size"],
        "arena": values["arena_size"],
    }
