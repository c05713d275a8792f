"""The queries whose first passages changed most, and which passages changed their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from prensa.evaluation.disagreements import Described, most
from prensa.evaluation.figures import Disagreement
from prensa.texts.columns import Texts

Ids = NDArray[np.int64]

AMOUNT = "change of the first ten places (in weights of DCG)"
"""What queries are sorted by: how much a passage counts at its place, before and after, added up."""

_FIRST = 10
_SHOWN = 3
_LONGEST = 80


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

    ``before`` and ``after`` are the passages of each query in the models' orders.
    """
    places_before = [_places(order) for order in before]
    places_after = [_places(order) for order in after]
    shifts: list[NDArray[np.float64]] = []
    for one, other in zip(places_before, places_after, strict=True):
        shifts.append(np.abs(_weights(one) - _weights(other)))

    def describe(index: int) -> Described:
        query = queries[index]
        own_before, own_after = places_before[index], places_after[index]

        def shown(passage: int, place: str) -> str:
            row = int(query.rows[passage])
            text = texts.pairs[row] if texts.pairs is not None else texts.texts[row]
            return f"{place}: {_short(text)}"

        moved = np.argsort(-shifts[index], kind="stable")[:_SHOWN]
        moved = moved[shifts[index][moved] > 0]
        best = int(np.lexsort((own_before, -query.grades))[0])
        right = shown(best, f"{own_before[best]} → {own_after[best]}")
        originals = [shown(passage, str(own_before[passage])) for passage in moved]
        results = [shown(passage, f"{own_before[passage]} → {own_after[passage]}") for passage in moved]
        return right, "; ".join(originals), "; ".join(results)

    rows = [query.query for query in queries]
    alone = Texts(texts.name, tuple(texts.texts[row] for row in rows))
    amounts = np.array([float(shift.sum()) for shift in shifts])
    return AMOUNT, most(alone, amounts, describe)


def _places(order: Ids) -> Ids:
    """Return the place of each passage, 1 for the first."""
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(1, len(order) + 1)
    return places


def _weights(places: Ids) -> NDArray[np.float64]:
    """Return how much a passage counts at its place, nothing behind the first ten."""
    return np.where(places <= _FIRST, 1 / np.log2(places + 1), 0.0)


def _short(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST - 1]}…"
