"""How large a ``.beex`` file is beside that of the same architecture in float32, by counting alone."""

import dataclasses
from typing import Any

from beex_keras.evaluation.accounting import Counts, count
from beex_keras.export.beex.header import read_header
from beex_keras.export.beex.reading import read
from beex_keras.export.beex.sizes import arena_size, weights_size
from beex_keras.models import BEExformerConfig


@dataclasses.dataclass(frozen=True)
class BeexReport:
    """A model's layers, and the bytes of its file.

    Attributes:
        layers: parameters, bytes and MACs by the configuration.
        weights, arena: bytes of a file's weights, and of the memory that the engine needs.
        float32_weights, float32_arena: the same of the float32 twin.
        total: bytes of the whole file, of which there is none if only a configuration is given.
    """

    layers: Counts
    weights: int
    arena: int
    float32_weights: int
    float32_arena: int
    total: int | None = None

    @property
    def ratio(self) -> float:
        """Bytes of the twin's weights over the model's."""
        return self.float32_weights / self.weights

    def to_dict(self) -> dict[str, Any]:
        file = {"total": self.total, "weights": self.weights, "arena": self.arena}
        twin = {"weights": self.float32_weights, "arena": self.float32_arena}
        files = {"beex_file": file, "float32_beex_file": twin}
        return {**self.layers.to_dict(), **files, "ratio": self.ratio}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        values = self.to_dict()
        title = f"Bytes of the .beex file (weights {self.ratio:.2f}x smaller)"
        rows = [
            {"file": "exported", **values["beex_file"]},
            {"file": "float32 twin", **values["float32_beex_file"]},
        ]
        return {**self.layers.tables(), title: rows}


def summarize(
    config: BEExformerConfig, length: int | None = None, int8_weights: bool = False
) -> BeexReport:
    """The report of a file that reads `config.max_length` tokens.

    `length` are the tokens of the text that MACs and FLOPs are counted for, all if None.

    Raises:
        BeexError: `length` does not fit.
    """
    twin, most = config.twin(), config.max_length
    return BeexReport(
        count(config, length),
        weights_size(config, most, int8_weights),
        arena_size(config, most, int8_weights),
        weights_size(twin, most),
        arena_size(twin, most),
    )


def summarize_file(data: bytes, source: str = "The model", length: int | None = None) -> BeexReport:
    """The report of a file; errors as `summarize`, or the file is not ours or damaged."""
    about = read(data, source)
    config = about.config.replace(max_length=about.length)
    header = read_header(data)
    report = summarize(config, length, header["weight_bits"] == 8)
    # An older file needs another arena than one that is written today.
    return dataclasses.replace(report, total=len(data), arena=header["arena_size"])
