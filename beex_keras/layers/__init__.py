"""Keras layers of the BEExformer; each is binarized or real by its arguments."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
