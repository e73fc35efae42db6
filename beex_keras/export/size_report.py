"""The size of a model: its layers, and its exported file beside that of its float32 counterpart."""

import dataclasses
from typing import Any

from beex_keras.evaluation.accounting import Counts, count
from beex_keras.export import beex
from beex_keras.models import BEExformerConfig


@dataclasses.dataclass(frozen=True)
class SizeReport:
    """The layers of a model and the bytes of two files.

    Attributes:
        layers: parameters, bytes and MACs by the configuration.
        file: bytes of the exported file by their use.
        float32_file: the same for the float32 counterpart.
        ratio: how many times smaller the exported file is.
    """

    layers: Counts
    file: dict[str, Any]
    float32_file: dict[str, Any]
    ratio: float

    def to_dict(self) -> dict[str, Any]:
        files = {"beex_file": self.file, "float32_beex_file": self.float32_file}
        return {**self.layers.to_dict(), **files, "ratio": self.ratio}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        files = {"exported": self.file, "float32 twin": self.float32_file}
        rows = [{"file": name, **sizes} for name, sizes in files.items()]
        title = f"Bytes of the .beex file (weights {self.ratio:.2f}x smaller)"
        return {**self.layers.tables(), title: rows}


def of_config(
    config: BEExformerConfig, length: int | None = None, int8_weights: bool = False
) -> SizeReport:
    """Reports on the ``.beex`` file of a configuration, which reads `config.max_length` tokens.

    MACs and FLOPs are counted for a text of `length` tokens, `config.max_length` by default.

    Raises:
        BeexError: `length` does not fit.
    """
    twin, most = config.twin(), config.max_length
    weights = beex.weights_size(config, most, int8_weights)
    float32_weights = beex.weights_size(twin, most)
    return SizeReport(
        layers=count(config, length),
        file={
            "total": None,
            "weights": weights,
            "arena": beex.arena_size(config, most, int8_weights),
        },
        float32_file={"weights": float32_weights, "arena": beex.arena_size(twin, most)},
        ratio=float32_weights / weights,
    )


def of_file(data: bytes, source: str = "The model", length: int | None = None) -> SizeReport:
    """Reports on a ``.beex`` file; raises as `of_config` does, or if the file is not ours or damaged."""
    about = beex.read(data, source)
    header = beex.read_header(data)
    config = about.config.replace(max_length=about.length)
    report = of_config(config, length, header["weight_bits"] == 8)
    # An older file needs another arena than one that is written today.
    return dataclasses.replace(
        report, file={**report.file, "total": len(data), "arena": header["arena_size"]}
    )
