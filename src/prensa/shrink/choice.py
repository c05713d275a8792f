"""Which units stay: those that cost the outputs least for the time that the others save.

Each part offers widths, each with a time and a cost. Where costs add up, the best choice for a time takes
from every part a width on its lower convex hull, and all parts pay the same price for a second (Everett 1963,
and Shoham and Gersho 1988 for the greedy walk). What is left between two steps of that walk is given back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter


@dataclass(frozen=True)
class Width:
    """One width that a part can have: ``units``, the ``seconds`` it takes, and what it costs the outputs."""

    units: int
    seconds: float
    cost: float


@dataclass(frozen=True)
class _Step:
    """From one width of a part down to the next on its hull."""

    part: str
    to: Width
    saved: float
    price: float


def choose(parts: Mapping[str, Sequence[Width]], seconds: float) -> dict[str, Width] | None:
    """Choose one width for each part, so that all together take at most ``seconds`` and cost least.

    None if even the narrowest ones take longer.
    """
    chosen: dict[str, Width] = {}
    steps: list[_Step] = []
    for name, widths in parts.items():
        hull = _hull(widths)
        chosen[name] = hull[0]
        for wide, narrow in pairwise(hull):
            saved = wide.seconds - narrow.seconds
            price = (narrow.cost - wide.cost) / saved
            steps.append(_Step(name, narrow, saved, price))
    total = sum(width.seconds for width in chosen.values())
    # On a hull prices only rise, so the steps of one part come in their order.
    for step in sorted(steps, key=attrgetter("price")):
        if total <= seconds:
            break
        chosen[step.part] = step.to
        total -= step.saved
    if total > seconds:
        return None
    _give_back(chosen, parts, seconds - total)
    return chosen


def even(parts: Sequence[Sequence[Width]], seconds: float) -> list[Width] | None:
    """Choose one number of units for all parts; None if even the narrowest ones take longer."""
    for widths in zip(*parts, strict=True):
        if sum(width.seconds for width in widths) <= seconds:
            return list(widths)
    return None


def widths_of(
    units: Sequence[int], seconds: Callable[[int], float], cost: Callable[[int], float]
) -> list[Width]:
    """List the widths of a part, the widest first."""
    widths: list[Width] = []
    for count in sorted(units, reverse=True):
        widths.append(Width(count, seconds(count), cost(count)))
    return widths


def _hull(widths: Sequence[Width]) -> list[Width]:
    """Return the widths that no mixture of two others beats, from the slowest and cheapest on."""
    hull: list[Width] = []
    for width in widths:
        # A width that is no faster than a wider one is of no use.
        if hull and width.seconds >= hull[-1].seconds:
            continue
        while len(hull) > 1 and _price(hull[-2], hull[-1]) >= _price(hull[-2], width):
            hull.pop()
        hull.append(width)
    return hull


def _price(wide: Width, narrow: Width) -> float:
    return (narrow.cost - wide.cost) / (wide.seconds - narrow.seconds)


def _give_back(chosen: dict[str, Width], parts: Mapping[str, Sequence[Width]], spare: float) -> None:
    """Widen parts while there is time to spare, in place: where a second brings most first."""
    while True:
        best: tuple[float, str, Width] | None = None
        for name, widths in parts.items():
            now = chosen[name]
            for width in widths:
                longer = width.seconds - now.seconds
                gain = now.cost - width.cost
                if gain <= 0 or longer > spare:
                    continue
                if best is None or gain > best[0]:
                    best = (gain, name, width)
        if best is None:
            return
        _, name, width = best
        spare -= width.seconds - chosen[name].seconds
        chosen[name] = width
