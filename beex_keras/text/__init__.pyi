from .learning import learn_vocabulary
from .preprocessor import TextPreprocessor
from .vocabulary import SPECIAL_TOKENS, read_vocabulary

__all__ = ["SPECIAL_TOKENS", "TextPreprocessor", "learn_vocabulary", "read_vocabulary"]
