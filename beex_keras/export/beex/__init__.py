"""The ``.beex`` file of the C engine; docs/beex_format.md describes it byte by byte.

Written here and read by ``tflite/engine/model.c``; what Python needs of a file (configuration,
labels, policy, vocabulary) is read here too. `convert` and `classifier`, which go from and to a Keras
model, need TensorFlow; the rest does not.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
