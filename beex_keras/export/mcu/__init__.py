"""C projects for microcontrollers, and the memory that they need of a board."""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
