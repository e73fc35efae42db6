"""Layers that make their weights without a trace of their graph."""

from typing import Any

from beex_keras.backend import tf
from beex_keras.layers.recorded import RecordedLayer


class ModelPart(RecordedLayer):
    """A layer that a functional model calls.

    Its `build` makes all weights, those of its parts included, and its `compute_output_shape` only computes.
    """

    def _infer_output_signature(self, inputs: Any, *args: Any) -> Any:
        """Shape and type of the output, for Keras.

        Keras would trace the layer to find them, which takes longer than all else in making a model.
        """
        with tf.name_scope(self.name):
            self._maybe_build(inputs)
        shape = self.compute_output_shape(inputs.shape)
        return type(inputs)(tf.TensorSpec(shape, self.compute_dtype))


def build_part(part: tf.keras.layers.Layer, *shape: int | None) -> None:
    """Makes the weights of a layer's part, for inputs of that shape, under the part's name."""
    with tf.name_scope(part.name):
        part.build(tf.TensorShape(shape))
