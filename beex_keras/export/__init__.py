"""Export of a classifier to ``.tflite`` and ``.beex`` files and to C projects.

What stands here is about ``.tflite`` files; `beex_keras.export.beex` and `beex_keras.export.mcu` have
the rest.
"""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
