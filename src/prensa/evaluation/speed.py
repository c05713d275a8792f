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

_SECONDS = 4.0  # spent on each length and batch size, if that gives neither too few nor too many rounds
_FEWEST, _FEWEST_OF_BATCHES, _MOST = 20, 7, 200

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
            start = max(0, min(at - size // 2, len(order) - size))
            part = order[at : at + 1] if size == 1 else order[start : start + size]
            part = [part[i % len(part)] for i in range(size)]  # fewer texts than a batch holds
            tokens = max(len(row["input_ids"]) for row in part)
            chosen.setdefault((size, tokens), Load(part, tokens))
    return list(chosen.values())


def measure(works: Sequence[Callable[[], object]], load: Load, device: str, step: Step) -> list[Timing]:
    """Time each model's work on one load, in turns, and return a timing for each.

    ``step`` is told of rounds done and to do.
    """
    time = timer(device)
    for work in works:
        warm_up(device, work)
    seconds: list[list[float]] = [[time(work)] for work in works]
    size = len(load.rows)
    rounds = _rounds(sum(each[0] for each in seconds), size)
    for done in range(1, rounds):
        turn = range(len(works)) if done % 2 else reversed(range(len(works)))
        for index in turn:
            seconds[index].append(time(works[index]))
        step(done + 1, rounds)
    return [Timing(load.tokens, size, tuple(round(second, 7) for second in each)) for each in seconds]


def ratio(original: Timing, result: Timing) -> Ratio:
    """Compare two timings of the same rounds: above 1 the result is faster."""
    rounds = np.array(original.seconds) / np.array(result.seconds)
    low, high = np.quantile(rounds, [0.25, 0.75])
    return Ratio(
        median(original.seconds) / median(result.seconds),
        float(low),
        float(high),
    )


def percentile(timing: Timing, percent: float) -> float:
    """Return a percentile of the seconds."""
    return float(np.percentile(timing.seconds, percent))


def throughput(timing: Timing) -> float:
    """Texts a second, by the median."""
    return timing.batch_size / median(timing.seconds)


def typical(timings: Sequence[Timing], tokens: int) -> Timing | None:
    """Return the timing of one text whose length is nearest to ``tokens``: the one that verdicts quote."""
    single = (timing for timing in timings if timing.batch_size == 1)
    return min(single, key=lambda timing: abs(timing.tokens - tokens), default=None)


def _rounds(seconds: float, size: int) -> int:
    """Return how many rounds to run where one takes so long."""
    fewest = _FEWEST if size == 1 else _FEWEST_OF_BATCHES
    return min(_MOST, max(fewest, int(_SECONDS / max(seconds, 1e-9))))
