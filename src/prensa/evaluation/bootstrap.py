"""How far a difference between two models may be off, because the texts might have been others.

Paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, chapters 6 and 13; Koehn,
aclanthology.org/W04-3250): texts are drawn with replacement, the same ones for both models, and the
difference is computed again; the interval is that of the middle 95 % of the differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000

Interval = tuple[float, float]


@dataclass(frozen=True)
class Draws:
    """How many resamples to draw (0: no intervals); ``step`` is called with those done and to do."""

    count: int = field(default_factory=lambda: RESAMPLES)
    step: Callable[[int, int], None] = lambda done, total: None


def intervals(
    statistics: Callable[[NDArray[np.int64]], Sequence[float]],
    texts: int,
    draws: Draws,
) -> list[Interval | None]:
    """Return a 95 % interval for each number that ``statistics`` makes of the indices of some ``texts``.

    A number that is NaN on a resample (a metric that needs two classes, on one that has one) is left out
    there; without any number there is no interval.
    """
    # A generator of this call alone: the same texts give the same interval, whatever was computed before.
    generator = np.random.default_rng(0)
    values = []
    for done in range(draws.count):
        drawn = generator.integers(0, texts, texts)
        values.append(statistics(drawn))
        draws.step(done + 1, draws.count)
    # Without resamples it is still known how many numbers there would be.
    if not values:
        return [None] * len(statistics(np.arange(texts)))
    # Turned over: a row for each number, with its value on every resample.
    columns = np.array(values, dtype=float).T
    return [_middle(column[~np.isnan(column)]) for column in columns]


def exact_interval(count: int, of: int) -> Interval:
    """Return the 95 % interval of a share of ``of`` things that are independent (Clopper and Pearson)."""
    from scipy.stats import binomtest

    interval = binomtest(count, of).proportion_ci(0.95)
    return float(interval.low), float(interval.high)


def widened(interval: Interval, of: int) -> Interval:
    """Return an interval of a difference with room where no resample has any.

    Where none of ``of`` things got worse, no resample of them can, and one end is exactly 0; but the share of
    other things that would get worse may be as high as the exact interval of 0 of so many. The same goes for
    better.
    """
    low, high = interval
    _, most = exact_interval(0, max(1, of))
    return low or -most, high or most


def _middle(values: NDArray[np.float64]) -> Interval | None:
    if not values.size:
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
