"""The trainer, its settings, and a callback for one's own training loops."""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
