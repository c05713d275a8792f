"""The noise nearest to what a budget forbids: bracket it, then halve, in logarithms.

Size falls with noise and so, except for chance, does quality; every trial is compressed and judged for real.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from prensa.passes.gptq import LEAST_NOISE, MOST_NOISE
from prensa.search.trial import Trial

Try = Callable[[float], Trial]

# From one end of a bracket to the other.
_STRIDE = 4.0
NEAR = 1.1
"""Noises within this factor give files that differ by less than 3 %."""


def last_allowed(
    attempt: Try, allows: Callable[[Trial], bool], *, start: float, most: int, upwards: bool
) -> Trial | None:
    """Return the last trial that is allowed on the way up, or down, within a factor of ``NEAR``.

    A budget of quality forbids what is above some noise, so the way is ``upwards``; one of bytes forbids what
    is below. ``attempt`` makes a trial, ``most`` times at most; None if none of them is allowed.
    """
    kept: Trial | None = None
    refused: float | None = None
    noise = start
    for _ in range(most):
        trial = attempt(noise)
        if allows(trial):
            kept = trial
        else:
            refused = noise
        if kept is not None and refused is not None:
            if max(kept.noise / refused, refused / kept.noise) <= NEAR:
                break
            # Size and quality follow the logarithm of the noise, so that is what is halved.
            noise = math.sqrt(kept.noise * refused)
            continue
        following = _next(noise, goes_up=upwards == (kept is not None))
        if following == noise:
            # At the end of what a pass takes: there is nothing left to try.
            break
        noise = following
    return kept


def _next(noise: float, *, goes_up: bool) -> float:
    """Go on by one stride, within the noises that a pass takes."""
    stride = _STRIDE if goes_up else 1 / _STRIDE
    return min(max(noise * stride, LEAST_NOISE), MOST_NOISE)
