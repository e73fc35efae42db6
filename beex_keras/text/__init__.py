"""From text to token ids: WordPiece vocabularies and the preprocessor that models carry."""

from beex_keras import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, __file__)
