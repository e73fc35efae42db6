"""The header: its fields in their order, and the numbers that stand for names."""

import dataclasses
import mmap
import struct
import zlib
from typing import Any

import numpy as np

from beex_keras import exits
from beex_keras.models import BEExformerConfig
from beex_keras.value_scale import ValueScale

MAGIC = b"BEEX"
FORMAT_VERSION = 4

NETWORKS = ("slfn", "ffn")
"""What stands behind the attention, in the order of the numbers in a file."""

CONTENT_ACTIVATIONS = ("tanh", "gelu")
"""Those of the content branch of an "slfn", in the order of their numbers in a file."""

POLICY_KINDS = (
    *("fractional_entropy", "entropy", "confidence", "patience", "fixed_depth"),
    "change",
)
"""The policies in the order of their numbers in a file."""

_NAMES = """
    arena_size vocabulary_size length num_segments separator_id width num_heads hidden_width network
    num_blocks num_classes weight_bits activation_bits embedding_bits sigmoid_gate attention_scale
    policy below threshold has_vocabulary lower_case unknown_id classification_id text_length weights
    labels labels_size words words_size pieces pieces_size metadata metadata_size content_activation
    gate_width task value_offset value_scale value_least value_most exact
"""
_FIELDS = tuple(_NAMES.split())
_OF_VALUES = ("value_offset", "value_scale", "value_least", "value_most")
_REAL_FIELDS = ("attention_scale", "threshold", *_OF_VALUES)
_RESERVED = 76
HEADER = struct.Struct(
    f"<4sIII{''.join('f' if name in _REAL_FIELDS else 'I' for name in _FIELDS)}{_RESERVED}x"
)
CHECKED_FROM = 16
"""The checksum covers everything behind it."""


def seal(values: dict[str, Any], body: bytes) -> bytes:
    """The file: a header of such values over the beginning of `body`, where there is room for it.

    Fields that no value is given of are 0.
    """
    fields = [values.get(name, 0) for name in _FIELDS]
    header = HEADER.pack(MAGIC, FORMAT_VERSION, len(body), 0, *fields)
    data = header + body[HEADER.size :]
    checksum = struct.pack("<I", zlib.crc32(data[CHECKED_FROM:]))
    return data[: CHECKED_FROM - 4] + checksum + data[CHECKED_FROM:]


def read_header(data: bytes | mmap.mmap) -> dict[str, Any]:
    """The header's fields by name, as they are, without any check.

    Example:
        >>> data = beex.pretrained.find("sst2-micro").read_bytes()
        >>> beex.export.beex.read_header(data)["num_blocks"]
        3
    """
    return dict(zip(_FIELDS, HEADER.unpack_from(data)[4:], strict=True))


def section(data: bytes | mmap.mmap, values: dict[str, Any], name: str) -> bytes:
    """The bytes of a section, by the header's fields."""
    return data[values[name] : values[name] + values[f"{name}_size"]]


def architecture(config: BEExformerConfig, length: int) -> dict[str, Any]:
    """The header's fields that the configuration tells."""
    return {
        **config.to_dict(),
        "length": length,
        "network": NETWORKS.index(config.network),
        "sigmoid_gate": int(config.gate_activation == "sigmoid"),
        "gate_width": 0 if config.network == "ffn" else config.gate_width or config.hidden_width,
        "content_activation": CONTENT_ACTIVATIONS.index(config.content_activation),
        "attention_scale": (config.width // config.num_heads) ** -0.5,
        "task": int(config.is_regression),
    }


def value_fields(scale: ValueScale | None) -> dict[str, float]:
    """The header's fields of a regression's scale; none of classes."""
    if scale is None:
        return {}
    return {f"value_{name}": value for name, value in dataclasses.asdict(scale).items()}


def value_scale(values: dict[str, Any]) -> ValueScale | None:
    """The inverse of `value_fields`, of a whole header."""
    if not values["task"]:
        return None
    return ValueScale(*(values[name] for name in _OF_VALUES))


def policy_fields(policy: exits.ExitPolicy) -> dict[str, Any]:
    """The header's fields that an exit policy tells."""
    number = POLICY_KINDS.index(exits.serialize(policy)["name"])
    threshold = float(np.float32(policy.threshold))
    return {"policy": number, "below": int(policy.below), "threshold": threshold}
