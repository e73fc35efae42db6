"""What a model is worth: accuracy per exit, calibration, size, FLOPs and figures."""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
