"""Texts dealt out in two halves: one to choose something on, the other for the last word."""

from __future__ import annotations

import random
from dataclasses import dataclass

from prensa.errors import DataError
from prensa.texts.columns import Texts

MOST_TEXTS = 2000
"""How many texts a half has at most."""

_FEWEST = 20


@dataclass(frozen=True)
class Halves:
    """Numbers of texts. No text is in both halves, so that the check has not been searched on."""

    search: list[int]
    check: list[int]


def halve_texts(texts: Texts, most: int | None = MOST_TEXTS, purpose: str = "to keep a budget by") -> Halves:
    """Deal texts out, ``most`` of them to each half, or all of them.

    Raises :class:`DataError` if they are too few; its message says for which ``purpose``.
    """
    count = len(texts)
    if count < 2 * _FEWEST:
        raise DataError(f"{texts.name}: {count} texts are too few {purpose}, expected {2 * _FEWEST} or more")
    order = list(range(count))
    # The same halves every time: a search that was interrupted goes on with the texts it began with.
    random.Random(0).shuffle(order)
    half = count // 2
    if most is not None:
        half = min(most, half)
    return Halves(search=sorted(order[:half]), check=sorted(order[half : 2 * half]))
