"""WordPiece vocabularies, learned from the training texts."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from beex_keras.backend import tf, tf_text, wordpiece_learner
from beex_keras.errors import BeexError
from beex_keras.text.vocabulary import SPECIAL_TOKENS

_CHUNK = 4096
_JOINER = "##"

_SPACE = r"[\s\p{Z}]+"
_ONE_CHARACTER_WORDS = (
    r"[!-/:-@\[-`{-~\p{P}"
    r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)


def split_words(texts: Sequence[str], lower_case: bool = True) -> tf.RaggedTensor:
    """Words of each text, as BERT's basic tokenization finds them: string, (B, words).

    With `lower_case`, compatible characters become one (NFKC: a ligature becomes its letters),
    capitals small letters, and accents go (NFD); without it, the text stays as it is. Control
    characters and spaces separate words; a punctuation mark or a CJK character is a word of its
    own. `TextPreprocessor` splits in the same way before it looks for word pieces.
    """
    normalizer = tf_text.FastBertNormalizer(lower_case_nfd_strip_accents=lower_case)
    between = f"{_SPACE}|{_ONE_CHARACTER_WORDS}"
    return tf_text.regex_split(normalizer.normalize(texts), between, _ONE_CHARACTER_WORDS)


def learn_vocabulary(
    texts: Iterable[str], size: int = 8000, lower_case: bool = True, use_subwords: bool = True
) -> list[str]:
    """Learns a WordPiece vocabulary; the same texts give the same one, in any order.

    tensorflow-text's learner keeps the pieces of words that occur more often than a threshold;
    the threshold is searched that gives about `size` tokens, and the rarest are dropped where it
    gives more. `SPECIAL_TOKENS` come first, with the ids 0 to 4. The frequent characters are all
    tokens, so that a rare word falls back to its characters. Without `use_subwords` the vocabulary is the
    most frequent words alone, those that occur at least twice, and any other word becomes [UNK].

    Args:
        texts: the training texts (not the held-out ones).
        size: at most this many tokens; a small corpus gives fewer.
        lower_case: lower-case the texts and strip accents; give the preprocessor the same.
        use_subwords: split rare words into pieces, rather than leave them out.

    Raises:
        BeexError: the texts hold no words, or `size` has no room for one beside the special tokens.

    Example:
        >>> texts = ["a good film", "a bad film"] * 3
        >>> beex.text.learn_vocabulary(texts, size=40, use_subwords=False)
        ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'film', 'bad', 'good']
    """
    if isinstance(texts, str):
        raise BeexError("A vocabulary is learned from a list of texts, but one string was given.")
    alphabet = (size - len(SPECIAL_TOKENS)) // 2  # every character needs "x" and "##x"
    if alphabet < 1:
        room = f"no room beside the {len(SPECIAL_TOKENS)} special ones"
        raise BeexError(f"A vocabulary of {size} tokens has {room}; ask for a larger size.")
    words = _count_words(texts, lower_case)
    if not words:
        raise BeexError("The texts hold no words to learn from; check the text column.")
    if use_subwords:
        vocabulary = _drop_rarest(_search(words, size, min(alphabet, 1000)), size)
    else:
        repeated = [(-n, word) for word, n in words if n > 1 and word not in SPECIAL_TOKENS]
        vocabulary = [*SPECIAL_TOKENS, *(word for _, word in sorted(repeated))][:size]
    if len(vocabulary) == len(SPECIAL_TOKENS):
        raise BeexError(f"No word fits into a vocabulary of {size} tokens; ask for a larger size.")
    return vocabulary


def _count_words(texts: Iterable[str], lower_case: bool) -> list[tuple[str, int]]:
    """Words and their counts, sorted, so that the order of the texts does not matter."""
    counts: Counter[bytes] = Counter()
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        counts.update(split_words(chunk, lower_case).flat_values.numpy().tolist())
    return sorted((word.decode("utf-8", "ignore"), count) for word, count in counts.items())


def _search(words: list[tuple[str, int]], size: int, alphabet: int) -> list[str]:
    """The vocabulary at the threshold that gives the least above, or within 5 % of, `size`.

    The learner's own search halves a linear range and refuses to overshoot; few thresholds are
    tried here, because they are halved on a logarithmic scale and the rarest tokens can be dropped.
    """
    best: list[str] = []
    fixed = {"reserved_tokens": list(SPECIAL_TOKENS), "max_unique_chars": alphabet}
    # More than `size` tokens, each `high` times, would need more characters than there are.
    low, high = 2, sum(len(word) * count for word, count in words) // size + 2
    while low <= high:
        threshold = math.isqrt(low * high)
        range_of_one = {"lower_thresh": threshold, "upper_thresh": threshold}
        tokens = wordpiece_learner.learn(
            words, vocab_size=size, joiner=_JOINER, **fixed, **range_of_one
        )
        if 0.95 * size <= len(tokens) <= 1.05 * size:
            return tokens
        if len(tokens) >= size or len(best) < size:
            best = tokens
        if len(tokens) < size:
            high = threshold - 1
        else:
            low = threshold + 1
    return best


def _drop_rarest(tokens: list[str], size: int) -> list[str]:
    """The tokens (most frequent first) without the last ones of several characters."""
    several = [t for t in tokens if t not in SPECIAL_TOKENS and len(t.removeprefix(_JOINER)) > 1]
    dropped = set(several[::-1][: max(0, len(tokens) - size)])
    return [token for token in tokens if token not in dropped]
