"""How long a model of other widths would take: a table of measured times, and what lies between them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prensa.checkpoint.shrunk import PartKind

Points = Sequence[tuple[int, float]]
"""Pairs of units and seconds, both ascending."""


@dataclass(frozen=True)
class Clock:
    """Seconds that the same texts take in models of different widths.

    ``outside`` is what is no layer's, with what the last layer takes whatever its widths are; ``layer`` the
    same of each other layer. ``typical`` has what the units of a part take, by its kind, and ``last`` those
    of the last layer's, which may compute fewer tokens. ``where`` names what the times hold for.
    """

    outside: float
    layer: float
    typical: Mapping[PartKind, Points]
    last: Mapping[PartKind, Points]
    where: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)

    def rest(self, layers: int) -> float:
        """Return what ``layers`` layers take without the units of their parts."""
        return self.outside + (layers - 1) * self.layer

    def part(self, kind: PartKind, units: int, *, last: bool) -> float:
        """Return what a part takes with so many units; between measured numbers on a straight line."""
        points = self.last[kind] if last else self.typical[kind]
        counts = [count for count, _ in points]
        at = bisect_left(counts, units)
        if at == 0:
            return points[0][1]
        if at == len(points):
            return points[-1][1]
        (fewer, quick), (more, slow) = points[at - 1], points[at]
        share = (units - fewer) / (more - fewer)
        return quick + share * (slow - quick)
