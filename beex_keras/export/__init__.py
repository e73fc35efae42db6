"""Exports a classifier to ``.tflite`` files.

`beex_keras.export.beex` writes ``.beex`` files, and `beex_keras.export.mcu` writes C projects.
"""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
