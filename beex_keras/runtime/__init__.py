"""Classification with a trained or converted model, the same way for every engine."""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
