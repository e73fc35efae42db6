"""From text to token ids: WordPiece vocabularies and the preprocessor that models carry."""

from beex_keras.text.preprocessor import TextPreprocessor
from beex_keras.text.vocabulary import SPECIAL_TOKENS, learn_vocabulary, read_vocabulary

__all__ = ["SPECIAL_TOKENS", "TextPreprocessor", "learn_vocabulary", "read_vocabulary"]
