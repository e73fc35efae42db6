"""Backbone and classifier, and the configuration that describes them."""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
