"""Layers that are saved by the arguments they were made with, and built without a trace of their graph."""

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


class ModelPart(RecordedLayer):
    """A layer that a functional model calls; its `build` makes all weights, those of its parts included."""

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        raise NotImplementedError

    def _infer_output_signature(self, inputs: Any, *args: Any) -> Any:
        """Shape and type of the output, for Keras, which would trace the layer to find them.

        The trace of its graph is nearly all of the time that a model takes to be made.
        """
        with tf.name_scope(self.name):
            self._maybe_build(inputs)
        shape = self.compute_output_shape(inputs.shape)
        return type(inputs)(tf.TensorSpec(shape, self.compute_dtype))


def build_part(part: tf.keras.layers.Layer, *shape: int | None) -> None:
    """Makes the weights of a layer's part, for inputs of that shape, under the part's name."""
    with tf.name_scope(part.name):
        part.build(tf.TensorShape(shape))
