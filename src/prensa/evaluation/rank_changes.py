"""The queries whose first passages changed most, and which passages changed their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.disagreements import Described, in_one_line, most
from prensa.evaluation.figures import Disagreement
from prensa.texts.columns import Texts

Ids = NDArray[np.integer]

AMOUNT = "change of the first ten places (in weights of DCG)"
"""What queries are sorted by: how much a passage counts at its place, before and after, added up."""

_FIRST = 10
_SHOWN = 3


class Ranked(Protocol):
    """A query and its passages: where their texts stand, and how relevant each passage is."""

    @property
    def query(self) -> int:
        """Where a text of the query stands."""

    @property
    def rows(self) -> Ids:
        """Where the passages' texts stand."""

    @property
    def grades(self) -> Ids:
        """How relevant each passage is."""


def list_changes(
    texts: Texts, queries: Sequence[Ranked], before: Sequence[Ids], after: Sequence[Ids]
) -> tuple[str, tuple[Disagreement, ...]]:
    """Return what queries are sorted by, and those that changed most, with the places of passages.

    ``before`` and ``after`` are the passages of each query in the models' orders, the first ones at least.
    """
    amounts = np.zeros(len(queries))
    for index, query in enumerate(queries):
        amounts[index] = _shifts(before[index], after[index], len(query.rows)).sum()

    def describe(index: int) -> Described:
        return _described(texts, queries[index], before[index], after[index])

    alone = Texts(texts.name, tuple(texts.texts[query.query] for query in queries))
    return AMOUNT, most(alone, amounts, describe)


def _described(texts: Texts, query: Ranked, before: Ids, after: Ids) -> Described:
    """Return a query's most relevant passage, and those that moved most, each with its places."""
    count = len(query.rows)
    places_before, places_after = _places(before, count), _places(after, count)
    shifts = _shifts(before, after, count)
    moved = np.argsort(-shifts, kind="stable")[:_SHOWN]
    originals: list[str] = []
    results: list[str] = []
    for passage in moved[shifts[moved] > 0].tolist():
        place = _in_words(places_before[passage], len(before))
        text = _passage(texts, query, passage)
        originals.append(f"{place}: {text}")
        results.append(f"{place} → {_in_words(places_after[passage], len(after))}: {text}")
    # Of several that are as relevant the one that the original puts first.
    best = int(np.lexsort((places_before, -query.grades))[0])
    change = f"{_in_words(places_before[best], len(before))} → {_in_words(places_after[best], len(after))}"
    return f"{change}: {_passage(texts, query, best)}", "; ".join(originals), "; ".join(results)


def _passage(texts: Texts, query: Ranked, passage: int) -> str:
    row = int(query.rows[passage])
    if texts.pairs is not None:
        return in_one_line(texts.pairs[row])
    return in_one_line(texts.texts[row])


def _in_words(place: int, known: int) -> str:
    """Say which place a passage has, or behind how many it is."""
    if place > known:
        return f"behind {known:,}"
    return str(place)


def _shifts(before: Ids, after: Ids, count: int) -> NDArray[np.float64]:
    """Return how much more or less each of so many passages counts than before."""
    weights = _weights(_places(before, count)) - _weights(_places(after, count))
    return np.asarray(np.abs(weights))


def _places(order: Ids, count: int) -> Ids:
    """Return the place of each passage, 1 for the first; all that are not in the order come behind it."""
    places = np.full(count, len(order) + 1)
    places[order] = np.arange(1, len(order) + 1)
    return places


def _weights(places: Ids) -> NDArray[np.float64]:
    """Return how much a passage counts at its place, nothing behind the first ten."""
    return np.where(places <= _FIRST, 1 / np.log2(places + 1), 0.0)
