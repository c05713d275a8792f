"""Texts dealt out in two halves: one to choose something on, the other for the last word."""

from __future__ import annotations

import random
from dataclasses import dataclass

from prensa.errors import DataError
from prensa.texts.columns import Texts
from prensa.texts.queries import Queries

MOST_TEXTS = 2000
"""How many texts a half has at most."""

MOST_QUERIES = 500
"""How many queries a half has at most: each comes with its passages."""

_FEWEST = 20


@dataclass(frozen=True)
class Halves:
    """Numbers of texts. No text is in both halves, so that the check has not been searched on.

    Of queries with passages no query is; passages that all queries have are in both.
    """

    search: list[int]
    check: list[int]


def halve_texts(texts: Texts, most: int | None = MOST_TEXTS, purpose: str = "to keep a budget by") -> Halves:
    """Deal texts out, ``most`` of them to each half, or all of them where that is None.

    Of queries with passages, :data:`MOST_QUERIES` are the most. Raises :class:`DataError` if they are too
    few; its message says for which ``purpose``.
    """
    if texts.queries is not None:
        return _halve_queries(texts, texts.queries, None if most is None else MOST_QUERIES, purpose)
    count = len(texts)
    if count < 2 * _FEWEST:
        raise DataError(f"{texts.name}: {count} texts are too few {purpose}, expected {2 * _FEWEST} or more")
    return _dealt(list(range(count)), most)


def _halve_queries(texts: Texts, queries: Queries, most: int | None, purpose: str) -> Halves:
    """Deal queries out, each with its passages; those that all queries have are in both halves."""
    numbers = queries.numbers
    if len(numbers) < 2 * _FEWEST:
        raise DataError(
            f"{texts.name}: {len(numbers)} queries are too few {purpose}, expected {2 * _FEWEST} or more"
        )
    dealt = _dealt(numbers, most)
    return Halves(search=queries.texts_of(dealt.search), check=queries.texts_of(dealt.check))


def _dealt(order: list[int], most: int | None) -> Halves:
    # The same halves every time: a search that was interrupted goes on with the texts it began with.
    random.Random(0).shuffle(order)
    half = len(order) // 2
    if most is not None:
        half = min(most, half)
    return Halves(search=sorted(order[:half]), check=sorted(order[half : 2 * half]))
