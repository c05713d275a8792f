"""Whether a drop is within what is allowed: evaluation and search decide here, with one tolerance.

A drop is measured on a sample. Where its 95 % interval lies on one side of the budget, that decides. Where it
reaches over the budget and is wider than twice the budget, the sample is too small to decide anything. In
between the drop as measured counts, and the doubt is reported.
"""

from __future__ import annotations

import math
from typing import Literal

Decision = Literal["none", "held", "doubtful", "undecided", "unknown", "exceeded"]
"""What became of a budget, from best to worst.

``none``       none was given
``held``       the drop is within it, and so is its interval
``doubtful``   the drop is within it, but its interval reaches beyond, or there is none, or fewer than
               ``FEW_SAME`` of the answers are the original's
``undecided``  the interval reaches beyond it and is wider than twice the budget: too few texts
``unknown``    the drop was not measured, or the original answers every text alike, so that it proves nothing
``exceeded``   the drop is beyond it, or the result gives no numbers
"""

DECISIONS: tuple[Decision, ...] = ("none", "held", "doubtful", "undecided", "unknown", "exceeded")
KEPT: frozenset[Decision] = frozenset({"none", "held", "doubtful"})
"""What counts as keeping a budget."""

WIDEST = 2  # times the budget: the width of an interval that still decides

_ROUNDING = 1e-9  # 0.91 − 0.90 is a little more than 0.01
_DIGITS = 2  # of a number of texts


def is_within(value: float, allowed: float) -> bool:
    """Whether a drop is within what is allowed."""
    return value <= allowed + _ROUNDING


def decide(value: float, interval: tuple[float, float] | None, allowed: float) -> Decision:
    """Decide on a drop with its 95 % interval.

    A budget of 0 is decided by the drop as measured: no number of texts makes an interval narrow enough.
    """
    as_measured: Decision = "doubtful" if is_within(value, allowed) else "exceeded"
    if interval is None:
        return as_measured
    low, high = interval
    if is_within(high, allowed):
        return "held"
    if not is_within(low, allowed):
        return "exceeded"
    is_wide = not is_within(high - low, WIDEST * allowed)
    return "undecided" if is_wide and allowed > 0 else as_measured


def texts_needed(
    texts: int, interval: tuple[float, float], allowed: float, *, none_changed: bool = False
) -> int:
    """Return about how many texts make an interval narrow enough to decide, rounded up to two digits.

    ``interval`` was found on ``texts`` texts. Widths shrink with the square root of the number of texts.
    Where no answer changed the interval is the exact one of 0 of so many, on one side or on both; of all the
    ``texts``, or of those with one label, which are taken to be the same share of more.
    """
    width = interval[1] - interval[0]
    exact = texts * (width / (WIDEST * allowed)) ** 2
    if none_changed:
        high = WIDEST * allowed * interval[1] / width
        exact = texts * math.log1p(-interval[1]) / math.log1p(-high)
    unit = 10.0 ** max(0, math.floor(math.log10(exact)) + 1 - _DIGITS)
    return round(math.ceil(exact / unit) * unit)
