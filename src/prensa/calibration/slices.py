"""What was seen of one slice of the texts, and the sum of slices.

Second moments are sums over tokens, so those of slices add up to those of all texts: nothing has to be
exchanged while they run. In float32 the order of additions shows in the last digits, so slices are always
added in theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from prensa.calibration.spread import Spread
from prensa.calibration.watch import Sums
from prensa.ops.moment import Moment

T = TypeVar("T")


@dataclass(frozen=True)
class Seen:
    """Sums by the first name of each matrix, and how far the outputs lie apart."""

    sums: dict[str, Sums]
    spread: Spread

    def plus(self, later: Seen) -> Seen:
        """Add what a later slice has seen, in the memory of this one."""
        for name, sums in later.sums.items():
            own = self.sums.get(name)
            self.sums[name] = sums if own is None else _added(own, sums)
        return Seen(self.sums, self.spread.plus(later.spread))


def _added(own: Sums, later: Sums) -> Sums:
    return Sums(
        inputs=_sum(own.inputs, later.inputs, Moment.plus),
        input_count=own.input_count + later.input_count,
        gradients=_sum(own.gradients, later.gradients, Tensor.add_),
        looked_up=_sum(own.looked_up, later.looked_up, Moment.plus),
        look_ups=own.look_ups + later.look_ups,
        uses=_sum(own.uses, later.uses, Tensor.add_),
        own=_sum(own.own, later.own, Moment.plus),
        rows=_sum(own.rows, later.rows, Tensor.add_),
    )


def _sum(own: T | None, later: T | None, add: Callable[[T, T], T]) -> T | None:
    """Add two sums, either of which may have met nothing."""
    if own is None or later is None:
        return later if own is None else own
    return add(own, later)
