"""A file with another exit policy or for shorter texts; its weights stay what they are."""

import json
from typing import Any

from beex_keras import exits
from beex_keras.export.beex.header import HEADER, policy_fields, read_header, seal, section
from beex_keras.export.beex.parts import Writer
from beex_keras.export.beex.reading import read
from beex_keras.export.beex.sizes import arena_size, parts_sizes
from beex_keras.export.description import checked_length, to_json

_SECTIONS = ("labels", "words", "pieces")


def rewrite(
    data: bytes,
    source: str = "The model",
    length: int | None = None,
    policy: exits.ExitPolicy | None = None,
    calibration: dict[str, Any] | None = None,
    activations: int | None = None,
) -> bytes:
    """The file that `convert` would have made of the same model with these arguments.

    Args:
        data: a ``.beex`` file.
        source: names it in errors.
        length: the most tokens that the new file reads, at most as many as the old one.
        policy: the new file's exit policy; the old one's if None.
        activations: bits of the activations of a file whose weights are binary and activations are not,
            32 or 8; the old file's if None.
        calibration: figures of that policy's calibration, to be kept with it (JSON values).

    Raises:
        BeexError: the file is not ours or damaged, or `length` or `policy` does not fit.

    Example:
        >>> path = beex.pretrained.find("sst2-micro")
        >>> shorter = beex.export.beex.rewrite(path.read_bytes(), length=32)
        >>> beex.export.beex.read(shorter).length
        32
    """
    metadata, values = read(data, source), read_header(data)
    config = metadata.config
    if activations is not None:
        config = config.with_activations(activations)
        values |= {"activation_bits": activations, "exact": int(activations == 8)}
    policy = policy or metadata.policy
    exits.check(policy, config.is_regression)
    length = checked_length(config.replace(max_length=metadata.length), length)
    int8 = values["weight_bits"] == 8
    stored = json.loads(section(data, values, "metadata"))
    stored |= {"policy": exits.serialize(policy), "calibration": calibration}
    stored["config"]["activation_bits"] = config.activation_bits
    if values["has_vocabulary"]:
        values["text_length"] = min(values["text_length"], length)
        stored["preprocessor"]["max_length"] = values["text_length"]

    writer = Writer(HEADER.size)
    start = values["weights"]
    values["weights"] = writer.align()
    # All parts stay but for the positions, of which the first rows are kept.
    shorter = parts_sizes(config, length, int8)
    for old, new in zip(parts_sizes(config, metadata.length, int8), shorter, strict=True):
        writer.data += data[start : start + new]
        start += old
    for name in _SECTIONS:
        if values[name]:
            values |= writer.section(name, section(data, values, name))
    values |= writer.section("metadata", to_json(stored))
    values |= policy_fields(policy)
    memory = arena_size(config, length, int8, exact=bool(values["exact"]))
    values |= {"length": length, "arena_size": memory}
    return seal(values, bytes(writer.data))
