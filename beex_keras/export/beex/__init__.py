"""The ``.beex`` file of the C engine: `convert` writes one, `read` and `classifier` read it.

docs/beex_format.md describes the format byte by byte. Only `classifier`, and `convert` of a Keras model,
need TensorFlow.
"""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
