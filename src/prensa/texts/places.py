"""What stands where among a text's tokens: its words, and its bytes."""

from __future__ import annotations

from collections.abc import Sequence

from prensa.texts.ids import IGNORED


def first_tokens(word_ids: Sequence[int | None]) -> list[int]:
    """Return the position of each word's first token, ``IGNORED`` for words without one or truncated."""
    first: dict[int, int] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            first.setdefault(word, position)
    # A word without a token lies between two that have some, or before the first.
    places: list[int] = []
    count = max(first, default=-1) + 1
    for word in range(count):
        places.append(first.get(word, IGNORED))
    return places


def token_bytes(text: str, offsets: Sequence[tuple[int, int]], is_special: Sequence[int]) -> list[int]:
    """Count the bytes from the end of the token before to the end of each token.

    Spaces that belong to no token so count with the next one, and the tokens of one character count it once.
    """
    counts: list[int] = []
    end = 0
    for (_, last), special in zip(offsets, is_special, strict=True):
        if special:
            counts.append(IGNORED)
            continue
        # A later token of the same character ends where the one before ended.
        stop = max(end, last)
        counts.append(len(text[end:stop].encode()))
        end = stop
    return counts
