"""How long each of several things takes, measured in turns.

In turns, so that whatever else slows the machine down meanwhile slows all of them down alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

Work = Callable[[], object]
"""One thing that is timed, ready to run."""


def in_turns(works: Sequence[Work], seconds: float, *, twice: bool = False) -> list[float]:
    """Let ``works`` run in turns for ``seconds`` in all, and return the median seconds of each.

    However slow they are, each runs once to warm up, and has one turn. ``twice`` is for works that share
    nothing: each runs twice in its turn, and the second time counts. Right after another one's turn its
    weights have left the caches, and the other one's threads still spin.
    """
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or not times[-1]:
        for work, own in zip(works, times, strict=True):
            if twice:
                work()
            own.append(timed(work))
    # The median: any single run may take much longer.
    return [median(own) for own in times]


def timed(work: Work) -> float:
    """Run it once, and return the seconds that it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
