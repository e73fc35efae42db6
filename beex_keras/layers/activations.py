"""The non-linearities between the matrices of a block, by the names that a configuration gives."""

from collections.abc import Callable

from beex_keras.backend import tf

ACTIVATIONS: dict[str | None, Callable[[tf.Tensor], tf.Tensor]] = {
    None: tf.identity,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    # Its approximation by a tanh, which every engine has.
    "gelu": lambda z: tf.nn.gelu(z, approximate=True),
}
