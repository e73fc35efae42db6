"""When two rows are the same text: whatever their case and spacing, and of symmetric pairs in either order."""

from collections.abc import Sequence


def keys(
    texts: Sequence[str], pairs: Sequence[str] | None, both_orders: bool = False
) -> list[tuple[str, ...]]:
    """The `key` of each text, or of each pair."""
    if pairs is None:
        return [key(text) for text in texts]
    return [key(text, pair, both_orders) for text, pair in zip(texts, pairs, strict=True)]


def key(text: str, pair: str | None = None, both_orders: bool = False) -> tuple[str, ...]:
    """What rows of the same text, or of the same pair, have in common.

    Args:
        text: the text, or the first one of a pair.
        pair: the second one.
        both_orders: whether a pair is the same with its texts exchanged.
    """
    parts = [" ".join(part.lower().split()) for part in (text, pair) if part is not None]
    return tuple(sorted(parts) if both_orders else parts)
