"""The layout of a ``.beex`` file: header fields, alignment, and the range of its numbers."""

import dataclasses
import mmap
import struct
import zlib
from typing import Any

import numpy as np

from beex_keras import exits, tasks
from beex_keras.errors import BeexError
from beex_keras.models import BEExformerConfig
from beex_keras.tasks import TargetScaler

MAGIC = b"BEEX"
FORMAT_VERSION = 4

NETWORKS = ("slfn", "ffn")
"""The networks behind attention; a file stores an index into this tuple."""

CONTENT_ACTIVATIONS = ("tanh", "gelu")
"""The activations of an SLFN's content branch; a file stores an index into this tuple."""

POLICY_KINDS = ("fractional_entropy", "entropy", "confidence", "patience", "fixed_depth", "change")
"""The exit policies; a file stores an index into this tuple."""

ALIGNMENT = 64
"""Every part of a file begins at a multiple of this many bytes."""

CHANNEL_MULTIPLE = 16
"""A channel vector is padded with zeros to a multiple of this many floats."""

MAX_REAL = 1024.0
"""The largest magnitude of a float32 weight."""

MAX_INT8_SCALE = 8.0
"""The largest scale of an output whose weights are int8."""

_NAMES = """
    arena_size vocabulary_size length num_segments separator_id width num_heads hidden_width network
    num_blocks num_classes weight_bits activation_bits embedding_bits sigmoid_gate attention_scale
    policy below threshold has_vocabulary lower_case unknown_id classification_id text_length weights
    labels labels_size words words_size pieces pieces_size metadata metadata_size content_activation
    gate_width task value_offset value_scale value_least value_most exact
"""
_FIELDS = tuple(_NAMES.split())
_VALUE_SCALE_FIELDS = ("value_offset", "value_scale", "value_least", "value_most")
_REAL_FIELDS = ("attention_scale", "threshold", *_VALUE_SCALE_FIELDS)
_RESERVED = 76
HEADER = struct.Struct(
    f"<4sIII{''.join('f' if name in _REAL_FIELDS else 'I' for name in _FIELDS)}{_RESERVED}x"
)
CHECKED_FROM = 16
"""The checksum covers all bytes from this offset on."""


def seal(values: dict[str, Any], body: bytes) -> bytes:
    """Writes the header and the checksum over the first bytes of `body`; missing fields become 0."""
    fields = [values.get(name, 0) for name in _FIELDS]
    header = HEADER.pack(MAGIC, FORMAT_VERSION, len(body), 0, *fields)
    data = header + body[HEADER.size :]
    checksum = struct.pack("<I", zlib.crc32(data[CHECKED_FROM:]))
    return data[: CHECKED_FROM - 4] + checksum + data[CHECKED_FROM:]


def read_header(data: bytes | mmap.mmap) -> dict[str, Any]:
    """Returns the header's fields by name, without any check.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.read_header(data)["num_blocks"]
        3
    """
    return dict(zip(_FIELDS, HEADER.unpack_from(data)[4:], strict=True))


def section(data: bytes | mmap.mmap, values: dict[str, Any], name: str) -> bytes:
    """Returns the bytes of a section that the header locates."""
    return data[values[name] : values[name] + values[f"{name}_size"]]


def architecture_fields(config: BEExformerConfig, length: int) -> dict[str, Any]:
    """Returns the header fields that follow from the configuration."""
    return {
        **config.to_dict(),
        "length": length,
        "network": NETWORKS.index(config.network),
        "sigmoid_gate": int(config.gate_activation == "sigmoid"),
        "gate_width": 0 if config.network == "ffn" else config.gate_width or config.hidden_width,
        "content_activation": CONTENT_ACTIVATIONS.index(config.content_activation),
        "attention_scale": (config.width // config.num_heads) ** -0.5,
        "task": tasks.PROBLEM_TYPES.index(config.problem_type),
    }


def policy_fields(policy: exits.ExitPolicy) -> dict[str, Any]:
    """Returns the header fields of an exit policy."""
    number = POLICY_KINDS.index(exits.serialize(policy)["name"])
    threshold = float(np.float32(policy.threshold))
    return {"policy": number, "below": int(policy.below), "threshold": threshold}


def value_scale_fields(scale: TargetScaler | None) -> dict[str, float]:
    """Returns the header fields of a regression's scale; empty for a classifier."""
    if scale is None:
        return {}
    return {f"value_{name}": value for name, value in dataclasses.asdict(scale).items()}


def read_value_scale(values: dict[str, Any]) -> TargetScaler | None:
    """Returns the scale that a regression's header holds; None for a classifier."""
    if not values["task"]:
        return None
    return TargetScaler(*(values[name] for name in _VALUE_SCALE_FIELDS))


def check_range(
    values: np.ndarray,
    name: str,
    most: float = MAX_REAL,
    advice: str = "train the model again, at a lower learning rate",
) -> None:
    """Raises `BeexError` if a number is not finite or its magnitude exceeds `most`."""
    wrong = values[~(np.abs(values) <= most)]
    if wrong.size:
        problem = f"{name} holds {wrong[0]:g}, but the engine takes numbers within ±{most:g}"
        raise BeexError(f"{problem}; {advice}.")


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
