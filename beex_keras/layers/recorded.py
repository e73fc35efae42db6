"""Layers that are saved by the arguments they were made with."""

import dataclasses
import inspect
from typing import Any

from beex_keras.backend import tf
from beex_keras.precision import Precision


class RecordedLayer(tf.keras.layers.Layer):
    """A layer whose configuration is the arguments of its constructor, which it keeps by itself."""

    _made_with: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> "RecordedLayer":
        layer = super().__new__(cls, *args, **kwargs)
        bound = inspect.signature(cls.__init__).bind_partial(layer, *args, **kwargs)
        bound.apply_defaults()
        own = {k: v for k, v in bound.arguments.items() if k not in ("self", "kwargs")}
        # Past Keras, which would make the dictionary a part of checkpoints.
        object.__setattr__(layer, "_made_with", own)
        return layer

    def get_config(self) -> dict[str, Any]:
        own = {
            name: dataclasses.asdict(value) if isinstance(value, Precision) else value
            for name, value in self._made_with.items()
        }
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "RecordedLayer":
        if "precision" in config:
            config = {**config, "precision": Precision(**config["precision"])}
        return cls(**config)
