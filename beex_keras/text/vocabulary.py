"""WordPiece vocabularies, as files and as lists of tokens."""

import os
from collections import Counter
from collections.abc import Sequence

from beex_keras.errors import BeexError
from beex_keras.files import read_text

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_vocabulary(path: str | os.PathLike[str]) -> list[str]:
    """Reads a ``vocab.txt``: one token a line, the line's number (from 0) is its id.

    Raises:
        BeexError: the file cannot be read, is not UTF-8, or `check_vocabulary` rejects it.

    Example:
        >>> tokens = [*beex.text.SPECIAL_TOKENS, "good", "film"]
        >>> with open("vocab.txt", "w") as file:
        ...     for token in tokens:
        ...         print(token, file=file)
        >>> beex.text.read_vocabulary("vocab.txt") == tokens
        True
    """
    lines = read_text(path, "vocabulary").removesuffix("\n").split("\n")
    vocabulary = [line.removesuffix("\r") for line in lines]
    check_vocabulary(vocabulary, f"The vocabulary {path}")
    return vocabulary


def check_vocabulary(vocabulary: Sequence[str], name: str = "The vocabulary") -> None:
    """Raises `BeexError` unless the tokens are unique, with the special ones, [PAD] first."""
    if not all(isinstance(token, str) for token in vocabulary):
        raise BeexError(f"{name} holds something other than strings; give a list of tokens.")
    for line, token in enumerate(vocabulary, 1):
        if not token.strip():
            raise BeexError(f"{name} has no token on line {line}; remove or fill the line.")
    needed = SPECIAL_TOKENS[:4]  # [MASK] is for pre-training alone
    missing = [token for token in needed if token not in vocabulary]
    if missing:
        raise BeexError(f"{name} lacks {', '.join(missing)}; add what is missing, [PAD] first.")
    if set(vocabulary) <= set(SPECIAL_TOKENS):
        raise BeexError(f"{name} holds special tokens alone; add words.")
    if vocabulary[0] != "[PAD]":
        raise BeexError(f"{name} must begin with [PAD], because the id 0 means padding.")
    if len(set(vocabulary)) < len(vocabulary):
        token, count = Counter(vocabulary).most_common(1)[0]
        raise BeexError(f"{name} has the token '{token}' {count} times; keep one.")
