"""How far a difference between two models may be off, because the texts might have been others.

Paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapters 6 and 13; Koehn,
aclanthology.org/W04-3250): texts are drawn with replacement, the same ones for both models, and the
difference is computed again; the interval is that of the middle 95 % of the differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000

Interval = tuple[float, float]


@dataclass(frozen=True)
class Draws:
    """How many resamples to draw (0: no intervals), and whom to tell how many are done."""

    count: int = field(default_factory=lambda: RESAMPLES)
    step: Callable[[int, int], None] = lambda done, total: None


def intervals(
    statistics: Callable[[NDArray[Any]], Sequence[float]], texts: int, draws: Draws
) -> list[Interval | None]:
    """Return a 95 % interval for each number that ``statistics`` makes of the indices of some ``texts``.

    A number that is NaN on a resample (a metric that needs two classes, on one that has one) is left out
    there; without any number there is no interval.
    """
    generator = np.random.default_rng(0)
    values = []
    for done in range(draws.count):
        values.append(statistics(generator.integers(0, texts, texts)))
        draws.step(done + 1, draws.count)
    if not values:
        return [None] * len(statistics(np.arange(texts)))
    columns = np.array(values, dtype=float).T
    return [_middle(column[~np.isnan(column)]) for column in columns]


def _middle(values: NDArray[np.float64]) -> Interval | None:
    if not values.size:
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
