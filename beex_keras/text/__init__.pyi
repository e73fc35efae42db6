from .preprocessor import TextPreprocessor
from .vocabulary import SPECIAL_TOKENS, learn_vocabulary, read_vocabulary

__all__ = ["SPECIAL_TOKENS", "TextPreprocessor", "learn_vocabulary", "read_vocabulary"]
