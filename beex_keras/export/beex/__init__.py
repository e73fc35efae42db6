"""The ``.beex`` file of the C engine; docs/beex_format.md describes it byte by byte.

Written here and read by ``tflite/engine/model.c``; what Python needs of a file (configuration,
labels, policy, vocabulary) is read here too. `convert` and `classifier`, which go from and to a Keras
model, need TensorFlow; the rest does not.
"""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
