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


def halve_texts(texts: Texts) -> Halves:
    """Deal texts out. Raises :class:`DataError` if they are too few."""
    count = len(texts)
    if count < 2 * _FEWEST:
        raise DataError(
            f"{texts.name}: {count} texts are too few to keep a budget by, expected {2 * _FEWEST} or more"
        )
    order = list(range(count))
    # The same halves every time: a search that was interrupted goes on with the texts it began with.
    random.Random(0).shuffle(order)
    half = min(MOST_TEXTS, count // 2)
    return Halves(search=sorted(order[:half]), check=sorted(order[half : 2 * half]))
