"""How fast models answer: one text at a time and in batches, at the lengths that the texts have.

Machines are shared and change their clock, so models are timed in turns, in one process, after warming up,
and compared by ratios of medians. Every second that was measured is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from prensa.evaluation.results import Timing
from prensa.runtime.devices import timer, warm_up
from prensa.texts.encoding import Row

# Spent on each length and batch size, if that gives neither too few nor too many rounds.
_SECONDS = 4.0
_FEWEST = 20
_FEWEST_OF_BATCHES = 7
_MOST = 200

Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Load:
    """Texts to be answered together."""

    rows: Sequence[Row]
    tokens: int


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the original: the ratio of medians.

    ``low`` and ``high`` hold the middle half of the ratios of single rounds.
    """

    median: float
    low: float
    high: float


def loads(rows: Sequence[Row], batch_size: int) -> list[Load]:
    """Choose texts at the quartiles of the lengths: one text of each, and a batch of its neighbours."""
    order = sorted(rows, key=lambda row: len(row["input_ids"]))
    chosen: dict[tuple[int, int], Load] = {}
    for size in dict.fromkeys((1, batch_size)):
        for quarter in (1, 2, 3):
            at = round(quarter / 4 * (len(order) - 1))
            batch = _neighbours(order, at, size)
            tokens = max(len(row["input_ids"]) for row in batch)
            # Two quartiles of the same length would be timed twice.
            chosen.setdefault((size, tokens), Load(batch, tokens))
    return list(chosen.values())


def _neighbours(order: Sequence[Row], at: int, size: int) -> list[Row]:
    """Return ``size`` texts around the one at a place, again from the first if there are not so many."""
    start = max(0, min(at - size // 2, len(order) - size))
    if size == 1:
        start = at
    texts = order[start : start + size]
    return [texts[i % len(texts)] for i in range(size)]


def measure(works: Sequence[Callable[[], object]], load: Load, device: str, step: Step) -> list[Timing]:
    """Time each model's work on one load, in turns, and return a timing for each.

    ``step`` is called with the rounds done and to do.
    """
    time = timer(device)
    for work in works:
        warm_up(device, work)

    # The first round shows how long one takes, and counts like all others.
    seconds = [[time(work)] for work in works]
    first_round = sum(of_model[0] for of_model in seconds)
    size = len(load.rows)
    rounds = _rounds(first_round, size)
    order = list(range(len(works)))
    for done in range(1, rounds):
        # Back and forth: whoever comes second in each round may find a processor that is warmer.
        if done > 1:
            order.reverse()
        for index in order:
            seconds[index].append(time(works[index]))
        step(done + 1, rounds)

    timings = []
    for of_model in seconds:
        rounded = [round(second, 7) for second in of_model]
        timings.append(Timing(load.tokens, size, tuple(rounded)))
    return timings


def ratio(original: Timing, result: Timing) -> Ratio:
    """Compare two timings of the same rounds: above 1 the result is faster."""
    # Round by round, since both ran at the same moment; a slow moment makes both slow.
    rounds = np.array(original.seconds) / np.array(result.seconds)
    low, high = np.quantile(rounds, [0.25, 0.75])
    middle = median(original.seconds) / median(result.seconds)
    return Ratio(middle, float(low), float(high))


def percentile(timing: Timing, percent: float) -> float:
    """Return a percentile of the seconds."""
    return float(np.percentile(timing.seconds, percent))


def throughput(timing: Timing) -> float:
    """Texts a second, by the median."""
    return timing.batch_size / median(timing.seconds)


def typical(timings: Sequence[Timing], tokens: int) -> Timing | None:
    """Return the timing of one text whose length is nearest to ``tokens``: the one that verdicts quote."""
    single = [timing for timing in timings if timing.batch_size == 1]
    return min(single, key=lambda timing: abs(timing.tokens - tokens), default=None)


def _rounds(seconds: float, size: int) -> int:
    """Return how many rounds to run if one takes so long."""
    fewest = _FEWEST_OF_BATCHES
    if size == 1:
        fewest = _FEWEST
    # A clock that is too coarse may measure nothing at all.
    in_time = int(_SECONDS / max(seconds, 1e-9))
    return min(_MOST, max(fewest, in_time))
