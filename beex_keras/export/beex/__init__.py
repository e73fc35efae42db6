"""The ``.beex`` file of the C engine; docs/beex_format.md describes it byte by byte.

Written here and read by ``tflite/engine/model.c``; what Python needs of a file (configuration,
labels, policy, vocabulary) is read here too. `classifier`, which makes a Keras model of a file, needs
TensorFlow; the rest does not, unless it is given a Keras model.
"""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
