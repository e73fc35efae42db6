"""The base class of the layers."""

import dataclasses
import inspect
from typing import Any

from beex_keras.backend import tf
from beex_keras.errors import BeexError
from beex_keras.precision import Precision


class BaseLayer(tf.keras.layers.Layer):
    """A float32 layer that passes Keras' masks on.

    A subclass keeps each argument of its constructor as an attribute of the same name. `get_config` collects the
    arguments of all classes down from this one, so a user's subclass that takes `**kwargs` is saved with its own
    arguments and with those of its base class.

    A subclass creates all weights in `build`, those of its sublayers included. Keras then needs no trace of the
    layer's graph when a functional model calls it, which would take longer than all else in making a model.

    Raises:
        BeexError: the dtype policy computes in 16 bits.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        if tf.as_dtype(self.compute_dtype).size < 4:
            raise BeexError(
                f"The layer '{self.name}' cannot compute in {self.compute_dtype}, because Keras 2 would "
                "cast the latent weights that Larq's quantizers read; set the policy float32."
            )

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        return tf.TensorShape(input_shape)

    def _infer_output_signature(self, inputs: Any, *args: Any) -> Any:
        """Gives Keras the shape and type of the output without a trace."""
        with tf.name_scope(self.name):
            self._maybe_build(inputs)
        shape = self.compute_output_shape(inputs.shape)
        return type(inputs)(tf.TensorSpec(shape, self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        classes = type(self).__mro__
        for cls in classes[: classes.index(BaseLayer)]:
            for name in inspect.signature(cls.__init__).parameters:  # type: ignore[misc]
                if hasattr(self, name):
                    value = getattr(self, name)
                    is_precision = isinstance(value, Precision)
                    config.setdefault(name, dataclasses.asdict(value) if is_precision else value)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "BaseLayer":
        if "precision" in config:
            config = {**config, "precision": Precision(**config["precision"])}
        return cls(**config)


def build_sublayer(layer: tf.keras.layers.Layer, *shape: int | None) -> None:
    """Creates the weights of a sublayer, for inputs of that shape, under the sublayer's name."""
    with tf.name_scope(layer.name):
        layer.build(tf.TensorShape(shape))
