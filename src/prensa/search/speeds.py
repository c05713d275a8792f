"""The fastest speed that a budget allows, by halving a list of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

SPEEDS = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
"""How many times as fast: steps that a user would tell apart."""


def fastest_allowed(speeds: Sequence[float], allows: Callable[[float], bool]) -> float | None:
    """Return the last of ascending ``speeds`` that is allowed, None if the first is not.

    What is slower than an allowed one is taken to be allowed, so that few of them are tried.
    """
    low, high = 0, len(speeds)
    # All before `low` are allowed, none from `high` on.
    while low < high:
        middle = (low + high) // 2
        if allows(speeds[middle]):
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return None
    return speeds[low - 1]
