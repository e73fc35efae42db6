"""Export of a classifier to ``.tflite`` and ``.beex`` files and to C projects.

What stands here is about ``.tflite`` files; `beex_keras.export.beex` and `beex_keras.export.mcu` have
the rest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
