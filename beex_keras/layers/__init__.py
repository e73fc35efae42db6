"""Keras layers of the BEExformer; each is binarized or real by its arguments."""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
